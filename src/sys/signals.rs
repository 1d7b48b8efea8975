//! Signals as a descriptor: the daemon waits for them together with everything else.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::checked;

/// Those that a user sends, and those that end a process that does not know them.
pub(crate) const ENDING: [libc::c_int; 13] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSTKFLT,
    // The processor time that `ulimit -t` or `-R` allows is used up: SIGKILL follows.
    libc::SIGXCPU,
];

/// Those by which people end what they have started.
pub(crate) const BY_PEOPLE: [libc::c_int; 4] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Blocks `signals` in the calling thread, and in every thread it starts from now on, and returns
/// a non-blocking descriptor that becomes readable when one of them is pending.
///
/// # Errors
/// What sigprocmask(2) and signalfd(2) report.
pub(crate) fn block(signals: &[libc::c_int]) -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that the later calls read; every pointer is to a
    // local that outlives its call.
    let fd = unsafe {
        checked(libc::sigemptyset(set.as_mut_ptr()))?;
        for signal in signals {
            checked(libc::sigaddset(set.as_mut_ptr(), *signal))?;
        }
        checked(libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()))?;
        checked(libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?
    };
    // SAFETY: signalfd returned a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has the calling thread take every signal. It makes one system call, and neither allocates nor locks.
///
/// # Errors
/// None known.
pub(crate) fn unblock_all() -> io::Result<()> {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that is then read.
    checked(unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
    })?;
    Ok(())
}

/// Runs `f` while the calling thread takes no signals; a thread that `f` starts never does.
///
/// # Errors
/// None known.
pub(crate) fn masked<T>(f: impl FnOnce() -> T) -> io::Result<T> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set that is then read, the kernel writes the other one.
    unsafe {
        checked(libc::sigfillset(all.as_mut_ptr()))?;
        checked(libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()))?;
    }
    let done = f();
    // SAFETY: the set was initialised by the call above.
    checked(unsafe {
        libc::sigprocmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut())
    })?;
    Ok(done)
}

/// Has a signal that is blocked in the calling thread do now what it does by default, and blocks it again.
///
/// # Errors
/// EINVAL for what is no signal.
pub(crate) fn let_through(signal: libc::c_int) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that the later calls read; raise takes any number, and the
    // default action runs no code of ours.
    unsafe {
        checked(libc::sigemptyset(set.as_mut_ptr()))?;
        checked(libc::sigaddset(set.as_mut_ptr(), signal))?;
        checked(libc::raise(signal))?;
        checked(libc::sigprocmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut()))?;
        checked(libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()))?;
    }
    Ok(())
}

/// Has the process go on as if these signals did not come: what they tell of is an error as well.
///
/// # Errors
/// EINVAL for a signal that cannot be ignored.
pub(crate) fn ignore(signals: &[libc::c_int]) -> io::Result<()> {
    for signal in signals {
        // SAFETY: SIG_IGN runs no code of ours.
        if unsafe { libc::signal(*signal, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The realtime signals that the C library leaves to programs.
#[must_use]
pub(crate) fn realtime() -> std::ops::RangeInclusive<libc::c_int> {
    libc::SIGRTMIN()..=libc::SIGRTMAX()
}

/// Takes one pending signal from a descriptor of [`block`]; None when none is pending.
#[must_use]
pub(crate) fn take(fd: &OwnedFd) -> Option<libc::c_int> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer is as large as the size given; the kernel writes whole structures.
    let got = unsafe { libc::read(fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
    if usize::try_from(got) != Ok(size) {
        return None;
    }
    // SAFETY: the read filled the whole structure.
    i32::try_from(unsafe { info.assume_init() }.ssi_signo).ok()
}
