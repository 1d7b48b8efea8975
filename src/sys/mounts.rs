//! The unique ids of mounts (listmount(2) and statmount(2), Linux 6.8). No path is looked up for them, so
//! that no filesystem is asked that may not answer.

use std::io;

const STATMOUNT: libc::c_long = 457;
const LISTMOUNT: libc::c_long = 458;

/// LSMT_ROOT: all mounts below the process's root.
const ALL: u64 = u64::MAX;

/// STATMOUNT_SB_BASIC: which filesystem it is of.
const FILESYSTEM: u64 = 1;

/// `struct mnt_id_req`, as the first kernels with these calls have it.
#[repr(C)]
#[allow(dead_code, reason = "the kernel reads all of it")]
struct Request {
    size: u32,
    spare: u32,
    mount: u64,
    param: u64,
}

impl Request {
    fn new(mount: u64, param: u64) -> Request {
        Request { size: 24, spare: 0, mount, param }
    }
}

/// `struct statmount`, as far as it is asked for.
#[repr(C)]
#[derive(Default)]
#[allow(dead_code, reason = "the kernel reads or writes all of it")]
struct Seen {
    size: u32,
    options: u32,
    mask: u64,
    major: u32,
    minor: u32,
    /// All that the kernel may tell besides.
    rest: [[u64; 10]; 6],
    more: u64,
}

/// The mounts that this process sees of the filesystem of that number.
///
/// # Errors
/// ENOSYS before Linux 6.8, and where a filter of system calls does not know these.
pub(crate) fn mounts_of(device: (u32, u32)) -> io::Result<Vec<u64>> {
    let (mut found, mut last) = (Vec::new(), 0);
    loop {
        let some = list_after(last)?;
        found.extend(some.iter().filter(|id| is_of(**id, device)));
        match some.last() {
            Some(id) => last = *id,
            None => return Ok(found),
        }
    }
}

/// Some of all mounts: those behind that one.
fn list_after(last: u64) -> io::Result<Vec<u64>> {
    let mut ids = [0_u64; 256];
    let request = Request::new(ALL, last);
    // SAFETY: the kernel reads the request and writes at most so many ids as there is room for.
    let listed =
        unsafe { libc::syscall(LISTMOUNT, &raw const request, ids.as_mut_ptr(), ids.len(), 0_u32) };
    match usize::try_from(listed) {
        Ok(listed) => Ok(ids.into_iter().take(listed).collect()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Whether that mount is of that filesystem; not if it is gone.
fn is_of(id: u64, device: (u32, u32)) -> bool {
    let (request, mut seen) = (Request::new(id, FILESYSTEM), Seen::default());
    // SAFETY: the kernel reads the request and writes at most that many bytes.
    let looked = unsafe {
        libc::syscall(STATMOUNT, &raw const request, &raw mut seen, size_of::<Seen>(), 0_u32)
    };
    looked == 0 && seen.mask & FILESYSTEM != 0 && (seen.major, seen.minor) == device
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mounts_of_a_filesystem_are_found() {
        assert_eq!(size_of::<Seen>(), 512);
        let proc = rustix::fs::stat("/proc/self").unwrap().st_dev;
        let device = (rustix::fs::major(proc), rustix::fs::minor(proc));
        match mounts_of(device) {
            Ok(found) => assert!(!found.is_empty()),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOSYS)),
        }
        assert!(mounts_of((0, u32::MAX)).unwrap_or_default().is_empty());
    }
}
