//! The time of the last change of files that the kernel writes back. It keeps that time by itself, and
//! tells it by SETATTR only if it is another than it was told, which a write in the tick of its clock in
//! which the file was made does not make it. So what is written back changes no time.
//!
//! Invariant: once no write-back of a file is under way, its time is the one that it had before the first
//! of them or, if the kernel has told one meanwhile, the last one told. Nothing is known of others.
//! Lock rule: memory only, and no other lock beside it.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Timestamps};
use rustix::path::DecInt;

use super::attr::{TimeChange, timespec};
use super::inode::Inode;
use super::numbers::Ino;
use super::{Mirror, stat_of};

/// Seconds since 1970, and nanoseconds.
type Time = (i64, u32);

/// The files that are written back just now.
#[derive(Default)]
pub(super) struct Settling(Mutex<HashMap<Ino, File>>);

#[derive(Default)]
struct File {
    /// So many WRITEs of it are under way.
    writes: u32,
    /// What its time is to be. None until that is known, and after one that only the backing's clock
    /// tells.
    time: Option<Time>,
}

impl Settling {
    /// A WRITE begins; whether the time is known.
    fn begin(&self, ino: Ino) -> bool {
        let mut files = self.0.lock();
        let file = files.entry(ino).or_default();
        file.writes += 1;
        file.time.is_some()
    }

    /// Before anything of it was written the file had that time, unless another is known by now.
    fn found(&self, ino: Ino, time: Time) {
        if let Some(file) = self.0.lock().get_mut(&ino) {
            file.time.get_or_insert(time);
        }
    }

    /// The kernel tells a time, which is about to be set.
    pub(super) fn told(&self, ino: Ino, change: TimeChange) {
        if let Some(file) = self.0.lock().get_mut(&ino) {
            file.time = match change {
                TimeChange::At(seconds, nanoseconds) => Some((seconds, nanoseconds)),
                TimeChange::Now => None,
            };
        }
    }

    fn time(&self, ino: Ino) -> Option<Time> {
        self.0.lock().get(&ino).and_then(|file| file.time)
    }

    /// Ends a WRITE after which the file was given that time; not if it is another by now.
    fn end(&self, ino: Ino, set: Option<Time>) -> bool {
        let mut files = self.0.lock();
        let Some(file) = files.get_mut(&ino) else { return true };
        if file.time != set {
            return false;
        }
        file.writes -= 1;
        if file.writes == 0 {
            files.remove(&ino);
        }
        true
    }
}

impl<N: Default> Mirror<N> {
    /// Writes back by that descriptor. Of somebody else's file, whose time this process may not set, it
    /// is that of the write.
    pub(super) fn writing_back<T>(
        &self,
        inode: &Inode<N>,
        fd: BorrowedFd<'_>,
        write: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if !self.written_back {
            return write();
        }
        let ino = inode.ino;
        if !self.settling.begin(ino)
            && let Ok(stat) = stat_of(fd)
        {
            self.settling.found(ino, (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec));
        }
        let written = write();
        loop {
            let time = self.settling.time(ino);
            if let Some(time) = time {
                let name = DecInt::from_fd(fd);
                let last_modification = timespec(Some(TimeChange::At(time.0, time.1)));
                let times = Timestamps { last_access: timespec(None), last_modification };
                // An error leaves the time of the write.
                let _ = rustix::fs::utimensat(&self.proc_fds, name, &times, AtFlags::empty());
            }
            if self.settling.end(ino, time) {
                break;
            }
        }
        // Its inode has changed and its time has not, which is no sign of somebody else.
        inode.forget_told();
        written
    }
}
