//! Other processes: whether a caller was killed, killing one, its groups. And this thread's timers.

use std::fs;
use std::io;
use std::num::NonZeroU64;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process, test_kill_process};

/// Whether the thread has a SIGKILL pending, or is gone.
///
/// A caller that waits for a reply is in uninterruptible sleep: a SIGKILL stays pending there.
/// A thread that exists but may not be looked at counts as not killed.
#[must_use]
pub fn sigkill_pending(tid: u32) -> bool {
    let Some(pid) = pid(tid) else { return false };
    match fs::read_to_string(format!("/proc/{tid}/status")) {
        Ok(status) => shows_sigkill(&status),
        // hidepid hides what is there: only the signal's own lookup tells.
        Err(_) => test_kill_process(pid) == Err(Errno::SRCH),
    }
}

/// Whether SIGKILL is among the signals pending for the thread or for its process.
fn shows_sigkill(status: &str) -> bool {
    const SIGKILL: u64 = 1 << (9 - 1);
    ["SigPnd:", "ShdPnd:"].into_iter().any(|name| {
        let mask = field(status, name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
        mask.is_some_and(|mask| mask & SIGKILL != 0)
    })
}

/// What became of a request to kill a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Killed {
    /// SIGKILL was sent to this process.
    Sent(u32),
    /// It is one that is never killed: unknown (0), init (1) or ourselves.
    Spared(u32),
}

/// Sends SIGKILL to the process that the thread belongs to, sparing pid 0, 1 and ourselves.
///
/// # Errors
/// If the thread is gone or we may not.
pub fn kill_caller(tid: u32) -> io::Result<Killed> {
    if tid <= 1 {
        return Ok(Killed::Spared(tid));
    }
    let tgid = thread_group(tid)?;
    match pid(tgid) {
        Some(process) if tgid > 1 && process != getpid() => {
            kill_process(process, Signal::KILL)?;
            Ok(Killed::Sent(tgid))
        }
        _ => Ok(Killed::Spared(tgid)),
    }
}

/// The process that the thread belongs to.
///
/// # Errors
/// If the thread is gone or hidden.
pub fn thread_group(tid: u32) -> io::Result<u32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status"))?;
    field(&status, "Tgid:")
        .and_then(|tgid| tgid.parse().ok())
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The supplementary groups of the thread; none of one that is gone, hidden or in a pid namespace
/// that is not visible (0). While it waits for a reply they are those it called with.
#[must_use]
pub fn groups(tid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let groups = field(&status, "Groups:").unwrap_or_default();
    groups.split_ascii_whitespace().filter_map(|group| group.parse().ok()).collect()
}

/// Lets this thread's timed waits end as close to their time as the machine can: the kernel
/// otherwise adds up to 50 us to gather wake-ups (prctl(2), PR_SET_TIMERSLACK).
///
/// # Errors
/// None known.
pub fn wake_on_time() -> io::Result<()> {
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    Ok(())
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// The value of a line of /proc/.../status.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    #[test]
    fn living_thread_has_no_sigkill_pending() {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(!sigkill_pending(u32::try_from(own).unwrap()));
        assert!(!sigkill_pending(0));
        assert!(!sigkill_pending(u32::MAX));
    }

    #[test]
    fn thread_that_is_gone_counts_as_killed() {
        let mut child = sleeper();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(sigkill_pending(child.id()));
    }

    #[test]
    fn pending_masks_are_read_from_either_line() {
        let status = |own: &str, shared: &str| {
            format!("Name:\tx\nTgid:\t12\nSigPnd:\t{own}\nShdPnd:\t{shared}\nSigBlk:\tffffffff\n")
        };
        let (none, kill) = ("0000000000000000", "0000000000000100");
        assert!(shows_sigkill(&status(kill, none)));
        assert!(shows_sigkill(&status(none, kill)));
        assert!(!shows_sigkill(&status(none, "fffffffffffffeff")));
        assert!(!shows_sigkill(""));
        assert_eq!(field(&status(none, none), "Tgid:"), Some("12"));
    }

    #[test]
    fn caller_is_killed_as_a_process() {
        let mut child = sleeper();
        assert_eq!(kill_caller(child.id()).unwrap(), Killed::Sent(child.id()));
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        assert!(kill_caller(child.id()).is_err());
    }

    #[test]
    fn groups_are_those_of_the_thread() {
        let (own, others) = std::thread::spawn(|| {
            let before = groups(std::process::id());
            let members = [4_000_000_000, 77].map(rustix::process::Gid::from_raw);
            rustix::thread::set_thread_groups(&members).expect("this test must run as root");
            let own = rustix::thread::gettid().as_raw_nonzero().get();
            (groups(u32::try_from(own).unwrap()), before == groups(std::process::id()))
        })
        .join()
        .unwrap();
        assert_eq!(own, [77, 4_000_000_000]);
        assert!(others, "the other threads keep theirs");
        assert!(groups(0).is_empty() && groups(u32::MAX).is_empty());
    }

    #[test]
    fn init_unknown_and_ourselves_are_spared() {
        assert_eq!(kill_caller(0).unwrap(), Killed::Spared(0));
        assert_eq!(kill_caller(1).unwrap(), Killed::Spared(1));
        let own = std::process::id();
        assert_eq!(kill_caller(own).unwrap(), Killed::Spared(own));
        // A thread of ours is ourselves.
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            let _ = ended.recv();
        });
        let tid = u32::try_from(told.recv().unwrap()).unwrap();
        assert_eq!(kill_caller(tid).unwrap(), Killed::Spared(own));
        drop(end);
        waiting.join().unwrap();
    }
}
