//! Which bytes of a file have blocks, be they written to or only allocated: where lseek(2) tells of a hole
//! they may have some. No locks.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use super::ioctl;

/// How many extents are asked for at once.
const AT_ONCE: usize = 32;

/// `struct fiemap` of linux/fiemap.h, with room for so many.
#[derive(Default)]
#[repr(C)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
    extents: [Extent; AT_ONCE],
}

/// `struct fiemap_extent`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// `FS_IOC_FIEMAP`, whose number has the size of the structure without its extents.
const FIEMAP: u32 = 0xc020_660b;

/// `FIEMAP_EXTENT_LAST`: the file has no more.
const LAST: u32 = 1;

/// The stretches that have blocks and overlap a range, ascending; what is yet to be written back has them
/// too where the filesystem has reserved them.
///
/// # Errors
/// The filesystem does not tell (EOPNOTSUPP, ENOTTY); its own.
pub(crate) fn extents(fd: impl AsFd, range: &Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let (length, extent_count) = (range.end - start, AT_ONCE as u32);
        let mut asked = Fiemap { start, length, extent_count, ..Fiemap::default() };
        let request = ioctl::request(FIEMAP);
        // SAFETY: the kernel writes the head and at most `extent_count` extents, for which there is room.
        let status = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, &raw mut asked) };
        super::checked(status)?;
        let count = usize::try_from(asked.mapped_extents).unwrap_or_default();
        let extents = asked.extents.get(..count).unwrap_or_default();
        found.extend(extents.iter().map(|e| e.logical..e.logical.saturating_add(e.length)));
        let Some(last) = extents.last().filter(|last| last.flags & LAST == 0) else { break };
        start = last.logical.saturating_add(last.length).max(start + 1);
    }
    Ok(found)
}

/// cachestat(2) of Linux 6.5, the same number on every machine.
const CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range` of linux/mman.h.
#[repr(C)]
struct Asked {
    offset: u64,
    length: u64,
}

/// `struct cachestat`.
#[derive(Default)]
#[repr(C)]
struct Cached {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// How many pages of a range the kernel has in memory or in swap. Of a file on a tmpfs those are all
/// that it has.
///
/// # Errors
/// ENOSYS before Linux 6.5; EPERM.
pub(crate) fn pages(fd: impl AsFd, range: &Range<u64>) -> io::Result<u64> {
    let length = range.end.saturating_sub(range.start);
    if length == 0 {
        return Ok(0); // To the kernel it is all the rest.
    }
    let asked = Asked { offset: range.start, length };
    let mut found = Cached::default();
    let (asked, told) = (&raw const asked, &raw mut found);
    // SAFETY: the kernel reads one structure and writes the other, of the sizes that it knows.
    let code = unsafe { libc::syscall(CACHESTAT, fd.as_fd().as_raw_fd(), asked, told, 0_u32) };
    match code {
        0 => Ok(found.cached.saturating_add(found.evicted)),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_those_of_the_kernel_headers() {
        assert_eq!(size_of::<Extent>(), 56);
        assert_eq!(size_of::<Fiemap>(), 32 + AT_ONCE * 56);
        assert_eq!((size_of::<Asked>(), size_of::<Cached>()), (16, 40));
    }
}
