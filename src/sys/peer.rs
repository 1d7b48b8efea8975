//! Who is at the other end of a socket of this machine.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::checked;

/// The credentials of the process that connected, when it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its id; 0 if it is in a pid namespace that cannot be seen.
    pub(crate) pid: u32,
    /// Its effective user.
    pub(crate) uid: u32,
    /// Its effective group.
    pub(crate) gid: u32,
}

/// Of a listener's connection the process that connected, of a client's the one that listens
/// (`SO_PEERCRED`). rustix has this, too, but cannot say pid 0.
///
/// # Errors
/// Those of getsockopt(2).
pub(crate) fn peer_of(socket: impl AsFd) -> io::Result<Peer> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or_default();
    // SAFETY: the kernel writes at most `size` bytes to `found`, which is as large, and the size.
    checked(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut size,
        )
    })?;
    Ok(Peer { pid: found.pid.unsigned_abs(), uid: found.uid, gid: found.gid })
}
