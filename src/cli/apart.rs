//! Commands that would leave mounts, processes and files behind if they were killed: each works in a process of its
//! own, which clears up then as after any other signal. No locks.

use std::process::ExitCode;

use super::output;
use crate::sys::process::apart::{Side, fork};
use crate::sys::signals;

/// Does the work apart; as it ends, so does the command.
pub(super) fn apart(work: impl FnOnce() -> ExitCode) -> ExitCode {
    let worker = match fork() {
        Ok(Side::Worker) => return work(),
        Ok(Side::Command(worker)) => worker,
        Err(error) => return failed(&format!("cannot start a process: {error}")),
    };
    match worker.wait() {
        Ok(Ok(code)) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Ok(Err(signal)) => failed(&format!("the process that works was ended by signal {signal}")),
        Err(error) => failed(&format!("cannot wait for the process that works: {error}")),
    }
}

/// What is said by the worker when nothing is left to clear up: a signal ends it then as it ends any command, also while
/// nobody takes what it says.
pub(super) fn told_at_last(text: &str) {
    // If that fails they wait until it is told.
    let _ = signals::unblock_all();
    output::out(text);
}

fn failed(why: &str) -> ExitCode {
    output::error(why);
    ExitCode::FAILURE
}
