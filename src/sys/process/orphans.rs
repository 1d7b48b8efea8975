//! What a child leaves behind: the processes of its own that outlive it.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
};

use super::each::numbers;
use super::number;
use super::proc::Status;

/// Has who loses his parent become a child of this process, not of init, be he in whatever session
/// (prctl(2), `PR_SET_CHILD_SUBREAPER`).
///
/// # Errors
/// None known.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// The children of this process, those among them that have ended and were not waited for.
#[must_use]
pub(crate) fn children() -> BTreeSet<u32> {
    let own = std::process::id();
    let is_own = |pid: &u32| Status::of_thread(*pid).is_ok_and(|of| of.parent() == Some(own));
    numbers(Path::new("/proc")).filter(is_own).collect()
}

/// Sends SIGKILL to all children but those, and waits for those that have ended: who is left. What these leave
/// behind comes to this process then: so nothing is left once nobody is. Nobody else may wait for them.
///
/// # Errors
/// One cannot be killed; which.
pub(crate) fn kill_children(but: &BTreeSet<u32>) -> Result<BTreeSet<u32>, (u32, io::Error)> {
    let fresh: BTreeSet<u32> = children().difference(but).copied().collect();
    for (pid, child) in fresh.iter().filter_map(|pid| Some((*pid, number(*pid)?))) {
        // Its number is nobody else's before it was waited for.
        kill_process(child, Signal::KILL).map_err(|error| (pid, error.into()))?;
        bury(child).map_err(|error| (pid, error.into()))?;
    }
    Ok(fresh)
}

fn bury(child: Pid) -> Result<(), Errno> {
    match waitpid(Some(child), WaitOptions::NOHANG) {
        Err(error) if error != Errno::CHILD => Err(error),
        _ => Ok(()),
    }
}
