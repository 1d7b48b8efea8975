//! How much is remembered: what is old, and the oldest of what is too much, counts as written back, in the
//! order in which it was done, as a kernel does it. No locks.

use std::collections::BTreeMap;
use std::time::Instant;

use super::file::File;
use super::log::{Log, Queued};
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
                return;
            }
        }
    }

    /// All up to that number is durable, and no write owes a sync any more.
    pub(super) fn checkpoint(&mut self, limit: u64) {
        let back = self.written_back;
        while self.queue.front().is_some_and(|queued| queued.seq <= limit) && self.write_back() {}
        self.written_back = back;
        let owing = self.files.iter_mut().filter(|(_, file)| !file.owed.is_empty());
        let owing = owing.map(|(ino, file)| {
            file.owed.clear();
            *ino
        });
        owing.collect::<Vec<_>>().into_iter().for_each(|ino| self.tidy(ino));
    }

    /// Nothing is left to be lost, nor a sync to come.
    pub(super) fn forget_all(&mut self) {
        self.checkpoint(u64::MAX);
        self.forget_past();
        let files: Vec<Ino> = self.files.keys().copied().collect();
        files.into_iter().for_each(|ino| self.give_up(ino));
    }

    /// The oldest entry counts as written back, whatever it is; false if there is none.
    fn write_back(&mut self) -> bool {
        let Some(Queued { seq, file, .. }) = self.queue.pop_front() else { return false };
        let is_change = self.ops.contains_key(&seq);
        self.keep(seq);
        let written = file.filter(|ino| self.is_written(*ino, seq));
        written.into_iter().for_each(|ino| self.settle(ino, seq));
        self.written_back += u64::from(is_change || written.is_some());
        true
    }

    fn is_written(&self, ino: Ino, seq: u64) -> bool {
        is_written(&self.files, ino, seq)
    }

    /// Forgets the places of what is durable by now, so that the queue has at most about as many of these as
    /// of others.
    fn thin_out(&mut self) {
        if self.queue.len() < self.crowded.max(CROWDED) {
            return;
        }
        let Log { queue, ops, files, .. } = self;
        queue.retain(|Queued { seq, file, .. }| {
            ops.contains_key(seq) || file.is_some_and(|ino| is_written(files, ino, *seq))
        });
        self.crowded = 2 * self.queue.len();
    }
}

/// Whether a file's write of that number, or one before it, is not durable.
fn is_written(files: &BTreeMap<Ino, File>, ino: Ino, seq: u64) -> bool {
    let first = files.get(&ino).and_then(|file| file.events.front());
    first.is_some_and(|event| event.seq <= seq)
}
