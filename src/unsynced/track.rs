//! How a request that changes something gets into the log: what was there is taken before it runs, and
//! what it has done after.
//!
//! Lock rule, the one exception to "none across a system call": while such a request runs it holds the gate
//! shared, and the lock of each inode whose content or attributes it changes; one that changes names holds
//! the lock of names before that. A cut holds the gate alone. The log's own lock covers memory work only,
//! but for a cut, which holds it last.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{MutexGuard, RwLockReadGuard};
use rustix::fs::FallocateFlags;

use super::file::Event;
use super::log::{Change, Entry, Renamed};
use super::past::Gap;
use super::{BULK, Unsynced};
use crate::kept::Kept;
use crate::mirror::{Fh, Ino, Mirror, Seen};

/// What a request may change.
#[derive(Clone, Debug)]
pub(crate) enum About<'a> {
    /// Entries of directories; of a link also the inode that gets one more. `makes` where it makes what
    /// is there then.
    Names { entries: [Option<(Ino, &'a OsStr)>; 2], linked: Option<Ino>, makes: bool },
    /// So many bytes from there on; by whom, if the handle syncs each write.
    Write { file: (Ino, Fh), at: u64, len: u64, owes: Option<(Fh, u32)> },
    /// Mode, owner, times, and the size if that is set.
    State { ino: Ino, size: Option<u64>, times: bool },
    /// What fallocate(2) does in that mode.
    Allocate { ino: Ino, mode: i32, at: u64, len: u64 },
    /// An extended attribute.
    Attribute { ino: Ino, name: &'a OsStr },
    /// What the disk has of a file, by no program: nothing of that is taken back.
    Disk { ino: Ino },
}

/// A request that is under way, with what it takes to undo it.
struct Begun<'a> {
    what: What,
    // In the order in which they are let go.
    _inodes: Vec<MutexGuard<'a, ()>>,
    _names: Option<MutexGuard<'a, ()>>,
    _gate: RwLockReadGuard<'a, ()>,
}

enum What {
    Names(Vec<(Ino, OsString, Option<Ino>)>, bool),
    Inode {
        ino: Ino,
        before: Seen,
        data: Option<Data>,
        times: bool,
        attribute: Before,
    },
    /// It is not there.
    Nothing,
}

/// An extended attribute, and what it was.
type Before = Option<(Box<OsStr>, Option<Vec<u8>>)>;

/// What may become of a content.
struct Data {
    range: Range<u64>,
    image: Option<Arc<Kept>>,
    cut: bool,
    owes: Option<(Fh, u32)>,
    /// Why it cannot be remembered, if so.
    gap: Option<Gap>,
}

impl Data {
    /// Whether the bytes are what they were: of a request that has failed or had nothing to copy nothing is to be
    /// undone, and it brings nothing along that was lost.
    fn is_as_before<N: Default>(&self, tree: &Mirror<N>, ino: Ino) -> bool {
        let Some(image) = &self.image else { return true };
        let (start, len) = (self.range.start, image.len());
        let mut before = vec![0; usize::try_from(len).unwrap_or_default()];
        let now = tree.peek_at(ino, &(start..start.saturating_add(len)));
        image.read(0, &mut before).is_ok() && now.is_ok_and(|now| now == before)
    }
}

impl Unsynced {
    /// Runs a request that may change something.
    pub(crate) fn change<N: Default, T>(
        &self,
        tree: &Mirror<N>,
        about: &About<'_>,
        run: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.note_change(tree, about);
        let begun = self.begin(tree, about);
        let result = run();
        self.end(tree, begun, result.is_ok());
        result
    }

    /// Before a request runs.
    fn begin<N: Default>(&self, tree: &Mirror<N>, about: &About<'_>) -> Begun<'_> {
        let gate = self.gate.read();
        match about {
            About::Names { entries, linked, makes } => {
                let names = self.names.lock();
                let hold =
                    |(dir, name): (Ino, &OsStr)| (dir, name.to_owned(), tree.hold_at(dir, name));
                let found: Vec<_> = entries.iter().flatten().copied().map(hold).collect();
                // Its time of change tells of what others do, in directories too.
                let inodes = found.iter().flat_map(|(dir, _, ino)| [Some(*dir), *ino]);
                let inodes = self.lock(inodes.flatten().chain(*linked).collect());
                let what = What::Names(found, *makes);
                Begun { what, _inodes: inodes, _names: Some(names), _gate: gate }
            }
            About::Write { file: (ino, _), .. }
            | About::State { ino, .. }
            | About::Allocate { ino, .. }
            | About::Attribute { ino, .. }
            | About::Disk { ino } => {
                let inodes = self.lock(vec![*ino]);
                let what = self.look(tree, *ino, about);
                Begun { what, _inodes: inodes, _names: None, _gate: gate }
            }
        }
    }

    /// Locks inodes, always in the same order.
    fn lock(&self, inodes: Vec<Ino>) -> Vec<MutexGuard<'_, ()>> {
        let stripes = self.inodes.len() as u64;
        let place = |ino: Ino| usize::try_from(ino.0 % stripes).unwrap_or_default();
        let mut places: Vec<usize> = inodes.into_iter().map(place).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|at| self.inodes.get(at)).map(|one| one.lock()).collect()
    }

    fn look<N: Default>(&self, tree: &Mirror<N>, ino: Ino, about: &About<'_>) -> What {
        let Ok(before) = tree.seen(ino) else { return What::Nothing };
        self.compare(tree, ino, &before);
        let peek_at = |range: &_| tree.peek_at(ino, range);
        let data = match *about {
            About::Write { file: (_, fh), at, len, owes } => {
                let (at, peek) = (at..at.saturating_add(len), |range: &_| tree.peek(fh, range));
                Some(self.data(peek, at, &before, (false, owes)))
            }
            About::State { size: Some(size), .. } => {
                Some(self.data(peek_at, size..before.size.max(size), &before, (true, None)))
            }
            About::Allocate { mode, at, len, .. } => {
                let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
                let clears = FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE;
                let end = at.saturating_add(len).min(before.size);
                let range = if mode.intersects(clears) { at.min(end)..end } else { 0..0 };
                Some(self.data(peek_at, range, &before, (true, None)))
            }
            About::State { .. }
            | About::Attribute { .. }
            | About::Disk { .. }
            | About::Names { .. } => None,
        };
        let attribute = match about {
            About::Attribute { name, .. } => Some((Box::from(*name), tree.attribute(ino, name))),
            _ => None,
        };
        let times = matches!(about, About::State { times: true, .. });
        What::Inode { ino, before, data, times, attribute }
    }

    /// What a request finds must be what the last one left: else somebody else was there.
    pub(super) fn compare<N: Default>(&self, tree: &Mirror<N>, ino: Ino, found: &Seen) {
        let mut log = self.log.lock();
        let left = log.files.get(&ino).and_then(|file| file.seen);
        let same = |left: Seen| {
            (left.size, left.mtime, left.ctime) == (found.size, found.mtime, found.ctime)
        };
        if left.is_none_or(same) {
            return;
        }
        log.give_up(ino);
        let released = log.take_released();
        drop(log);
        self.became_foreign(tree, ino);
        released.into_iter().for_each(|ino| tree.forget(ino, 1));
    }

    /// Takes what a range has now, as far as the file reaches.
    fn data(
        &self,
        peek: impl FnOnce(&Range<u64>) -> io::Result<Vec<u8>>,
        range: Range<u64>,
        before: &Seen,
        (cut, owes): (bool, Option<(Fh, u32)>),
    ) -> Data {
        let taken = range.start..range.end.min(before.size);
        let is_bulk = cut && taken.end.saturating_sub(taken.start) > BULK;
        let mut gap = is_bulk.then_some(Gap::Bulk);
        let mut image = None;
        if gap.is_none() && !taken.is_empty() {
            match peek(&taken) {
                Ok(bytes) => image = Some(self.kept(bytes)),
                Err(error) => {
                    tracing::debug!("what is written over cannot be read: {error}");
                    gap = Some(Gap::Unread);
                }
            }
        }
        let range = if cut { taken } else { range };
        let range = if range.is_empty() { 0..0 } else { range };
        Data { range, image, cut, owes, gap }
    }

    fn kept(&self, bytes: Vec<u8>) -> Arc<Kept> {
        let kept = Kept::of(&self.keep, bytes);
        if kept.is_too_much() {
            kept.store();
        }
        kept
    }

    /// After it has run, well or not: what is logged is what was done.
    fn end<N: Default>(&self, tree: &Mirror<N>, begun: Begun<'_>, succeeded: bool) {
        match begun.what {
            What::Names(entries, makes) => self.end_names(tree, entries, makes),
            What::Inode { ino, before, data, times, attribute } => {
                let after = tree.seen(ino);
                let Ok(after) = after else { return };
                let data = data.filter(|data| {
                    let resized = before.size != after.size;
                    let same = (before.mtime, before.ctime) == (after.mtime, after.ctime);
                    let may_be_nothing = !succeeded || same;
                    let is_there = !data.range.is_empty();
                    resized || is_there && !(may_be_nothing && data.is_as_before(tree, ino))
                });
                // Of one that failed no sync comes.
                let data = data.map(|data| Data { owes: data.owes.filter(|_| succeeded), ..data });
                let attribute = attribute.filter(|_| succeeded);
                let left = Left { before, after, times: times && succeeded };
                self.end_inode(tree, ino, &left, data, attribute);
            }
            What::Nothing => {}
        }
    }

    fn end_names<N: Default>(
        &self,
        tree: &Mirror<N>,
        entries: Vec<(Ino, OsString, Option<Ino>)>,
        makes: bool,
    ) {
        let mut held = Vec::new();
        let mut changed = Vec::new();
        for (dir, name, before) in entries {
            let after = tree.hold_at(dir, &name);
            held.extend([before, after].into_iter().flatten());
            if before != after {
                tree.hold(dir);
                held.push(dir);
                changed.push(Entry { dir, name: name.into(), before, after });
            }
        }
        let stays = |ino: Ino| changed.iter().any(|entry| entry.after == Some(ino));
        let lost = changed.iter().filter_map(|entry| entry.before).find(|ino| !stays(*ino));
        let gone = lost.and_then(|ino| {
            let seen = tree.seen(ino).ok()?;
            let is_dir = seen.kind() == libc::S_IFDIR;
            (is_dir || seen.links == 0).then(|| (ino, seen.blocks.saturating_mul(512)))
        });
        let mut above: Vec<Ino> =
            changed.iter().flat_map(|entry| tree.ancestors(entry.dir)).collect();
        above.sort_unstable();
        above.dedup();
        let touched = changed.iter().flat_map(|e| [e.before, e.after, Some(e.dir)]).flatten();
        let seen: Vec<(Ino, Seen)> =
            touched.filter_map(|ino| Some((ino, tree.seen(ino).ok()?))).collect();
        let mut log = self.log.lock();
        if changed.is_empty() {
            drop(log);
            held.into_iter().for_each(|ino| tree.forget(ino, 1));
            return;
        }
        if makes {
            let made = changed.iter().filter_map(|entry| entry.after);
            for ino in made {
                let _ = log.enter(ino, || tree.hold(ino));
            }
        }
        log.renamed(Renamed { entries: changed, above, gone, made: makes }, held);
        for (ino, seen) in seen {
            if let Some(file) = log.files.get_mut(&ino) {
                file.seen = Some(seen);
            }
        }
        self.settle(tree, log);
    }

    fn end_inode<N: Default>(
        &self,
        tree: &Mirror<N>,
        ino: Ino,
        left: &Left,
        data: Option<Data>,
        attribute: Before,
    ) {
        let Left { before, after, times } = left;
        let mut log = self.log.lock();
        let hold = || {
            tree.hold(ino);
            vec![ino]
        };
        let is_other = (before.mode, before.uid, before.gid) != (after.mode, after.uid, after.gid);
        let changes = is_other || *times || data.is_some() || attribute.is_some();
        if !changes {
            if let Some(file) = log.files.get_mut(&ino) {
                file.seen = Some(*after);
            }
            return;
        }
        log.enter(ino, || tree.hold(ino)).seen = Some(*after);
        if is_other || *times {
            log.changed(Change::State(ino, Box::new(*before)), hold());
        }
        if let Some((name, value)) = attribute {
            log.changed(Change::Attribute(ino, name, value), hold());
        }
        let gap = data.as_ref().and_then(|data| data.gap);
        if let Some(data) = data {
            if let Some(by) = data.owes {
                log.enter(ino, || ()).owe(by, data.range.clone());
            }
            let mapped = (before.size, before.blocks) != (after.size, after.blocks);
            let sizes = (before.size, after.size);
            let Data { range, image, cut, .. } = data;
            let (from, lost, when) = (range.start, false, Instant::now());
            let event = Event { seq: 0, range, image, from, sizes, cut, lost, when };
            let held = if cut { hold() } else { Vec::new() };
            log.written(ino, event, mapped, held);
        }
        if let Some(gap) = gap {
            log.checkpoint();
            log.forget_past(gap);
            self.told_of_bulk(tree, ino, gap);
        }
        self.settle(tree, log);
    }
}

/// An inode before a request and after it.
struct Left {
    before: Seen,
    after: Seen,
    /// Whether it sets times.
    times: bool,
}
