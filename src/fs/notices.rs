//! Notices to the kernel, written to the FUSE connection. No locks.
//!
//! Its own and not fuser's, which does not tell whether the kernel knew the inode.

use std::io;
use std::os::fd::OwnedFd;

/// FUSE_NOTIFY_INVAL_INODE of the kernel's fuse.h.
const INVAL_INODE: i32 = 2;

/// The connection.
pub(super) struct Notices(OwnedFd);

impl Notices {
    pub(super) fn new(connection: OwnedFd) -> Notices {
        Notices(connection)
    }

    /// Has the kernel ask anew for an inode's attributes; never blocks, whatever is held. False if
    /// the kernel does not know the inode, any more or yet.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn expire_attributes(&self, ino: u64) -> io::Result<bool> {
        const LENGTH: u32 = 40;
        // Offset -1: attributes only, no pages.
        let (unique, offset, length) = (0u64, -1i64, 0i64);
        let mut notice = Vec::with_capacity(LENGTH as usize);
        notice.extend(LENGTH.to_ne_bytes());
        notice.extend(INVAL_INODE.to_ne_bytes());
        notice.extend(unique.to_ne_bytes());
        notice.extend(ino.to_ne_bytes());
        notice.extend(offset.to_ne_bytes());
        notice.extend(length.to_ne_bytes());
        match rustix::io::write(&self.0, &notice) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
