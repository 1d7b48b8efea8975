//! How a sync gets to the log: done, failed, or none at all. Lock rule: that of `track`; what a sync makes durable
//! is taken out under the gate, so that a cut sees all of it or nothing.

use std::io;
use std::sync::atomic::Ordering;

use super::{SyncOf, Unsynced};
use crate::mirror::{Fh, Ino, Mirror};

impl Unsynced {
    /// Runs a sync by that handle and thread. What it makes durable is what was there when it began, if it
    /// succeeds.
    pub(crate) fn sync<N: Default>(
        &self,
        tree: &Mirror<N>,
        (ino, by): (Ino, (Fh, u32)),
        of: SyncOf,
        run: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        self.note_sync(tree, ino, of);
        let (reach, mark) = {
            let mut log = self.log.lock();
            let reach = log.reach_of(ino, by, of);
            if log.learns(ino, by.0) {
                self.settle(tree, log);
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            (reach, log.seq())
        };
        run()?;
        // One that ends during a cut is answered after it.
        let _gate = self.gate.read();
        let mut log = self.log.lock();
        log.synced(ino, reach, mark);
        self.settle(tree, log);
        Ok(())
    }

    /// A sync by that handle and thread is not done, and what it was to store is lost. Those handles have yet to
    /// learn that one has failed, but for this one, which learns it now.
    pub(crate) fn lose<N: Default>(
        &self,
        tree: &Mirror<N>,
        (ino, by): (Ino, (Fh, u32)),
        of: SyncOf,
        learn: Option<&[Fh]>,
    ) {
        let nameless = tree.seen(ino).is_ok_and(|seen| seen.links == 0);
        // During a cut it is as if it came after.
        let _gate = self.gate.read();
        let mut log = self.log.lock();
        let reach = log.reach_of(ino, by, of);
        log.lose(ino, &reach, nameless);
        if let Some(open) = learn {
            log.fail(ino, by.0, open, || tree.hold(ino));
            self.has_failed.store(true, Ordering::Relaxed);
        }
        self.settle(tree, log);
    }

    /// Somebody has opened a file.
    pub(crate) fn opened(&self, ino: Ino, fh: Fh) {
        if self.has_failed.load(Ordering::Relaxed) {
            self.log.lock().opened(ino, fh);
        }
    }

    /// Who was to learn that a sync has failed is gone before he did.
    pub(crate) fn told_nobody<N: Default>(&self, tree: &Mirror<N>, ino: Ino, fh: Fh) {
        if self.has_failed.load(Ordering::Relaxed) {
            self.log.lock().told_nobody(ino, fh, || tree.hold(ino));
        }
    }

    /// The sync of what a handle has written from there on does not come: not by that thread, or by none, as it
    /// is closed.
    pub(crate) fn forgive<N: Default>(
        &self,
        tree: &Mirror<N>,
        (ino, by): (Ino, (Fh, Option<u32>)),
        from: u64,
    ) {
        let mut log = self.log.lock();
        log.forgive(ino, by, from);
        self.settle(tree, log);
    }
}
