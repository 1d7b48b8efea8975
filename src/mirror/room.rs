//! How many descriptors the mirror may have, so that others of the process always get one.
//!
//! The kernel gives the lowest number that is free, so a descriptor's number tells how many there are.
//! Invariant: what stays (the files that callers have open) has numbers below one bound, what passes
//! (descriptors of inodes, which can be evicted, and those of a single call) below a second one, and
//! those above are left to control, log, /proc and unmounting. Threads that open at the same moment may
//! each be one beyond. No locks.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Mirror, errno};
use crate::sys::descriptors::Shares;

/// How often an open starts again for want of a descriptor.
const TRIES: usize = 64;
/// How long a try waits for other threads to close what they evicted.
const SHORTAGE: Duration = Duration::from_micros(50);
/// So close to the bound a file is not made before a descriptor is known to be free for it: more than
/// threads that may make one at the same moment.
const CLOSE: RawFd = 64;

/// The bounds, and whether they were ever near.
pub(super) struct Room {
    limit: RawFd,
    /// For what stays.
    staying: RawFd,
    /// For what passes.
    passing: RawFd,
    crowded: AtomicBool,
    warned: AtomicBool,
}

/// What a descriptor is for.
#[derive(Clone, Copy)]
pub(super) enum For {
    /// A handle, until it is released.
    Staying,
    /// A call, or the cache.
    Passing,
}

impl Room {
    pub(super) fn new() -> Room {
        let Shares { limit, left_by_mirror: share, .. } = Shares::now();
        let (crowded, warned) = (AtomicBool::new(false), AtomicBool::new(false));
        Room { limit, staying: limit - 2 * share, passing: limit - share, crowded, warned }
    }

    fn close_to(&self) -> RawFd {
        self.staying - CLOSE.min(self.staying / 4)
    }

    /// What stays has that number. A low one may fill the last hole, so crowded is for good.
    fn note(&self, number: RawFd) {
        if number >= self.close_to() {
            self.crowded.store(true, Ordering::Relaxed);
        }
    }

    /// Says once why opens fail.
    fn warn(&self) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "too many files are open for the limit of {} descriptors (ulimit -n): further opens \
                 fail with ENFILE, what is open goes on; raise the limit",
                self.limit
            );
        }
    }
}

impl<N: Default> Mirror<N> {
    /// Opens something; where descriptors have run out, again after emptying the cache. More than
    /// once, since another thread may have taken what this one emptied, or be about to close it.
    /// ENFILE, whoever has them: EMFILE would be the caller's own limit.
    pub(super) fn with_room(
        &self,
        purpose: For,
        open: impl Fn() -> io::Result<OwnedFd>,
    ) -> io::Result<OwnedFd> {
        let bound = match purpose {
            For::Staying => self.room.staying,
            For::Passing => self.room.passing,
        };
        for _ in 0..TRIES {
            match open() {
                Ok(fd) if fd.as_raw_fd() < bound => {
                    if let For::Staying = purpose {
                        self.room.note(fd.as_raw_fd());
                    }
                    return Ok(fd);
                }
                // It is closed first: the next is to have a lower number.
                Ok(fd) => drop(fd),
                Err(e) if is_shortage(&e) => {}
                failed => return failed,
            }
            self.ring.clear();
            std::thread::sleep(SHORTAGE);
        }
        self.room.warn();
        Err(errno(libc::ENFILE))
    }

    /// Makes a file and opens it, which cannot be tried again with a lower number: so that one is
    /// free is found out before, if it is in doubt.
    pub(super) fn make_with_room(
        &self,
        make: impl Fn() -> io::Result<OwnedFd>,
    ) -> io::Result<OwnedFd> {
        for _ in 0..TRIES {
            if self.room.crowded.load(Ordering::Relaxed) {
                let free = || Ok(rustix::io::fcntl_dupfd_cloexec(&self.proc_fds, 0)?);
                drop(self.with_room(For::Staying, free)?);
            }
            match make() {
                // Nothing was made then.
                Err(e) if is_shortage(&e) => self.room.note(RawFd::MAX),
                Ok(fd) => {
                    self.room.note(fd.as_raw_fd());
                    return Ok(fd);
                }
                failed => return failed,
            }
        }
        self.room.warn();
        Err(errno(libc::ENFILE))
    }
}

fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}
