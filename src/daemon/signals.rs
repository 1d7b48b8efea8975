//! Which signals end a run, and the one that may mean something else. No locks.
//!
//! Invariant: no signal that somebody may send ends the process before it has unmounted, but SIGKILL
//! and those of a crash, which cannot be waited for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::log::Log;
use crate::sys::signals;

/// What they tell of is an error of the call, too: a file that grows beyond `ulimit -f`, a reader that
/// has gone. A log that is written in the background of a terminal (`stty tostop`) stops nobody.
const IGNORED: [libc::c_int; 3] = [libc::SIGXFSZ, libc::SIGPIPE, libc::SIGTTOU];

/// The signals as they come.
pub(super) struct Signals<'a> {
    fd: OwnedFd,
    /// SIGHUP does not end the run but has this reopened.
    reopened: Option<&'a Log>,
}

impl<'a> Signals<'a> {
    /// From now on signals wait in the descriptor. To be called before there are threads that take
    /// them.
    ///
    /// # Errors
    /// What sigprocmask(2) and signalfd(2) report.
    pub(super) fn block(reopened: Option<&'a Log>) -> io::Result<Signals<'a>> {
        signals::ignore(&IGNORED)?;
        let ending: Vec<_> = signals::ENDING.into_iter().chain(signals::realtime()).collect();
        Ok(Signals { fd: signals::block(&ending)?, reopened })
    }

    /// One that came and ends the run.
    pub(super) fn take(&self) -> Option<libc::c_int> {
        loop {
            match (signals::take(&self.fd)?, self.reopened) {
                (libc::SIGHUP, Some(log)) => log.reopen(),
                (signal, _) => return Some(signal),
            }
        }
    }
}

impl AsFd for Signals<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
