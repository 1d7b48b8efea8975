//! What an operation is about, and which faults match its paths.
//!
//! What matches a file by any of its paths is remembered with its inode, and how far the path of a
//! directory leads all patterns with the directory: so a hot file costs neither a pattern nor its
//! paths, and a name that is met once only its own bytes.
//! No locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::patterns::Lead;
use super::snapshot::Snapshot;
use crate::ops::MethodSet;

/// What an operation is about: a file, which may have several paths, and the methods it consults on
/// it. A fault matches it if its pattern matches any of the paths.
pub trait Subject {
    /// The methods consulted.
    fn methods(&self) -> MethodSet;

    /// Where to remember what the paths match; none where no inode is known yet.
    fn memo(&self) -> Option<&Memo>;

    /// A number that grows whenever the set of paths may have changed, and only after it has: what
    /// is read of the paths after this number belongs to it or to a later one.
    fn epoch(&self) -> u64;

    /// Visits every path, in no order.
    fn paths(&self, visit: &mut dyn FnMut(&[u8]));

    /// Calls `visit` with the directory and the name, where its only path is that of the name in the
    /// directory.
    fn entry(&self, visit: &mut dyn FnMut(&Entry<'_>)) {
        let _ = visit;
    }
}

/// A name in a directory.
pub struct Entry<'a> {
    /// The directory, which has a memo, and one path, with no slash behind it but that of `/`.
    pub directory: &'a dyn Subject,
    /// The last part of the path.
    pub name: &'a [u8],
}

/// A path that nothing is known of.
pub(super) struct Bare<'a>(pub(super) &'a [u8]);

impl Subject for Bare<'_> {
    fn methods(&self) -> MethodSet {
        MethodSet::ALL
    }

    fn memo(&self) -> Option<&Memo> {
        None
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(self.0);
    }
}

/// What is remembered with an inode, as last found out: which faults match any of its paths and,
/// of a directory, how far its path leads.
#[derive(Default)]
pub struct Memo {
    /// Where at most one matches, which: as a word, which takes neither memory nor time to keep.
    few: AtomicU64,
    /// Else all that match; and how far it leads.
    all: ArcSwapOption<All>,
}

/// What matches, where that is one fault or none, with its version and epoch: one word, so that all is of
/// one moment.
struct Few(u64);

impl Few {
    const VERSION_BITS: u32 = 26;
    const EPOCH_BITS: u32 = 28;
    const PLACE_BITS: u32 = u64::BITS - Few::VERSION_BITS - Few::EPOCH_BITS;

    /// None where one of them is too large.
    #[inline]
    fn of(version: u64, epoch: u64) -> Option<Few> {
        let fits = version >> Few::VERSION_BITS == 0 && epoch >> Few::EPOCH_BITS == 0;
        fits.then_some(Few((version << Few::EPOCH_BITS | epoch) << Few::PLACE_BITS))
    }

    /// The same with these places, if there is room.
    fn with(self, places: &[usize]) -> Option<Few> {
        let place = match places {
            [] => 0,
            [place] => u64::try_from(*place).ok()?.checked_add(1)?,
            _ => return None,
        };
        (place >> Few::PLACE_BITS == 0).then_some(Few(self.0 | place))
    }

    /// What a word tells, if it is of these very version and epoch.
    #[inline]
    fn known(self, word: u64, version: u64) -> Option<Known> {
        let place = word ^ self.0;
        let same = place >> Few::PLACE_BITS == 0;
        let place = usize::try_from(place).ok()?.checked_sub(1);
        same.then_some(Known { version, place })
    }
}

/// The one that matches a subject in the table of that version, or that none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) version: u64,
    pub(super) place: Option<usize>,
}

/// What is remembered of a subject for the table's version, if that is so little.
#[inline]
pub(super) fn known(version: u64, subject: &dyn Subject) -> Option<Known> {
    subject.memo()?.few(version, subject.epoch())
}

/// Whether it is remembered that no fault of the table's version matches the subject.
#[inline]
pub(super) fn is_free(version: u64, subject: &dyn Subject) -> bool {
    known(version, subject).is_some_and(|known| known.place.is_none())
}

struct All {
    matches: Option<Matches>,
    below: Option<Arc<Below>>,
}

/// The faults of the table's `version` whose pattern matches any of the paths of `epoch`.
#[derive(Clone)]
struct Matches {
    version: u64,
    epoch: u64,
    /// Places in the snapshot, ascending.
    places: Box<[usize]>,
}

/// How far the path that a directory has in `epoch` leads.
struct Below {
    epoch: u64,
    lead: Lead,
}

/// Finds the places whose pattern matches any of the subject's paths, remembered or afresh.
pub(super) fn with_matches<T>(
    snapshot: &Snapshot,
    subject: &dyn Subject,
    then: impl FnOnce(&[usize]) -> T,
) -> T {
    // Before the paths, so that an answer is never remembered under a later epoch than its own.
    let epoch = subject.epoch();
    let memo = subject.memo();
    if let Some(known) = memo.and_then(|memo| memo.few(snapshot.version(), epoch)) {
        return then(known.place.as_slice());
    }
    let all = memo.map(|memo| memo.all.load());
    let matches = all.as_deref().and_then(|all| all.as_ref()?.matches.as_ref());
    let found;
    then(match matches.filter(|all| all.version == snapshot.version() && all.epoch == epoch) {
        Some(all) => &all.places,
        None => {
            found = find(snapshot, subject, epoch);
            &found
        }
    })
}

