//! What a plan changes of an operation itself, as those see it who run it. No locks.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::slice;

use crate::fault::injections::Source;
use crate::fault::operation::Span;
use crate::fault::plan::{Edit, Run, Space, Sync};
use crate::fault::spoil::{Spoil, without};
use crate::mirror::Buffer;

/// Part of what a request writes.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    /// Ranges of its bytes, ascending and apart.
    pub(super) ranges: &'a [Range<u64>],
    /// Whether it is answered as if all were written: then the file grows as if it were.
    pub(super) whole: bool,
    /// So many bytes there is room for: what is told as written, and how far the file grows, ends there.
    pub(super) room: u64,
    /// Whether the file keeps its time of modification.
    pub(super) hidden: bool,
}

/// What is otherwise about an operation that runs, and what it leaves for those who asked.
pub(super) struct Altered<'a> {
    pub(super) run: &'a Run,
    pub(super) edits: &'a [Edit],
    pub(super) spoil: Option<Spoil>,
    pub(super) hidden: bool,
    pub(super) space: Option<Space>,
    /// Whether its sync is done.
    pub(super) sync: Sync,
    /// It is answered as if all were done.
    pub(super) whole: bool,
    /// Somebody asks what it writes over.
    pub(super) wants_replaced: bool,
    /// That, once it was read.
    pub(super) replaced: Cell<Option<Buffer>>,
    /// The bytes that it is about.
    pub(super) span: Option<Span>,
    /// All the bytes that it writes.
    pub(super) all: Range<u64>,
    /// What it came with.
    pub(super) asked: &'a [u8],
    /// The fault that has it otherwise.
    pub(super) spoiler: Option<Source>,
    /// So many of its bytes there is room for, if not for all.
    pub(super) room: Option<u64>,
    /// It is answered what was done.
    pub(super) truthful: bool,
    /// Its answer waits once it has run.
    pub(super) late: bool,
    /// How many it would have moved, where that is not what it asked for.
    pub(super) would_move: Cell<Option<u64>>,
    /// The numbers of the injections that it makes.
    pub(super) injected: &'a RefCell<Vec<u64>>,
}

impl Altered<'_> {
    /// It has made these injections.
    pub(super) fn has_injected(&self, ids: impl IntoIterator<Item = u64>) {
        self.injected.borrow_mut().extend(ids);
    }

    /// What of it is written by parts, if it is: also all of it, if the kernel has other bytes in its
    /// cache by now.
    pub(super) fn parts(&self) -> Option<Parts<'_>> {
        let ranges = match self.run {
            Run::Part(ranges) => ranges,
            Run::Whole if !self.is_edited() || self.all.is_empty() => return None,
            Run::Whole => slice::from_ref(&self.all),
        };
        let room = self.room.unwrap_or(u64::MAX);
        Some(Parts { ranges, whole: self.whole, room, hidden: self.hidden })
    }

    fn is_edited(&self) -> bool {
        !self.edits.is_empty() || self.spoil.is_some()
    }

    /// The ranges of its bytes that are let through, where not all are.
    pub(super) fn let_through(&self) -> Option<&[Range<u64>]> {
        match self.run {
            Run::Whole => None,
            Run::Part(ranges) => Some(ranges),
        }
    }

    /// What is written in place of these bytes, if others are.
    pub(super) fn edited(&self, data: &[u8]) -> Option<Vec<u8>> {
        if !self.is_edited() || data.is_empty() {
            return None;
        }
        let mut data = data.to_vec();
        self.edits_of(data.len() as u64).iter().for_each(|edit| edit.apply(&mut data));
        Some(data)
    }

    /// Which of so many bytes may not be what they should be.
    pub(super) fn suspects(&self, len: u64) -> Vec<Range<u64>> {
        let edited = self.edits_of(len).into_iter();
        let edited = edited.map(|edit| edit.at..edit.at.saturating_add(edit.bytes.len() as u64));
        let withheld = match self.run {
            Run::Part(ranges) if !self.truthful => without(len, ranges),
            _ => Box::default(),
        };
        edited.chain(withheld).collect()
    }

    /// What is done to its bytes, if it has moved so many.
    pub(super) fn edits_of(&self, len: u64) -> Vec<Edit> {
        let offset = self.span.map_or(0, |span| span.offset);
        let spoilt = self.spoil.map(|spoil| spoil.edits(Span { offset, len }));
        [self.edits, &spoilt.unwrap_or_default()].concat()
    }

    /// How many bytes it is told to have moved, if it is answered as if all were done.
    pub(super) fn pretended(&self) -> u64 {
        let all = self.would_move.get().or(self.span.map(|span| span.len)).unwrap_or_default();
        all.min(self.room.unwrap_or(u64::MAX))
    }
}
