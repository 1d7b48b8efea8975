//! All unsafe code: one small safe function per call that rustix lacks.
//!
//! Invariant: nothing here knows of FUSE, faults or inodes; every function is as safe as its
//! signature says, whatever the arguments. Errors are raw OS errors. No locks.
#![allow(unsafe_code, reason = "the one layer where it is allowed")]

pub(crate) mod blocks;
pub(crate) mod creds;
pub(crate) mod daemonize;
pub(crate) mod descriptors;
pub(crate) mod ioctl;
pub(crate) mod memory;
pub(crate) mod mounts;
pub(crate) mod namespace;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod signals;
pub(crate) mod syscall;
pub(crate) mod timers;
pub(crate) mod turns;
pub(crate) mod usage;

use std::ffi::CStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Converts the `-1` convention of a libc call into an error with its errno.
fn checked(code: libc::c_int) -> io::Result<libc::c_int> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// An error's text without the ` (os error N)` that Rust appends.
#[must_use]
pub(crate) fn text_of(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

/// close(2) that tells its error, which dropping an `OwnedFd` swallows.
///
/// # Errors
/// What the filesystem reports when a descriptor goes (EIO, ENOSPC, EDQUOT on network filesystems).
pub(crate) fn close(fd: OwnedFd) -> io::Result<()> {
    // SAFETY: into_raw_fd gave up ownership, so the descriptor is closed exactly once.
    match unsafe { libc::close(fd.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many descriptor numbers are looked through: those opened at the start are the lowest.
const LOOKED_THROUGH: RawFd = 1024;

/// The numbers of the descriptors that this process has of a character device, by its number.
#[must_use]
pub(crate) fn numbers_of(device: u64) -> Vec<RawFd> {
    // /proc lists the few that there are, in order; without it each number is tried.
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    let open: Vec<RawFd> = match fs::read_dir("/proc/self/fd") {
        Ok(open) => open.filter_map(number).take_while(|n| *n < LOOKED_THROUGH).collect(),
        Err(_) => (0..LOOKED_THROUGH).collect(),
    };
    open.into_iter().filter(|number| is_of(*number, device)).collect()
}

/// A duplicate of such a descriptor; none if the number is no such descriptor's any more.
///
/// # Errors
/// Those of fcntl(2), F_DUPFD: EMFILE.
pub(crate) fn duplicate(number: RawFd, device: u64) -> io::Result<Option<OwnedFd>> {
    // SAFETY: fcntl(2) takes any number, and F_DUPFD changes nothing about that descriptor.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) };
    // SAFETY: a new descriptor, owned by nobody else.
    let copy = unsafe { OwnedFd::from_raw_fd(checked(copy)?) };
    // The number may have become another file's.
    Ok(Some(copy).filter(|copy| is_of(copy.as_raw_fd(), device)))
}

fn is_of(number: RawFd, device: u64) -> bool {
    let mut stat = MaybeUninit::<libc::stat64>::uninit();
    // SAFETY: fstat(2) takes any number, and writes to `stat` if it succeeds.
    let found = unsafe { libc::fstat64(number, stat.as_mut_ptr()) } == 0;
    // SAFETY: it has succeeded.
    found && unsafe { stat.assume_init() }.st_rdev == device
}

/// truncate(2), which opens nothing.
///
/// # Errors
/// Those of truncate(2); EINVAL for a size beyond `i64`.
pub(crate) fn truncate(path: &CStr, size: u64) -> io::Result<()> {
    let Ok(size) = libc::off64_t::try_from(size) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    // SAFETY: the path is a C string that lives through the call.
    checked(unsafe { libc::truncate64(path.as_ptr(), size) }).map(drop)
}

/// pread(2) of up to `size` bytes onto the end of a buffer, which is not zeroed for it.
///
/// # Errors
/// Those of pread(2); EINVAL for an offset beyond `i64`.
pub(crate) fn pread_onto(
    fd: impl AsFd,
    buf: &mut Vec<u8>,
    size: usize,
    offset: u64,
) -> io::Result<usize> {
    let Ok(offset) = libc::off64_t::try_from(offset) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    buf.reserve(size);
    let room = buf.spare_capacity_mut();
    let size = size.min(room.len());
    // SAFETY: the kernel writes at most `size` bytes, and there is room for them.
    let read =
        unsafe { libc::pread64(fd.as_fd().as_raw_fd(), room.as_mut_ptr().cast(), size, offset) };
    let Ok(read) = usize::try_from(read) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has written that many bytes after those that were there.
    unsafe { buf.set_len(buf.len() + read) };
    Ok(read)
}
