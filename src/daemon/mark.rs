//! How `slowfs umount` finds the daemon of a mount: by an empty file in memory whose name says which
//! filesystem its holder serves. /proc shows the name among the holder's descriptors, to root and to
//! the holder's own user, and the kernel takes it back when the process ends, however it ends.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::mountinfo::Device;
use crate::sys::process::look_at_each;

/// How long the search may take, of which hardly any is needed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Held by a daemon while it has its mount.
pub(super) struct Mark(#[allow(dead_code, reason = "it is there to be seen")] OwnedFd);

impl Mark {
    /// # Errors
    /// There are no descriptors left.
    pub(super) fn leave(device: Device) -> io::Result<Mark> {
        Ok(Mark(rustix::fs::memfd_create(name(device), MemfdFlags::CLOEXEC)?))
    }
}

fn name((major, minor): Device) -> String {
    format!("slowfs-serves-{major}:{minor}")
}

/// A process that serves a mount.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its id.
    pub pid: i32,
    process: OwnedFd,
}

impl Server {
    /// Has it end: it releases what is held, and detaches its mount.
    ///
    /// # Errors
    /// EPERM if it is another user's.
    pub(crate) fn end(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.process, Signal::TERM) {
            // It has ended already.
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => other.map_err(Into::into),
        }
    }

    /// Waits that long at most for its end, and says whether it has come.
    #[must_use]
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or_default();
            match poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) if ready > 0 => return true,
                Ok(_) | Err(rustix::io::Errno::INTR) if !left.is_zero() => {}
                _ => return false,
            }
        }
    }
}

/// The processes that serve that filesystem: one, or a former one too that is about to end. None is
/// found of another user, nor in a pid namespace that cannot be seen.
///
/// To look at a process that executes a program may take until that is done, which a held operation
/// can prevent: such a one is passed over, since it serves nothing.
#[must_use]
pub(crate) fn servers_of(device: Device) -> Vec<Server> {
    let looks = look_at_each(PATIENCE, move |pid| server(i32::try_from(pid).ok()?, device));
    looks.seen.into_iter().flatten().collect()
}

fn server(pid: i32, device: Device) -> Option<Server> {
    if !has_mark(pid, device) {
        return None;
    }
    let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    // The number may have gone to another process in between.
    has_mark(pid, device).then_some(Server { pid, process })
}

fn has_mark(pid: i32, device: Device) -> bool {
    let mark = format!("/memfd:{} (deleted)", name(device));
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|target| target.as_os_str().as_bytes() == mark.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_while_it_is_held() {
        let device = (0, u32::MAX);
        assert!(servers_of(device).is_empty());
        let mark = Mark::leave(device).unwrap();
        let found = servers_of(device);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid.unsigned_abs(), std::process::id());
        assert!(!found[0].ends_within(Duration::from_millis(1)));
        drop(mark);
        assert!(servers_of(device).is_empty());
    }
}