/// Finds them afresh, and remembers them where there is a memo.
#[inline(never)]
fn find(snapshot: &Snapshot, subject: &dyn Subject, epoch: u64) -> Box<[usize]> {
    let Some(memo) = subject.memo() else {
        return Found::of(snapshot, subject.methods(), subject);
    };
    let places = Found::of(snapshot, MethodSet::ALL, subject);
    let version = snapshot.version();
    if let Some(few) = Few::of(version, epoch).and_then(|few| few.with(&places)) {
        memo.few.store(few.0, Ordering::Relaxed);
        return places;
    }
    let matches = Some(Matches { version, epoch, places: places.clone() });
    let all = memo.all.load();
    let below = all.as_ref().and_then(|all| all.below.clone());
    memo.all.store(Some(Arc::new(All { matches, below })));
    places
}

impl Memo {
    /// What is remembered so. Of an empty table, version 0, nothing is.
    #[inline]
    fn few(&self, version: u64, epoch: u64) -> Option<Known> {
        let word = self.few.load(Ordering::Relaxed);
        Few::of(version, epoch).filter(|_| version != 0)?.known(word, version)
    }

    /// Remembers how far the directory's path leads, beside the rest.
    fn lead(&self, below: Below) {
        let all = self.all.load();
        let matches = all.as_ref().and_then(|all| all.matches.clone());
        self.all.store(Some(Arc::new(All { matches, below: Some(Arc::new(below)) })));
    }
}

/// The places that are found, ascending, of faults that have one of these methods.
struct Found<'a> {
    snapshot: &'a Snapshot,
    methods: MethodSet,
    places: Vec<usize>,
    /// Those that the path itself has yet to decide.
    unsure: Vec<usize>,
}

impl<'a> Found<'a> {
    /// Finds those of the subject's paths.
    fn of(snapshot: &'a Snapshot, methods: MethodSet, subject: &dyn Subject) -> Box<[usize]> {
        let (places, unsure) = (Vec::new(), Vec::new());
        let mut found = Found { snapshot, methods, places, unsure };
        let mut is_entry = false;
        subject.entry(&mut |entry| {
            found.of_entry(entry);
            is_entry = true;
        });
        if !is_entry {
            subject.paths(&mut |path| found.of_path(path));
        }
        found.places.into()
    }

    fn of_path(&mut self, path: &[u8]) {
        self.snapshot.patterns.of_path(path, &mut |place| self.sift(place));
        self.decide(path);
    }

    /// Goes on where the directory's path led.
    fn of_entry(&mut self, entry: &Entry<'_>) {
        let Entry { directory, name } = entry;
        // Before its path, so that no lead is remembered under a later epoch than its own.
        let epoch = directory.epoch();
        let memo = directory.memo();
        let all = memo.map(|memo| memo.all.load());
        let below = all.as_deref().and_then(|all| all.as_ref()?.below.as_ref());
        let lead = below.filter(|below| below.epoch == epoch).map(|below| below.lead);
        let patterns = &self.snapshot.patterns;
        if lead.is_some_and(|lead| patterns.of_name(lead, name, &mut |place| self.sift(place))) {
            if !self.unsure.is_empty() {
                directory.paths(&mut |path| self.decide(&[&slashed(path), *name].concat()));
            }
            return;
        }
        self.places.clear();
        self.unsure.clear();
        directory.paths(&mut |path| {
            let mut path = slashed(path);
            if let (Some(memo), Some(lead)) = (memo, patterns.lead(&path)) {
                memo.lead(Below { epoch, lead });
            }
            path.extend_from_slice(name);
            self.of_path(&path);
        });
    }

    /// One whose sieve accepts a path, or that has none.
    fn sift(&mut self, place: usize) {
        let Some(row) = self.snapshot.rows.get(place) else { return };
        if !row.concerned().intersects(self.methods) {
            return;
        }
        match row.live.fault.scope().pattern.is_sure() {
            true => self.insert(place),
            false => self.unsure.push(place),
        }
    }

    /// The path decides where the sieve could not.
    fn decide(&mut self, path: &[u8]) {
        for place in std::mem::take(&mut self.unsure) {
            let row = self.snapshot.rows.get(place);
            if row.is_some_and(|row| row.live.fault.scope().pattern.decides(path)) {
                self.insert(place);
            }
        }
    }

    fn insert(&mut self, place: usize) {
        if let Err(at) = self.places.binary_search(&place) {
            self.places.insert(at, place);
        }
    }
}

/// The path of a directory with the slash that is between it and a name.
fn slashed(directory: &[u8]) -> Vec<u8> {
    let mut path = directory.strip_suffix(b"/").unwrap_or(directory).to_vec();
    path.push(b'/');
    path
}

#[cfg(test)]
mod tests;
