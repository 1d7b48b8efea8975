//! How the descriptors that this process may have (RLIMIT_NOFILE) are shared out, so that whoever
//! answers, logs or unmounts always gets one.
//!
//! The mirror takes all but [`Shares::left_by_mirror`]; of these the other shares leave some that nobody
//! keeps. No locks.

use std::io;
use std::os::fd::RawFd;

use rustix::process::{Resource, getrlimit};

/// Connections of control, at most.
const MOST_CONNECTIONS: RawFd = 256;
/// Processes that are looked at through a descriptor kept open, at most; and those whose birth is kept.
const MOST_KEPT: RawFd = 1024;

/// Who may have how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// What the process may have in all.
    pub(crate) limit: RawFd,
    /// What the mirror leaves to all others.
    pub(crate) left_by_mirror: RawFd,
    /// Connections of control.
    pub(crate) connections: RawFd,
    /// Descriptors of processes, which tell their births before Linux 6.9.
    pub(crate) births: RawFd,
    /// Held callers' files in /proc.
    pub(crate) lookouts: RawFd,
}

impl Shares {
    /// By the limit as it is now.
    #[must_use]
    pub(crate) fn now() -> Shares {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Shares::of(RawFd::try_from(limit).unwrap_or(RawFd::MAX))
    }

    fn of(limit: RawFd) -> Shares {
        let left_by_mirror = (limit / 8).clamp(16, 4096);
        let connections = (left_by_mirror / 2).min(MOST_CONNECTIONS);
        let births = (left_by_mirror / 8).min(MOST_KEPT);
        // As many as of births are nobody's.
        let lookouts = (left_by_mirror - connections - 2 * births).min(MOST_KEPT);
        Shares { limit, left_by_mirror, connections, births, lookouts }
    }
}

/// Gives the calling thread a table of descriptors of its own, with none in it: what other threads have open
/// ends without it. It must own none.
///
/// # Errors
/// Those of close_range(2): ENOSYS before Linux 5.9.
pub(crate) fn leave_descriptors() -> io::Result<()> {
    // SAFETY: close_range(2) with CLOSE_RANGE_UNSHARE closes descriptors in a fresh table of this thread
    // only; the owners of those that other threads have still have them.
    let left = unsafe {
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE)
    };
    if left < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_leaves_the_descriptors_of_the_others() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let is_open = move |of: &str| std::fs::exists(format!("/proc/{of}/fd/{number}")).unwrap();
        let own = || format!("thread-self/../{}", rustix::thread::gettid());
        assert!(is_open(&own()));
        let left = std::thread::spawn(move || {
            leave_descriptors().unwrap();
            is_open(&own())
        });
        assert!(!left.join().unwrap());
        assert!(is_open("self") && file.metadata().is_ok());
    }

    #[test]
    fn what_is_kept_leaves_some_to_log_and_unmount() {
        for limit in [0, 64, 256, 1024, 4096, 20_000, 1 << 20, RawFd::MAX] {
            let shares = Shares::of(limit);
            let kept = shares.connections + shares.births + shares.lookouts;
            let free = shares.left_by_mirror - kept;
            assert!(free * 8 >= shares.left_by_mirror, "{limit}: {shares:?}");
            assert!(shares.connections > 0 && shares.lookouts > 0, "{limit}: {shares:?}");
        }
        assert_eq!(
            Shares::of(20_000).lookouts,
            1024,
            "a thousand held processes are cheap to look at"
        );
    }
}
