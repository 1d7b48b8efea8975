//! The injections themselves, and which stand where. No locks of its own.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::pieces::Pieces;
use super::{FileKey, MOST, MOST_BYTES, Page, Place, Sha, Source, State, Told, Wound, Wrong};

/// One injection.
struct Injection {
    source: Source,
    place: Place,
    offset: u64,
    len: u64,
    state: State,
    /// How many bytes stand.
    left: u64,
    /// Of what should be there and of what is or was; none where nobody knows.
    digests: Option<[Sha; 2]>,
    /// The bytes of a standing one, if they are kept.
    kept: Option<Wrong>,
}

/// A file in which something stands.
struct File {
    path: Arc<[u8]>,
    pieces: Pieces,
}

#[derive(Default)]
pub(super) struct Store {
    last: u64,
    all: BTreeMap<u64, Injection>,
    files: HashMap<FileKey, File>,
    /// Those that are over, the first to go first.
    over: VecDeque<u64>,
    dropped: u64,
    /// Of what is kept.
    bytes: usize,
}

impl Store {
    /// Its number, if there is room for it.
    pub(super) fn add(
        &mut self,
        source: &Source,
        place: &Place,
        wrong: Wrong,
        digests: [Sha; 2],
    ) -> Option<u64> {
        let (offset, len) = (wrong.offset, wrong.should.len() as u64);
        let range = offset..offset.saturating_add(len);
        self.overwritten(place.file, &range);
        let kept = Some(wrong).filter(|wrong| self.bytes + size(wrong) <= MOST_BYTES);
        let (source, place) = (source.clone(), place.clone());
        let (file, path) = (place.file, Arc::clone(&place.path));
        let state = State::Standing;
        let digests = Some(digests);
        let taken = kept.as_ref().map_or(0, size);
        let made = Injection { source, place, offset, len, state, left: len, digests, kept };
        let id = self.push(made)?;
        self.bytes += taken;
        let file = self.files.entry(file);
        let file = file.or_insert_with(|| File { path, pieces: Pieces::default() });
        file.pieces.put(&range, id);
        Some(id)
    }

    pub(super) fn add_transient(
        &mut self,
        source: &Source,
        place: &Place,
        (offset, len): (u64, u64),
        digests: Option<[Sha; 2]>,
    ) -> Option<u64> {
        let (source, place) = (source.clone(), place.clone());
        let state = State::Transient;
        let made = Injection { source, place, offset, len, state, left: 0, digests, kept: None };
        let id = self.push(made)?;
        self.over.push_back(id);
        Some(id)
    }

    /// Adds one, in the place of one that is over if there is no room. None if there is none.
    fn push(&mut self, injection: Injection) -> Option<u64> {
        self.last += 1;
        if self.all.len() >= MOST {
            self.dropped += 1;
            let gone = self.over.pop_front()?;
            self.all.remove(&gone);
        }
        self.all.insert(self.last, injection);
        Some(self.last)
    }

    pub(super) fn is_any_standing(&self) -> bool {
        !self.files.is_empty()
    }

    pub(super) fn concern(&self, file: FileKey) -> bool {
        self.files.contains_key(&file)
    }

    pub(super) fn moved(&mut self, file: FileKey, path: Arc<[u8]>) {
        if let Some(file) = self.files.get_mut(&file) {
            file.path = path;
        }
    }

    pub(super) fn overwritten(&mut self, file: FileKey, range: &Range<u64>) {
        let Some(found) = self.files.get_mut(&file) else { return };
        for (id, taken) in found.pieces.take(range) {
            let Some(injection) = self.all.get_mut(&id) else { continue };
            injection.left -= taken.end - taken.start;
            if injection.left == 0 {
                self.over(id, State::Overwritten);
            }
        }
        self.tidy(file);
    }

    /// It is over: nothing stands of it, and its bytes go.
    fn over(&mut self, id: u64, state: State) {
        let Some(injection) = self.all.get_mut(&id) else { return };
        if injection.state != State::Standing {
            return;
        }
        injection.state = state;
        self.bytes -= injection.kept.take().as_ref().map_or(0, size);
        self.over.push_back(id);
    }

