//! What the kernel offers to whoever serves a FUSE filesystem, found without a mount: it says so in the first
//! request of each, which comes before the filesystem is attached anywhere.

use std::ffi::OsStr;
use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::config::MountOptions;
use super::mount;
use super::mountpoint::Identity;

/// How long the request may take to come.
const PATIENCE: Duration = Duration::from_secs(1);

/// The least that the kernel fills (`FUSE_MIN_READ_BUFFER`).
const LEAST: usize = 8192;

/// `FUSE_INIT`.
const INIT: u32 = 26;

/// Of a request, before what it says.
const HEADER: usize = 40;

/// `FUSE_INIT_EXT`: there are more flags.
const MORE_FLAGS: u64 = 1 << 30;

/// What the kernel can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The version of its protocol.
    pub protocol: (u32, u32),
    /// What it offers, as in linux/fuse.h: those of `flags2` in the upper half.
    pub flags: u64,
    /// Whether it tells each mount from every other one for ever (Linux 6.8).
    pub tells_mounts_apart: bool,
}

/// Asks for it. Nothing is mounted anywhere.
///
/// # Errors
/// No /dev/fuse, or no right to mount; then what is wrong is told by other checks.
pub(crate) fn offer() -> io::Result<Offer> {
    let device = mount::open_device().map_err(io::Error::other)?;
    let root = mount::create(&device, OsStr::new("none"), &MountOptions::default())?;
    let tells_mounts_apart = Identity::of(&root)?.id.is_some();
    let patience = Timespec::try_from(PATIENCE).unwrap_or_default();
    if poll(&mut [PollFd::new(&device, PollFlags::IN)], Some(&patience))? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut request = [0; LEAST];
    let length = rustix::io::read(&device, &mut request)?;
    let (protocol, flags) =
        request.get(..length).and_then(read).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Offer { protocol, flags, tells_mounts_apart })
}

/// Version and flags of an INIT.
fn read(request: &[u8]) -> Option<((u32, u32), u64)> {
    let number = |at: usize| {
        let bytes = request.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    if number(4)? != INIT {
        return None;
    }
    let flags = u64::from(number(HEADER + 12)?);
    let more = if flags & MORE_FLAGS != 0 { number(HEADER + 16)? } else { 0 };
    Some(((number(HEADER)?, number(HEADER + 4)?), flags | u64::from(more) << 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_it_can_and_nothing_is_mounted() {
        let told = offer().unwrap();
        assert_eq!(told.protocol.0, 7);
        assert!(told.protocol.1 >= 31, "{told:?}");
        // FUSE_ASYNC_READ, which every kernel has.
        assert_eq!(told.flags & 1, 1);
    }

    #[test]
    fn more_flags_are_read_where_there_are_any() {
        let init = |flags: u32| {
            let mut request = vec![0; HEADER + 20];
            for (at, number) in [(4, INIT), (40, 7), (44, 41), (52, flags), (56, 3)] {
                request[at..at + 4].copy_from_slice(&u32::to_ne_bytes(number));
            }
            request
        };
        assert_eq!(read(&init(1)), Some(((7, 41), 1)));
        assert_eq!(read(&init(1 | 1 << 30)), Some(((7, 41), 1 | 1 << 30 | 3 << 32)));
        assert_eq!(read(&init(1)[..50]), None);
    }
}
