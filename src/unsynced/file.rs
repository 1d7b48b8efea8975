//! What the log has of the content of one file. No locks.

use std::collections::VecDeque;
use std::mem::{replace, take};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::kept::Kept;
use crate::mirror::{Fh, Seen};

/// What a change costs beside its data.
pub(super) const COST: u64 = 256;

/// What a kernel keeps, and writes, as a whole.
pub(super) const PAGE: u64 = 4096;

/// How many ranges that were synced by themselves are enough to look for those that matter no more.
const MANY: usize = 1024;

/// What was done to the content of a file.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) seq: u64,
    /// The bytes that may be others now.
    pub(super) range: Range<u64>,
    /// What they were, from the byte `from` to where the file ended, if it did not begin there.
    pub(super) image: Option<Arc<Kept>>,
    pub(super) from: u64,
    /// The size before and after.
    pub(super) sizes: (u64, u64),
    /// Whether it has its place among the changes, as a write has not.
    pub(super) cut: bool,
    /// Whether its sync was lost: then no later one makes its bytes durable.
    pub(super) lost: bool,
    pub(super) when: Instant,
}

impl Event {
    pub(super) fn resizes(&self) -> bool {
        self.sizes.0 != self.sizes.1
    }

    /// Whether a sync could make something of it durable.
    pub(super) fn is_pending(&self) -> bool {
        !self.lost || self.resizes()
    }

    /// What it takes to remember it.
    pub(super) fn cost(&self) -> u64 {
        let end = self.image.as_ref().map_or(0, |image| self.from + image.len());
        COST + end.min(self.range.end).saturating_sub(self.range.start)
    }

    /// What of it lies before a range, within and behind. What it has done to the size is the first's.
    fn split(self, at: &Range<u64>) -> [Option<Event>; 3] {
        let Range { start, end } = self.range;
        let (from, to) = (at.start.clamp(start, end), at.end.clamp(start, end));
        let mut sizes = self.sizes;
        [start..from, from..to, to..end].map(|range| {
            let sizes =
                (!range.is_empty()).then(|| replace(&mut sizes, (self.sizes.1, self.sizes.1)))?;
            Some(Event { range, sizes, ..self.clone() })
        })
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
    /// Whether some of what was done is lost.
    pub(super) has_lost: bool,
    /// A sync has failed, and somebody has yet to learn it.
    pub(super) failed: Option<Failed>,
    /// How many ranges that were synced by themselves are enough to look through them.
    many: usize,
}

/// Who has to learn that a sync has failed: each that was open then, by a sync that fails; and if nobody has
/// learnt it yet, also who opens it next.
#[derive(Default)]
pub(super) struct Failed {
    pub(super) owed: Vec<Fh>,
    pub(super) seen: bool,
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

impl File {
    /// The number of the first thing done of which a sync could make something durable.
    pub(super) fn first_pending(&self) -> Option<u64> {
        self.events.iter().find(|event| event.is_pending()).map(|event| event.seq)
    }

    /// What was done there up to that number is lost.
    pub(super) fn lose(&mut self, within: &Range<u64>, mark: u64) {
        for event in take(&mut self.events) {
            let stays = event.seq > mark || event.cut || event.lost;
            if stays || !overlap(&event.range, within) {
                self.events.push_back(event);
                continue;
            }
            self.has_lost = true;
            let [before, inside, behind] = event.split(within);
            let inside = inside.map(|event| Event { lost: true, ..event });
            self.events.extend([before, inside, behind].into_iter().flatten());
        }
    }

    /// What was done up to that number is durable by now, and is taken out: how much remembering it took, how
    /// much what stays of it takes, and the numbers of those that have one among the changes. What is lost
    /// stays, but where it was written again: the sync of that has stored all of its pages. `gone` is given the rest.
    pub(super) fn settle(
        &mut self,
        limit: u64,
        mut gone: impl FnMut(Event),
    ) -> (u64, u64, Vec<u64>) {
        let (mut freed, mut cuts) = (0, Vec::new());
        let mut lost: Vec<Event> = Vec::new();
        let durable = self.events.partition_point(|event| event.seq <= limit);
        for event in self.events.drain(..durable) {
            freed += event.cost();
            if event.lost {
                let sizes = (event.sizes.1, event.sizes.1);
                lost.push(Event { sizes, ..event });
                continue;
            }
            cuts.extend(event.cut.then_some(event.seq));
            let stored = pages(&event.range);
            if lost.iter().any(|lost| overlap(&lost.range, &stored)) {
                let outside = |lost: Event| {
                    let [before, _, behind] = lost.split(&stored);
                    [before, behind].into_iter().flatten()
                };
                lost = lost.into_iter().flat_map(outside).collect();
            }
            gone(event);
        }
        self.has_lost &= !lost.is_empty() || self.events.iter().any(|event| event.lost);
        let stays = lost.iter().map(Event::cost).sum();
        lost.into_iter().rev().for_each(|lost| self.events.push_front(lost));
        self.thin_out();
        (freed, stays, cuts)
    }

    /// What was lost counts as durable: how much remembering it took.
    pub(super) fn settle_lost(&mut self) -> u64 {
        let before: u64 = self.events.iter().map(Event::cost).sum();
        self.events.retain(|event| !event.lost);
        self.has_lost = false;
        self.thin_out();
        before - self.events.iter().map(Event::cost).sum::<u64>()
    }

    /// Forgets which ranges were synced that nothing is left of which was done there before.
    fn thin_out(&mut self) {
        let first = self.events.front().map(|event| event.seq);
        self.synced.retain(|(_, seq)| first.is_some_and(|first| first <= *seq));
        if self.synced.len() >= self.many.max(MANY) {
            let events = &self.events;
            self.synced.retain(|(range, seq)| {
                let range = pages(range);
                events.iter().any(|event| event.seq <= *seq && overlap(&event.range, &range))
            });
            self.many = 2 * self.synced.len();
        }
    }

    /// Somebody who has it open syncs it: whether he has yet to learn that a sync has failed, and does now.
    pub(super) fn learns(&mut self, fh: Fh) -> bool {
        let Some(failed) = &mut self.failed else { return false };
        let Some(at) = failed.owed.iter().position(|owed| *owed == fh) else { return false };
        failed.owed.swap_remove(at);
        failed.seen = true;
        self.forget_failed();
        true
    }

    /// It is open no more.
    pub(super) fn closed(&mut self, fh: Fh) {
        if let Some(failed) = &mut self.failed {
            failed.owed.retain(|owed| *owed != fh);
            self.forget_failed();
        }
    }

    pub(super) fn forget_failed(&mut self) {
        self.failed = self.failed.take().filter(|failed| !failed.seen || !failed.owed.is_empty());
    }
}

/// The pages that a range touches.
pub(super) fn pages(range: &Range<u64>) -> Range<u64> {
    range.start / PAGE * PAGE..range.end.div_ceil(PAGE).saturating_mul(PAGE)
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start.max(other.start) < one.end.min(other.end)
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
