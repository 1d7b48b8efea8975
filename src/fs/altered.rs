//! What a plan changes of an operation itself, as those see it who run it. No locks.

use std::cell::Cell;
use std::ops::Range;
use std::slice;

use crate::fault::plan::{Edit, Run, Space};
use crate::mirror::Buffer;

/// Part of what a request writes.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    /// Ranges of its bytes, ascending and apart.
    pub(super) ranges: &'a [Range<u64>],
    /// Whether it is answered as if all were written: then the file grows as if it were.
    pub(super) whole: bool,
}

/// What is otherwise about an operation that runs, and what it leaves for those who asked.
pub(super) struct Altered<'a> {
    pub(super) run: &'a Run,
    pub(super) edits: &'a [Edit],
    pub(super) space: Option<Space>,
    /// No sync is done.
    pub(super) unsynced: bool,
    /// It is answered as if all were done.
    pub(super) whole: bool,
    /// Somebody asks what it writes over.
    pub(super) wants_replaced: bool,
    /// That, once it was read.
    pub(super) replaced: Cell<Option<Buffer>>,
    /// All the bytes that came with it.
    pub(super) all: Range<u64>,
}

impl Altered<'_> {
    /// What of it is written by parts, if it is: also all of it, if the kernel has other bytes in its
    /// cache by now.
    pub(super) fn parts(&self) -> Option<Parts<'_>> {
        let ranges = match self.run {
            Run::Part(ranges) => ranges,
            Run::Whole if self.edits.is_empty() || self.all.is_empty() => return None,
            Run::Whole => slice::from_ref(&self.all),
        };
        Some(Parts { ranges, whole: self.whole })
    }

    /// What is written in place of these bytes, if others are.
    pub(super) fn edited(&self, data: &[u8]) -> Option<Vec<u8>> {
        if self.edits.is_empty() || data.is_empty() {
            return None;
        }
        let mut data = data.to_vec();
        self.edits.iter().for_each(|edit| edit.apply(&mut data));
        Some(data)
    }
}
