//! How long this thread runs on a processor before whoever woke meanwhile gets it. No locks.

use std::io;
use std::mem::size_of;

/// The shortest turn that the kernel gives, ns.
const SHORT: u64 = 100_000;

/// Gives this thread short turns: it gets as much of a processor as before, but who wakes while it computes
/// waits 0.1 ms for its end and not 3. That is what sched_setattr(2) makes of `sched_runtime` on Linux 6.12 and
/// later, for a thread with an ordinary policy; older kernels take no notice of it.
///
/// # Errors
/// The kernel refuses it.
pub(crate) fn be_short() -> io::Result<()> {
    let mut attr = now()?;
    if attr.sched_policy != libc::SCHED_OTHER.cast_unsigned() {
        return Ok(());
    }
    attr.sched_runtime = SHORT;
    // SAFETY: the kernel reads as much of the structure as it says that it has.
    checked(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0_u32) })
}

/// How this thread is scheduled.
fn now() -> io::Result<libc::sched_attr> {
    let mut attr = libc::sched_attr {
        size: 0,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes to the structure, no further than its size.
    checked(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0_u32) })?;
    Ok(attr)
}

fn checked(status: libc::c_long) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_short_for_this_thread_only() {
        let theirs = || now().map(|attr| (attr.sched_policy, attr.sched_nice, attr.sched_runtime));
        let before = theirs().unwrap();
        let after = std::thread::spawn(move || {
            be_short().unwrap();
            theirs().unwrap()
        });
        let after = after.join().unwrap();
        assert_eq!(theirs().unwrap(), before);
        assert_eq!((after.0, after.1), (before.0, before.1));
        // A kernel without such turns tells of none.
        assert!(after.2 == SHORT || after.2 == 0 && before.2 == 0, "{} ns", after.2);
    }
}