    pub(super) fn end(&mut self, id: u64, state: State) {
        let Some(injection) = self.all.get_mut(&id) else { return };
        if injection.state != State::Standing {
            return;
        }
        injection.left = 0;
        let file = injection.place.file;
        let range = injection.offset..injection.offset.saturating_add(injection.len);
        if let Some(found) = self.files.get_mut(&file) {
            for piece in found.pieces.of(id, &range) {
                found.pieces.take(&piece);
            }
        }
        self.over(id, state);
        self.tidy(file);
    }

    /// Forgets a file in which nothing stands any more.
    fn tidy(&mut self, file: FileKey) {
        if self.files.get(&file).is_some_and(|file| file.pieces.is_empty()) {
            self.files.remove(&file);
        }
    }

    pub(super) fn correct(&self, file: FileKey, offset: u64, bytes: &mut [u8]) {
        let Some(file) = self.files.get(&file) else { return };
        let range = offset..offset.saturating_add(bytes.len() as u64);
        for (piece, id) in file.pieces.touched(&range) {
            let Some(kept) = self.all.get(&id).and_then(|injection| injection.kept.as_ref()) else {
                continue;
            };
            let piece = piece.start.max(range.start)..piece.end.min(range.end);
            let Wrong { should, is, .. } = cut(kept, &piece);
            let at = |place: u64| usize::try_from(place - offset).unwrap_or(usize::MAX);
            // Not all that write are seen here. One byte alone that is as it was tells nothing.
            let bytes =
                bytes.get_mut(at(piece.start)..at(piece.end)).filter(|there| **there == *is);
            bytes.into_iter().for_each(|there| there.copy_from_slice(&should));
        }
    }

    pub(super) fn stands(&self, id: u64, file: FileKey, bytes: &Range<u64>) -> bool {
        let file = self.files.get(&file);
        file.is_some_and(|file| file.pieces.of(id, bytes) == [bytes.clone()])
    }

    pub(super) fn state(&self, id: u64) -> Option<State> {
        self.all.get(&id).map(|injection| injection.state)
    }

    pub(super) fn page(&self, after: u64, most: usize) -> Page {
        let from = after.saturating_add(1);
        let told = self.all.range(from..).take(most).map(|(id, injection)| injection.told(*id));
        Page {
            injections: told.collect(),
            all: self.all.len() as u64,
            dropped: self.dropped,
            bytes: self.bytes as u64,
        }
    }

    pub(super) fn wounds(&self, ids: &[u64], after: u64, most: usize) -> Vec<Wound> {
        let stands = |id: &u64| self.state(*id) == Some(State::Standing);
        let ids: Vec<u64> = match ids {
            [] => self.all.range(after.saturating_add(1)..).map(|(id, _)| *id).collect(),
            ids => ids.to_vec(),
        };
        let ids = ids.into_iter().filter(stands).take(most);
        ids.filter_map(|id| self.wound(id)).collect()
    }

    fn wound(&self, id: u64) -> Option<Wound> {
        let injection = self.all.get(&id)?;
        let file = self.files.get(&injection.place.file)?;
        let place = Place { path: Arc::clone(&file.path), ..injection.place.clone() };
        let range = injection.offset..injection.offset.saturating_add(injection.len);
        let pieces = || file.pieces.of(id, &range).into_iter();
        let left = injection.kept.as_ref().map(|kept| pieces().map(|piece| cut(kept, &piece)));
        Some(Wound { id, place, left: left.map(Iterator::collect) })
    }
}

/// How many bytes it keeps.
fn size(wrong: &Wrong) -> usize {
    wrong.should.len() + wrong.is.len()
}

/// The bytes of a piece.
fn cut(Wrong { offset, should, is }: &Wrong, piece: &Range<u64>) -> Wrong {
    let at = |place: u64| usize::try_from(place - offset).unwrap_or(usize::MAX);
    let of = |bytes: &[u8]| {
        let end = at(piece.end).min(bytes.len());
        bytes.get(at(piece.start).min(end)..end).unwrap_or_default().into()
    };
    Wrong { offset: piece.start, should: of(should), is: of(is) }
}

impl Injection {
    fn told(&self, id: u64) -> Told {
        let [should, is] = self.digests.map_or([None; 2], |both| both.map(Some));
        Told {
            id,
            source: self.source.clone(),
            place: self.place.clone(),
            offset: self.offset,
            len: self.len,
            should,
            is,
            state: self.state,
            left: self.left,
            kept: self.kept.is_some(),
        }
    }
}
