//! The ioctls that a regular file or directory has on any filesystem.
//!
//! Invariant: only the commands listed here reach the kernel, each with a buffer at least as large
//! as the kernel reads or writes for it. No locks.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Room for the largest of them, `FSLABEL_MAX` bytes, aligned for all.
const ROOM: usize = 256;
#[repr(align(8))]
struct Room([u8; ROOM]);

const fn ior(kind: u8, nr: u8, size: u32) -> u32 {
    (2 << 30) | (size << 16) | ((kind as u32) << 8) | nr as u32
}
const fn iow(kind: u8, nr: u8, size: u32) -> u32 {
    (1 << 30) | (size << 16) | ((kind as u32) << 8) | nr as u32
}

const LONG: u32 = size_of::<libc::c_long>() as u32;
/// `FS_IOC_GETFLAGS`, as lsattr(1) uses it; an int in spite of its number.
pub(crate) const GETFLAGS: u32 = ior(b'f', 1, LONG);
/// `FS_IOC_SETFLAGS`.
pub(crate) const SETFLAGS: u32 = iow(b'f', 2, LONG);
/// `FS_IOC_FSGETXATTR`, a `struct fsxattr` of 28 bytes.
pub(crate) const FSGETXATTR: u32 = ior(b'X', 31, 28);
/// `FS_IOC_FSSETXATTR`.
pub(crate) const FSSETXATTR: u32 = iow(b'X', 32, 28);
/// `FS_IOC_GETVERSION`, an int likewise.
pub(crate) const GETVERSION: u32 = ior(b'v', 1, LONG);
/// `FS_IOC_GETFSLABEL`.
pub(crate) const GETFSLABEL: u32 = ior(0x94, 49, 256);
/// `FIONREAD`.
pub(crate) const FIONREAD: u32 = 0x541b;

/// A command as ioctl(2) takes it: an unsigned long to glibc, an int of the same bits to musl.
pub(super) fn request(cmd: u32) -> libc::Ioctl {
    cmd as libc::Ioctl
}

/// Whether a command changes the inode, its time of change at least.
#[must_use]
pub(crate) fn changes_inode(cmd: u32) -> bool {
    matches!(cmd, SETFLAGS | FSSETXATTR)
}

/// Runs one of these commands with `input` and returns up to `out_size` bytes of its answer. That
/// the caller may change flags has been judged by the kernel that sent the request.
///
/// # Errors
/// ENOTTY for every other command; EINVAL if `input` is shorter than the command's argument; else
/// those of the backing filesystem.
pub(crate) fn on_file(fd: impl AsFd, cmd: u32, input: &[u8], out_size: u32) -> io::Result<Vec<u8>> {
    let (takes, gives) = match cmd {
        GETFLAGS | GETVERSION | FIONREAD => (0, 4),
        SETFLAGS => (4, 0),
        FSGETXATTR => (0, 28),
        FSSETXATTR => (28, 0),
        GETFSLABEL => (0, 256),
        _ => return Err(io::Error::from_raw_os_error(libc::ENOTTY)),
    };
    let mut room = Room([0; ROOM]);
    match (room.0.get_mut(..takes), input.get(..takes)) {
        (Some(to), Some(from)) => to.copy_from_slice(from),
        _ => return Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
    let request = request(cmd);
    // SAFETY: each command listed reads or writes at most ROOM bytes behind the pointer.
    let status = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, room.0.as_mut_ptr()) };
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    let wanted = usize::try_from(out_size).unwrap_or(ROOM).min(gives);
    Ok(room.0.get(..wanted).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel_headers() {
        assert_eq!(GETFLAGS, libc::FS_IOC_GETFLAGS as u32);
        assert_eq!(SETFLAGS, libc::FS_IOC_SETFLAGS as u32);
        assert_eq!(GETVERSION, libc::FS_IOC_GETVERSION as u32);
        assert_eq!(FIONREAD, libc::FIONREAD as u32);
        assert_eq!(FSGETXATTR, 0x801c_581f);
        assert_eq!(FSSETXATTR, 0x401c_5820);
        assert_eq!(GETFSLABEL, 0x8100_9431);
    }

    #[test]
    fn terminal_questions_get_enotty() {
        let file = tempfile::tempfile().unwrap();
        let error = on_file(&file, libc::TCGETS as u32, &[], 64).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }

    #[test]
    fn unread_bytes_of_a_file_are_told() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(7).unwrap();
        assert_eq!(on_file(&file, FIONREAD, &[], 4).unwrap(), 7i32.to_ne_bytes());
    }
}
