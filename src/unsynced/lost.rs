//! What a sync loses that fails, or that a disk has lied about: what it was to store is in the cache, clean,
//! and no later sync stores it, unless it is written again. Names, attributes and sizes are not lost: they are in
//! a journal, which is written or ends the filesystem. No locks.

use super::durable::Reach;
use super::file::{Event, File, pages};
use super::log::{Change, Entry, Key, Log};
use super::past::Gap;
use crate::mirror::{Fh, Ino};

impl Log {
    /// What that sync was to store is lost. Of a file without a name, which no image has, nothing is to be
    /// remembered. Nobody goes back beyond it: what is lost is no part of an earlier moment.
    pub(super) fn lose(&mut self, ino: Ino, reach: &Reach, nameless: bool) {
        let mark = self.seq();
        if nameless && self.last_of(&Key::Names(ino)).is_none() {
            return self.settle(ino, mark);
        }
        let Some(file) = self.files.get_mut(&ino) else { return };
        let within = match reach {
            Reach::All | Reach::Data => 0..u64::MAX,
            Reach::Range(range) => pages(range),
            Reach::Directory => return,
        };
        let cost = |file: &File| file.events.iter().map(Event::cost).sum::<u64>();
        let before = cost(file);
        file.lose(&within, mark);
        let after = cost(file);
        self.cost = (self.cost + after).saturating_sub(before);
        self.forget_past(Gap::Lost);
        self.tidy(ino);
    }

    /// A sync has failed, as one learns now who has the file open, and the others have yet to learn.
    pub(super) fn fail(&mut self, ino: Ino, by: Fh, open: &[Fh], hold: impl FnOnce()) {
        let file = self.enter(ino, hold);
        let failed = file.failed.get_or_insert_default();
        failed.owed.extend(open);
        failed.owed.sort_unstable_by_key(|fh| fh.0);
        failed.owed.dedup();
        failed.owed.retain(|fh| *fh != by);
        failed.seen = true;
        file.forget_failed();
        self.tidy(ino);
    }

    /// Who was to learn it is gone before he did.
    pub(super) fn told_nobody(&mut self, ino: Ino, fh: Fh, hold: impl FnOnce()) {
        let failed = self.enter(ino, hold).failed.get_or_insert_default();
        failed.owed.push(fh);
        failed.seen = false;
    }

    /// Somebody has opened a file: he is the first to learn of a sync that has failed, if nobody has.
    pub(super) fn opened(&mut self, ino: Ino, fh: Fh) {
        let failed = self.files.get_mut(&ino).and_then(|file| file.failed.as_mut());
        if let Some(failed) = failed.filter(|failed| !failed.seen) {
            failed.owed.push(fh);
        }
    }

    /// Somebody syncs a file: whether he has yet to learn that a sync has failed, and does now.
    pub(super) fn learns(&mut self, ino: Ino, fh: Fh) -> bool {
        let learns = self.files.get_mut(&ino).is_some_and(|file| file.learns(fh));
        if learns {
            self.tidy(ino);
        }
        learns
    }

    /// What was lost of a file counts as durable.
    pub(super) fn settle_lost(&mut self, ino: Ino) {
        if let Some(file) = self.files.get_mut(&ino)
            && file.has_lost
        {
            self.cost = self.cost.saturating_sub(file.settle_lost());
            self.forget_past(Gap::Lost);
        }
        self.tidy(ino);
    }

    /// What has lost its last name for good is in no image, and nobody opens it any more.
    pub(super) fn forget_gone(&mut self, change: &Change) {
        let Change::Names(entries) = change else { return };
        let stays = |ino: &Ino| entries.iter().any(|entry| entry.after == Some(*ino));
        let gone = entries.iter().filter_map(|Entry { before, .. }| *before);
        for ino in gone.filter(|ino| !stays(ino)) {
            if let Some(file) = self.files.get_mut(&ino) {
                file.failed.iter_mut().for_each(|failed| failed.seen = true);
                file.forget_failed();
            }
            self.settle_lost(ino);
        }
    }
}
