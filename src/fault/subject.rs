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
    known: ArcSwapOption<Known>,
    /// Of which table and paths no fault matches; both in one word, so that they are of one moment.
    free: AtomicU64,
}

/// Version and epoch in a word that no other two have. None where they are too large for that.
#[inline]
fn both(version: u64, epoch: u64) -> Option<u64> {
    let (version, epoch) = (u32::try_from(version).ok()?, u32::try_from(epoch).ok()?);
    Some(u64::from(version) << 32 | u64::from(epoch))
}

/// Whether it is remembered that no fault of the table's version matches the subject. An empty table,
/// version 0, is not asked.
#[inline]
pub(super) fn is_free(version: u64, subject: &dyn Subject) -> bool {
    let Some(memo) = subject.memo() else { return false };
    version != 0 && both(version, subject.epoch()) == Some(memo.free.load(Ordering::Relaxed))
}

struct Known {
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
    let known = subject.memo().map(|memo| memo.known.load());
    let matches = known.as_deref().and_then(|known| known.as_ref()?.matches.as_ref());
    let found;
    then(match matches.filter(|k| k.version == snapshot.version() && k.epoch == epoch) {
        Some(known) => &known.places,
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
    if places.is_empty() {
        memo.free.store(both(version, epoch).unwrap_or_default(), Ordering::Relaxed);
    }
    let matches = Some(Matches { version, epoch, places: places.clone() });
    let known = memo.known.load();
    let below = known.as_ref().and_then(|known| known.below.clone());
    memo.known.store(Some(Arc::new(Known { matches, below })));
    places
}

impl Memo {
    /// Remembers how far the directory's path leads, beside the rest.
    fn lead(&self, below: Below) {
        let known = self.known.load();
        let matches = known.as_ref().and_then(|known| known.matches.clone());
        self.known.store(Some(Arc::new(Known { matches, below: Some(Arc::new(below)) })));
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
        let known = memo.map(|memo| memo.known.load());
        let below = known.as_deref().and_then(|known| known.as_ref()?.below.as_ref());
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
