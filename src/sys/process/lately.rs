//! Callers that come in numbers: many threads of one process within some milliseconds. Whose thread one
//! is, is asked without a look at its status (10 us and more), and whether it was killed is known of its
//! process. No locks.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::{Arrival, Process, arrival};

/// How long a process that was seen alive passes for one.
pub(super) const FRESH: Duration = Duration::from_millis(5);

thread_local! {
    /// The process of the latest caller whose status this thread has looked at, and when: it was not
    /// killed.
    static SEEN: Cell<Option<(u32, Instant)>> = const { Cell::new(None) };
}

/// The caller of an operation that has arrived now, as `arrival` tells it. That it was killed may be
/// missed for 5 ms, which the watch of what is held makes up for.
#[must_use]
pub(crate) fn arrival_lately(tid: u32, now: Instant) -> Option<Arrival> {
    if let Some((pid, seen)) = SEEN.get()
        && now.saturating_duration_since(seen) < FRESH
        && has_thread(pid, tid)
    {
        return Some(Arrival { process: Process::numbered(pid)?, killed: false });
    }
    let found = arrival(tid);
    // The kernel's own requests, which nobody waits for, come between others.
    if let Some(found) = found {
        SEEN.set((!found.killed).then(|| (found.process.pid(), now)));
    }
    found
}

/// Whether the process of that number has this thread just now.
fn has_thread(pid: u32, tid: u32) -> bool {
    // SAFETY: takes numbers, touches no memory; signal 0 is none (tgkill(2)).
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, 0) };
    // It is there, too, if we may not send it a signal.
    sent == 0 || Errno::from_io_error(&std::io::Error::last_os_error()) == Some(Errno::PERM)
}
