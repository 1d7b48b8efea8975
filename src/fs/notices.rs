//! Notices to the kernel, written to the FUSE connection. No locks.
//!
//! Its own and not fuser's, which does not tell whether the kernel knew the inode.

use std::io;
use std::ops::Range;
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
        // Offset -1: attributes only, no pages.
        self.invalidate(ino, -1, 0)
    }

    /// Has the kernel write back what was stored into these bytes of a file through mappings, and
    /// drop their pages. Returns once that has been answered, so whatever is held of those pages is
    /// waited for: never to be called by a thread that the answers need.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn write_back(&self, ino: u64, bytes: &Range<u64>) -> io::Result<()> {
        // A length of 0 would mean all that follows.
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let (offset, length) = (signed(bytes.start), signed(bytes.end - bytes.start));
        self.invalidate(ino, offset, length.max(1)).map(drop)
    }

    /// FUSE_NOTIFY_INVAL_INODE; false if the kernel does not know the inode.
    fn invalidate(&self, ino: u64, offset: i64, length: i64) -> io::Result<bool> {
        const LENGTH: u32 = 40;
        let unique = 0u64;
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
