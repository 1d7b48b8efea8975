//! What the log has of the content of one file. No locks.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::kept::Kept;
use crate::mirror::{Fh, Seen};

/// What a change costs beside its data.
pub(super) const COST: u64 = 256;

/// What was done to the content of a file.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) seq: u64,
    /// The bytes that may be others now.
    pub(super) range: Range<u64>,
    /// What they were, from the start of the range to where the file ended, if it did not begin there.
    pub(super) image: Option<Arc<Kept>>,
    /// The size before and after.
    pub(super) sizes: (u64, u64),
    /// Whether it has its place among the changes, as a write has not.
    pub(super) cut: bool,
    pub(super) when: Instant,
}

impl Event {
    pub(super) fn resizes(&self) -> bool {
        self.sizes.0 != self.sizes.1
    }

    /// What it takes to remember it.
    pub(super) fn cost(&self) -> u64 {
        COST + self.image.as_ref().map_or(0, |image| image.len())
    }
}

/// A file with something that is not durable.
#[derive(Default)]
pub(super) struct File {
    pub(super) events: VecDeque<Event>,
    /// Ranges that were synced by themselves, each up to a number.
    pub(super) synced: Vec<(Range<u64>, u64)>,
    /// The last change of its size or of what is allocated, its making included.
    pub(super) mapped: u64,
    /// Writes by handles that sync each write, whose sync is still to come.
    pub(super) owed: Vec<((Fh, u32), Range<u64>)>,
    /// How the last request left it.
    pub(super) seen: Option<Seen>,
}

impl File {
    /// A write owes its sync. The kernel may send one write(2) in parts, and sends one sync after them.
    pub(super) fn owe(&mut self, by: (Fh, u32), range: Range<u64>) {
        match self.owed.iter_mut().find(|(who, _)| *who == by) {
            Some((_, owed)) if owed.end == range.start => owed.end = range.end,
            Some((_, owed)) => *owed = range,
            None => self.owed.push((by, range)),
        }
    }
}

/// Ranges as offset and length, ascending, those that touch as one.
pub(super) fn joined(mut ranges: Vec<Range<u64>>) -> Vec<(u64, u64)> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let touches = next.start <= last.end;
        if touches {
            last.end = last.end.max(next.end);
        }
        touches
    });
    ranges.into_iter().map(|range| (range.start, range.end - range.start)).collect()
}
