//! Processes that cannot end: on their way out, they wait for operations of no known caller.
//!
//! The kernel writes mapped pages back in nobody's name, and a process that dies waits for that, as
//! it does for the asynchronous operations of threads that have ended. All that shows is that it
//! still is there, sleeps, and has files of the filesystem open.

use std::fs;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::Process;
use super::proc::Status;

/// The processes that are killed or leave, sleep, and have a file open on this filesystem
/// (major and minor number). A look at a process costs 8 us; it waits for none.
#[must_use]
pub(crate) fn stuck(device: (u32, u32)) -> Vec<Process> {
    numbers("/proc".as_ref()).filter_map(|pid| stuck_process(pid, device)).collect()
}

impl Process {
    /// Whether it still is one of those.
    #[must_use]
    pub fn is_stuck(self, device: (u32, u32)) -> bool {
        stuck_process(self.pid, device) == Some(self)
    }
}

fn numbers(dir: &Path) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn stuck_process(pid: u32, device: (u32, u32)) -> Option<Process> {
    if !is_dying(&Status::of(pid, pid).ok()?) {
        return None;
    }
    let process = Process::numbered(pid)?;
    let holds = numbers(format!("/proc/{pid}/task").as_ref()).any(|tid| {
        let sleeps =
            Status::of(pid, tid).is_ok_and(|it| is_dying(&it) && !it.ended() && !it.runs());
        sleeps && has_open(pid, tid, device)
    });
    holds.then_some(process)
}

fn is_dying(status: &Status) -> bool {
    status.killed() || status.exiting()
}

/// Without asking the filesystem, which may hold the answer back.
fn has_open(pid: u32, tid: u32, device: (u32, u32)) -> bool {
    numbers(format!("/proc/{pid}/task/{tid}/fd").as_ref()).any(|fd| {
        let file = format!("/proc/{pid}/task/{tid}/fd/{fd}");
        let quiet = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        statx(CWD, file, quiet, StatxFlags::empty())
            .is_ok_and(|stat| (stat.stx_dev_major, stat.stx_dev_minor) == device)
    })
}
