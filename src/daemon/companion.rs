//! A process with which the run ends (`--end-with`): what a test started goes with the test, however that
//! ends. No locks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The process, and no later one of its number.
pub(super) struct Companion {
    pid: Pid,
    /// Readable once it has ended.
    process: OwnedFd,
}

impl Companion {
    /// # Errors
    /// There is no such process, or none can be watched (before Linux 5.3).
    pub(super) fn of(pid: Pid) -> io::Result<Companion> {
        Ok(Companion { pid, process: pidfd_open(pid, PidfdFlags::empty())? })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(&self.process, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Companion {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}
