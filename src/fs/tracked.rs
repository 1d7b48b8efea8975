//! Requests that change something, as the log of what is not durable takes them in, if there is one: what is
//! done to the backing, after a plan has cut or edited it. Lock rule: only then locks are held while the
//! mirror works, those of [`Unsynced`](crate::unsynced::Unsynced); none while an operation is held.

use std::ffi::OsStr;
use std::io;

use super::Core;
use super::op::{Op, Operands};
use crate::fault::plan::Sync;
use crate::mirror::{Changes, Fh, Ino};
use crate::ops::Call;
use crate::unsynced::{About, SyncOf};

impl Core {
    /// Runs what may change that.
    #[inline]
    pub(super) fn tracked<'a, T>(
        &self,
        about: impl FnOnce() -> About<'a>,
        run: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match &self.unsynced {
            None => run(),
            Some(unsynced) => unsynced.change(&self.tree, &about(), run),
        }
    }

    /// Makes what was written durable, unless a fault has it that no sync is done.
    pub(super) fn sync(
        &self,
        tid: u32,
        (fh, datasync): (Fh, bool),
        operands: &Operands<'_>,
    ) -> io::Result<()> {
        let sync = operands.sync();
        let unsynced = match &self.unsynced {
            None if sync == Sync::Own => return self.tree.fsync(fh, datasync),
            None => return Ok(()),
            Some(unsynced) => unsynced,
        };
        if sync == Sync::Not {
            self.forgive(fh, Some(tid), 0);
            return Ok(());
        }
        let handle = self.tree.handle(fh)?;
        let inode = handle.inode();
        let of = if inode.is_dir() { SyncOf::Directory } else { SyncOf::File { datasync } };
        let who = (inode.ino(), (fh, tid));
        if sync == Sync::Own {
            return unsynced.sync(&self.tree, who, of, || self.tree.fsync(fh, datasync));
        }
        let learn = (sync == Sync::Failed).then(|| self.tree.handles_of(inode.ino()));
        unsynced.lose(&self.tree, who, of, learn.as_deref());
        Ok(())
    }

    /// A file or directory is open: it may be the first to learn that a sync has failed.
    pub(super) fn begins_open(&self, ino: Ino, fh: Fh) {
        if let Some(unsynced) = &self.unsynced {
            unsynced.opened(ino, fh);
        }
    }

    /// Whoever asked for that is gone: he has not learnt what became of it.
    #[cold]
    pub(super) fn told_nobody<T>(&self, op: &Op, result: &io::Result<T>) {
        self.told_failed(op);
        let failed = result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EIO));
        let syncs = matches!(op.call, Call::Fsync | Call::Fdatasync | Call::Fsyncdir);
        if let (Some(unsynced), Some(fh), Some(ino)) = (&self.unsynced, op.fh, op.inode())
            && failed
            && syncs
        {
            unsynced.told_nobody(&self.tree, ino, fh);
        }
    }

    /// Whoever asks for that is told that it has failed: no sync comes of what it wrote, and if it is a sync
    /// itself that is over.
    #[cold]
    pub(super) fn told_failed(&self, op: &Op) {
        let from = match op.call {
            Call::Fsync | Call::Fdatasync => 0,
            Call::Write => op.span.map_or(0, |span| span.offset),
            _ => return,
        };
        if let Some(fh) = op.fh {
            self.forgive(fh, Some(op.caller.tid), from);
        }
    }

    /// The sync of what a handle has written from there on does not come: not by that thread, or by none, as it
    /// is closed.
    pub(super) fn forgive(&self, fh: Fh, tid: Option<u32>, from: u64) {
        if let Some(unsynced) = &self.unsynced
            && let Ok(handle) = self.tree.handle(fh)
        {
            unsynced.forgive(&self.tree, (handle.inode().ino(), (fh, tid)), from);
        }
    }
}

/// An entry of a directory.
type Name<'a> = (Ino, &'a OsStr);

/// An entry that is made.
pub(super) fn made((dir, name): Name<'_>) -> About<'_> {
    About::Names { entries: [Some((dir, name)), None], linked: None, makes: true }
}

/// An entry that is removed, or two of which one takes the other's place.
pub(super) fn moved<'a>(from: Name<'a>, to: Option<Name<'a>>) -> About<'a> {
    About::Names { entries: [Some(from), to], linked: None, makes: false }
}

/// A further name of an inode.
pub(super) fn linked(ino: Ino, (dir, name): Name<'_>) -> About<'_> {
    About::Names { entries: [Some((dir, name)), None], linked: Some(ino), makes: false }
}

/// So many bytes of a file that was opened with these flags. After a write by a handle that syncs each
/// write its sync is of that only.
pub(super) fn written<'a>(
    (ino, fh): (Ino, Fh),
    flags: i32,
    tid: u32,
    (at, len): (u64, usize),
) -> About<'a> {
    let owes = (flags & libc::O_DSYNC != 0).then_some((fh, tid));
    About::Write { file: (ino, fh), at, len: len as u64, owes }
}

/// What a SETATTR sets.
pub(super) fn set<'a>(ino: Ino, changes: &Changes) -> About<'a> {
    let times = changes.atime.is_some() || changes.mtime.is_some();
    About::State { ino, size: changes.size, times }
}
