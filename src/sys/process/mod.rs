//! Other processes: whose operation it is, whether they were killed, killing one, its groups.
//!
//! A caller is a thread; its life is its process's. A thread may end while its process lives and
//! still has operations under way (Linux AIO, io_uring, pools), and its number may be given to
//! another. So what is remembered of a caller is its process, and which of that number it is.

pub(crate) mod apart;
mod birth;
mod each;
mod lately;
mod openers;
mod orphans;
mod parent;
mod proc;
mod stuck;
mod watching;

use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal, test_kill_process,
};

pub(crate) use self::each::look_at_each;
pub(crate) use self::lately::arrival_lately;
#[cfg(test)]
pub(crate) use self::openers::Opener;
pub(crate) use self::openers::{Open, Openers, openers};
pub(crate) use self::orphans::{adopt_orphans, children, kill_children};
pub(crate) use self::parent::end_with_parent;
use self::proc::Status;
pub(crate) use self::proc::numbers_are_ours;
pub(crate) use self::stuck::{Search, mount_of};
pub(crate) use self::watching::{Lookout, Plight};

/// A process, told from a later one of the same number by its birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    pid: u32,
    birth: u64,
}

/// A caller as it was when its operation arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Its process.
    pub process: Process,
    /// Whether that has a SIGKILL pending: it will take no answer.
    pub killed: bool,
}

/// The caller of an operation that has arrived. None of a thread that is gone, hidden, or in a pid
/// namespace that is not visible (0).
#[must_use]
pub(crate) fn arrival(tid: u32) -> Option<Arrival> {
    let status = Status::of_thread(tid).ok()?;
    Some(Arrival { process: Process::numbered(status.process()?)?, killed: status.killed() })
}

/// The process of a caller that can be killed. None of one that is unknown or never killed: init (1),
/// ourselves, and threads of the kernel.
#[must_use]
pub(crate) fn victim(tid: u32) -> Option<Process> {
    if tid <= 1 {
        return None;
    }
    let status = Status::of_thread(tid).ok()?;
    let pid = status.process()?;
    let spared = pid <= 1 || number(pid) == Some(getpid()) || status.is_kernel();
    if spared { None } else { Process::numbered(pid) }
}

/// Whether there is a process or a thread of that number, as our pid namespace numbers them.
#[must_use]
pub(crate) fn is_there(pid: u32) -> bool {
    number(pid).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// The process that has a thread of that number and another number itself.
#[must_use]
pub(crate) fn with_thread(tid: u32) -> Option<u32> {
    Status::of_thread(tid).ok()?.process().filter(|pid| *pid != tid)
}

/// Whether the thread has a SIGKILL pending: not if it is gone or hidden.
#[must_use]
pub(crate) fn sigkill_pending(tid: u32) -> bool {
    Status::of_thread(tid).is_ok_and(|status| status.killed())
}

/// The process of a caller, and the program that it runs, for people.
#[must_use]
pub(crate) fn described(tid: u32) -> Option<(u32, String)> {
    let pid = Status::of_thread(tid).ok()?.process()?;
    Some((pid, proc::command(pid).ok()?))
}

impl Process {
    fn numbered(pid: u32) -> Option<Process> {
        Some(Process { pid, birth: birth::of(pid).ok()? })
    }

    /// Its number.
    #[must_use]
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Whether a SIGKILL is pending for this thread of it, or was sent to the process that the thread
    /// has left behind.
    #[must_use]
    pub(crate) fn is_killed(self, tid: u32) -> bool {
        match Status::of(self.pid, tid) {
            Ok(status) => status.killed(),
            Err(_) => self.plight() == Plight::Killed,
        }
    }

    /// Sends it SIGKILL.
    ///
    /// # Errors
    /// ESRCH if it has ended; EPERM if we may not.
    pub fn kill(self) -> io::Result<()> {
        let pid = number(self.pid).ok_or(Errno::SRCH)?;
        let pinned = pidfd_open(pid, PidfdFlags::empty());
        // It has that number now or never: the descriptor is its, or that of a later process.
        if Process::numbered(self.pid) != Some(self) {
            return Err(Errno::SRCH.into());
        }
        match pinned {
            Ok(pinned) => pidfd_send_signal(&pinned, Signal::KILL)?,
            // Before Linux 5.3, or without a descriptor to spare.
            Err(_) => kill_process(pid, Signal::KILL)?,
        }
        Ok(())
    }
}

/// The supplementary groups of a caller: those of its thread, or once that has ended those of its
/// process. None of one that is gone, hidden or in a pid namespace that is not visible (0). While it
/// waits for a reply they are those it called with.
#[must_use]
pub(crate) fn groups(tid: u32, process: Option<Process>) -> Vec<u32> {
    let Some(process) = process else {
        return Status::of_thread(tid).map(|status| status.groups()).unwrap_or_default();
    };
    let own = Status::of(process.pid, tid).or_else(|_| Status::of(process.pid, process.pid));
    let groups = own.map(|status| status.groups()).unwrap_or_default();
    // Looked at afterwards: if it is the same process now, it was so before.
    if Process::numbered(process.pid) == Some(process) { groups } else { Vec::new() }
}

/// The user that a process was started by and acts for, if that is one. None of one that is gone, or where
/// /proc is another pid namespace's.
#[must_use]
pub(crate) fn user_of(pid: u32) -> Option<u32> {
    Status::of_thread(pid).ok()?.user()
}

fn number(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests;
