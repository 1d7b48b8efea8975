//! Work in a process of its own, which comes to its end whatever becomes of the command that waits for it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process,
    kill_process_group, pidfd_open, set_parent_process_death_signal, setpgid, waitpid,
};

use crate::sys::{checked, signals};

/// Which side of the fork this is.
pub(crate) enum Side {
    /// The command that was typed: it waits for the work.
    Command(Worker),
    /// Who does the work.
    Worker,
}

/// The process that works, seen from the command.
pub(crate) struct Worker {
    pid: Pid,
    process: OwnedFd,
    signals: OwnedFd,
}

/// Forks. The worker has a group of processes of its own, so that who kills the command's does not kill it, and gets
/// SIGTERM when the command ends, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG). Signals that end a command stay blocked
/// in it: they wait until it takes them.
///
/// Call it before any thread is started: only the calling thread exists in the worker.
///
/// # Errors
/// What fork(2), pidfd_open(2) and the calls about signals report; in the worker, that the command has ended.
pub(crate) fn fork() -> io::Result<Side> {
    // Before there is a worker: what comes early waits for it.
    let signals = signals::block(&[&signals::BY_PEOPLE[..], &[libc::SIGTSTP]].concat())?;
    let command = getpid();
    // SAFETY: the process has one thread (the caller's duty above), so the child starts in a
    // consistent state and may go on as an ordinary process.
    let forked = checked(unsafe { libc::fork() })?;
    if let Some(pid) = Pid::from_raw(forked) {
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        return Ok(Side::Command(Worker { pid, process, signals }));
    }
    // It writes to the terminal from the background, and nobody stops it for that (`stty tostop`).
    signals::block(&[libc::SIGTTOU])?;
    setpgid(None, None)?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have ended before that: nobody is told then.
    if getppid() == Some(command) {
        Ok(Side::Worker)
    } else {
        Err(io::Error::other("the command has ended"))
    }
}

impl Worker {
    /// Waits for its end, and hands on the signals that come meanwhile; its exit code, or else the signal that ended it.
    ///
    /// # Errors
    /// Somebody else has waited for it.
    pub(crate) fn wait(self) -> io::Result<Result<i32, i32>> {
        loop {
            let of = |fd| PollFd::new(fd, PollFlags::IN);
            // A failed wait shows in what there is then.
            let _ = poll(&mut [of(&self.signals), of(&self.process)], None);
            while let Some(signal) = signals::take(&self.signals).and_then(Signal::from_named_raw) {
                match signal {
                    Signal::TSTP => self.pause(),
                    // It may have ended.
                    signal => drop(kill_process(self.pid, signal)),
                }
            }
            if let Some((_, status)) = waitpid(Some(self.pid), WaitOptions::NOHANG)? {
                return Ok(ended(status));
            }
        }
    }

    /// Stops with the worker's group, as ctrl-Z asks, until this process is continued. It may have ended.
    fn pause(&self) {
        let _ = kill_process_group(self.pid, Signal::STOP);
        let _ = kill_process(getpid(), Signal::STOP);
        let _ = kill_process_group(self.pid, Signal::CONT);
    }
}

fn ended(status: WaitStatus) -> Result<i32, i32> {
    let by_signal = status.terminating_signal().unwrap_or_default();
    status.exit_status().ok_or(by_signal)
}
