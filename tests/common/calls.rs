//! System calls that only have an unsafe form.
#![allow(unsafe_code, reason = "all of the cases' unsafe code is here")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use rustix::thread::UnshareFlags;

/// Gives this thread an umask and a working directory of its own.
pub fn unshare_umask() {
    // SAFETY: FS leaves the descriptors shared, which is what makes unsharing unsafe.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS).unwrap() }
}

/// Gives this thread descriptors of its own: the standard ones only.
pub fn unshare_descriptors() {
    // SAFETY: the threads that do this use no descriptor that was opened outside of them.
    let closed = unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_UNSHARE as i32) };
    succeeded(closed).unwrap();
}

/// A mapping of the start of a file.
pub struct Mapping {
    start: *mut u8,
    len: usize,
}

impl Mapping {
    /// Maps `len` bytes, readable and writable, `MAP_SHARED` or `MAP_PRIVATE`.
    pub fn new(file: &File, len: usize, flags: i32) -> io::Result<Mapping> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, prot, flags, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { start: start.cast(), len })
    }

    /// msync(2) of all of it, synchronously.
    pub fn sync(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping's own.
        succeeded(unsafe { libc::msync(self.start.cast(), self.len, libc::MS_SYNC) })
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped for as long as `self` lives; the cases keep the file this long.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl DerefMut for Mapping {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: mapped writable for as long as `self` lives, and borrowed by nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping's own and is not used any more.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// Has the kernel begin to write back what it has of a file, and waits for none of it.
pub fn begin_write_back(file: &File) -> io::Result<()> {
    // SAFETY: plain numbers.
    succeeded(unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) })
}

/// A record lock of fcntl(2): `command` is `F_SETLK`, `F_GETLK`, `F_OFD_SETLK`, ...; `kind` is
/// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`. Returns the lock as the kernel leaves it.
pub fn record_lock(
    file: &File,
    command: i32,
    kind: i32,
    (start, len): (i64, i64),
) -> io::Result<libc::flock> {
    let mut lock = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start,
        l_len: len,
        l_pid: 0,
    };
    // SAFETY: the commands above take a `struct flock`, which lives through the call.
    succeeded(unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) })?;
    Ok(lock)
}

/// An ioctl that nobody serves, with a buffer of 64 bytes to read and write.
pub fn unknown_ioctl(file: &File) -> io::Result<()> {
    let mut buffer = [0u8; 64];
    // _IOWR('~', 99, char[64])
    let request = (3 << 30) | (64 << 16) | (u64::from(b'~') << 8) | 99;
    // SAFETY: the request's number says 64 bytes, and the buffer has as many.
    succeeded(unsafe { libc::ioctl(file.as_raw_fd(), request, buffer.as_mut_ptr()) })
}

/// `struct fsxattr` of FS_IOC_FSGETXATTR: xflags, extsize, nextents, projid, cowextsize, padding.
pub fn fs_xattr(file: &File) -> io::Result<[u32; 7]> {
    let mut attributes = [0u32; 7];
    // _IOR('X', 31, struct fsxattr)
    let request = (2 << 30) | (28 << 16) | (u64::from(b'X') << 8) | 31;
    // SAFETY: the structure is 28 bytes long, as the buffer is.
    succeeded(unsafe { libc::ioctl(file.as_raw_fd(), request, attributes.as_mut_ptr()) })?;
    Ok(attributes)
}

/// truncate(2): by name, without opening.
pub fn truncate(path: impl AsRef<Path>, size: i64) -> io::Result<()> {
    let path = CString::new(path.as_ref().as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a C string that lives through the call.
    succeeded(unsafe { libc::truncate(path.as_ptr(), size) })
}

/// A buffer that O_DIRECT takes: a whole number of pages, on a page boundary.
pub fn aligned(len: usize) -> Mapping {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping at an address of the kernel's choice touches no other memory.
    let start = unsafe { libc::mmap(ptr::null_mut(), len, prot, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    Mapping { start: start.cast(), len }
}

fn succeeded(returned: i32) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
