//! What this process takes of the machine. No locks.

use std::fs;
use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};

/// What it takes now. What cannot be found out is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time on processors so far.
    pub(crate) ran: Duration,
    /// Bytes of memory that it has.
    pub(crate) resident: Option<u64>,
    /// Bytes of address space.
    pub(crate) mapped: Option<u64>,
    /// Descriptors that are open.
    pub(crate) descriptors: Option<u64>,
    /// Threads.
    pub(crate) threads: Option<u64>,
}

impl Usage {
    /// As it is now.
    #[must_use]
    pub(crate) fn now() -> Usage {
        // proc_pid_statm(5): what is mapped and what of it is in memory, in pages.
        let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let mut pages = pages.split(' ').map(|n| n.parse::<u64>().ok());
        let mut bytes = || Some(pages.next()?? * page_size() as u64);
        let (mapped, resident) = (bytes(), bytes());
        let entries = |dir| fs::read_dir(dir).ok().map(|all| all.count() as u64);
        Usage {
            ran: Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default(),
            resident,
            mapped,
            // The one by which they are counted is not there any more.
            descriptors: entries("/proc/self/fd").map(|n| n.saturating_sub(1)),
            threads: entries("/proc/self/task"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_found_out() {
        let Usage { ran, resident, mapped, descriptors, threads } = Usage::now();
        assert!(ran > Duration::ZERO);
        assert!(resident.unwrap() > 1 << 20 && resident < mapped, "{resident:?} {mapped:?}");
        assert!(descriptors.unwrap() >= 3 && threads.unwrap() >= 1);
        let file = fs::File::open("/proc/self/exe").unwrap();
        assert!(Usage::now().descriptors.unwrap() >= 4);
        drop(file);
    }
}
