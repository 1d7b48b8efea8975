//! A child that does not outlive who started it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::sys::signals;
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Has the child that the command starts get SIGTERM when the thread that starts it ends, however it ends
/// (prctl(2), PR_SET_PDEATHSIG). So start it from a thread that lasts. It begins with no signal blocked: what this
/// process blocks would reach neither it nor what it starts.
pub(crate) fn end_with_parent(command: &mut Command) {
    let parent = getpid();
    let ask = move || {
        signals::unblock_all()?;
        set_parent_process_death_signal(Some(Signal::TERM))?;
        // It may have ended before that: nobody is told then.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec it makes three system calls, and none of them allocates or locks.
    unsafe { command.pre_exec(ask) };
}
