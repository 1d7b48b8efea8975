//! How much is remembered: what is old, and the oldest of what is too much, counts as written back, in the
//! order in which it was done, as a kernel does it. No locks.

use std::collections::HashMap;
use std::time::Instant;

use super::file::File;
use super::log::{Log, Queued};
use super::past::Gap;
use crate::mirror::Ino;

/// So many files may be without a name until their removal is durable: each has a descriptor open.
const MOST_GONE: usize = 1000;

/// The queue is looked through when it has come to so many entries.
const CROWDED: usize = 1024;

impl Log {
    /// What is older than that, and the oldest of what takes more than that, counts as written back.
    pub(super) fn bound(&mut self, oldest: Option<Instant>, most: u64) {
        self.thin_out();
        let is_old = |queued: &Queued| oldest.is_some_and(|oldest| queued.when < oldest);
        let is_too_much = |log: &Log| log.cost > most || log.gone > MOST_GONE;
        while is_too_much(self) || self.queue.front().is_some_and(is_old) {
            if !self.write_back() {
                break;
            }
        }
        // What is lost is not written back: it counts as durable only for want of room.
        while self.cost > most
            && let Some(ino) =
                self.files.iter().find(|(_, file)| file.has_lost).map(|(ino, _)| *ino)
        {
            self.settle_lost(ino);
            self.written_back += 1;
        }
    }

    /// All is durable, and no write owes a sync any more.
    pub(super) fn checkpoint(&mut self) {
        let back = self.written_back;
        while self.write_back() {}
        self.written_back = back;
        let left = self.files.iter_mut().filter(|(_, file)| file.has_lost || !file.owed.is_empty());
        let left = left.map(|(ino, file)| {
            file.owed.clear();
            *ino
        });
        left.collect::<Vec<_>>().into_iter().for_each(|ino| self.settle_lost(ino));
    }

    /// Nothing is left to be lost, nor a sync to come.
    pub(super) fn forget_all(&mut self) {
        self.checkpoint();
        self.forget_past(Gap::Cut);
        let files: Vec<Ino> = self.files.keys().copied().collect();
        for ino in files {
            // Who had it open is cut off, and learns that.
            self.files.entry(ino).and_modify(|file| file.failed = None);
            self.give_up(ino);
        }
    }

    /// The oldest entry counts as written back, whatever it is; false if there is none.
    fn write_back(&mut self) -> bool {
        let Some(Queued { seq, file, .. }) = self.queue.pop_front() else { return false };
        let is_change = self.ops.contains_key(&seq);
        self.keep(seq);
        let is_written =
            |ino: &Ino| self.files.get(ino)?.first_pending().filter(|first| *first <= seq);
        let written = file.filter(|ino| is_written(ino).is_some());
        written.into_iter().for_each(|ino| self.settle(ino, seq));
        self.written_back += u64::from(is_change || written.is_some());
        true
    }

    /// Forgets the places of what is durable by now, so that the queue has at most about as many of these as
    /// of others.
    fn thin_out(&mut self) {
        if self.queue.len() < self.crowded.max(CROWDED) {
            return;
        }
        let Log { queue, ops, files, .. } = self;
        let first = |(ino, file): (&Ino, &File)| Some((*ino, file.first_pending()?));
        let firsts: HashMap<Ino, u64> = files.iter().filter_map(first).collect();
        let is_written = |ino: &Ino, seq: u64| firsts.get(ino).is_some_and(|first| *first <= seq);
        queue.retain(|Queued { seq, file, .. }| {
            ops.contains_key(seq) || file.is_some_and(|ino| is_written(&ino, *seq))
        });
        self.crowded = 2 * self.queue.len();
    }
}
