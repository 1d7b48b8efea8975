//! Notices to the kernel, and answers in another's place, written to the FUSE connection. No locks.
//!
//! Its own and not fuser's, which does not tell whether the kernel knew the inode, and has one
//! answer per request.

use std::io;
use std::ops::Range;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::OnceLock;

use crate::mirror::Ino;
use crate::sys;

/// FUSE_NOTIFY_INVAL_INODE of the kernel's fuse.h.
const INVAL_INODE: i32 = 2;

/// FUSE_NOTIFY_INC_EPOCH of the kernel's fuse.h, from Linux 6.16 on.
const INC_EPOCH: i32 = 8;

/// The connection.
pub(super) struct Notices {
    connection: OwnedFd,
    /// Descriptors of the device that were there before it was: of whoever started the daemon, and
    /// perhaps of another connection, whose requests have the same numbers.
    others: Vec<RawFd>,
    /// Each of the descriptors that loop threads read requests from, besides the connection's own: a
    /// request is answered through the one it came by. They are there before the first request is.
    channels: OnceLock<Vec<OwnedFd>>,
}

impl Notices {
    /// Before the loop threads have channels of their own.
    pub(super) fn new(connection: OwnedFd) -> Notices {
        let others = device(&connection).map(sys::numbers_of).unwrap_or_default();
        Notices { connection, others, channels: OnceLock::new() }
    }

    /// Has the kernel ask anew for an inode's attributes; never blocks, whatever is held. False if
    /// the kernel does not know the inode, any more or yet.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn expire_attributes(&self, ino: Ino) -> io::Result<bool> {
        // Offset -1: attributes only, no pages.
        self.invalidate(ino, -1, 0)
    }

    /// Has the kernel write back what was stored into these bytes of a file through mappings, and
    /// drop their pages. Returns once that has been answered, so whatever is held of those pages is
    /// waited for: never to be called by a thread that the answers need.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn write_back(&self, ino: Ino, bytes: &Range<u64>) -> io::Result<()> {
        // A length of 0 would mean all that follows.
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let (offset, length) = (signed(bytes.start), signed(bytes.end - bytes.start));
        self.invalidate(ino, offset, length.max(1)).map(drop)
    }

    /// Has the kernel look up anew every name that it knows; takes no lock and never blocks. Whoever walks
    /// next drops what is cached below the first directory, and what is mounted there.
    ///
    /// # Errors
    /// The connection is gone, or the kernel does not know this.
    pub(super) fn expire_entries(&self) -> io::Result<()> {
        const LENGTH: u32 = 16;
        let unique = 0u64;
        let mut notice = Vec::with_capacity(LENGTH as usize);
        notice.extend(LENGTH.to_ne_bytes());
        notice.extend(INC_EPOCH.to_ne_bytes());
        notice.extend(unique.to_ne_bytes());
        rustix::io::write(&self.connection, &notice).map(drop).map_err(io::Error::from)
    }

    /// FUSE_NOTIFY_INVAL_INODE; false if the kernel does not know the inode.
    fn invalidate(&self, ino: Ino, offset: i64, length: i64) -> io::Result<bool> {
        const LENGTH: u32 = 40;
        let unique = 0u64;
        let mut notice = Vec::with_capacity(LENGTH as usize);
        notice.extend(LENGTH.to_ne_bytes());
        notice.extend(INVAL_INODE.to_ne_bytes());
        notice.extend(unique.to_ne_bytes());
        notice.extend(ino.0.to_ne_bytes());
        notice.extend(offset.to_ne_bytes());
        notice.extend(length.to_ne_bytes());
        match rustix::io::write(&self.connection, &notice) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Answers a request with EINTR in place of who serves it, once that can be: see
    /// [`Notices::can_answer`]. If that one was faster, or is later, the kernel knows the number no
    /// more and takes no notice.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn interrupt(&self, unique: u64) -> io::Result<()> {
        const LENGTH: u32 = 16;
        let mut answer = Vec::with_capacity(LENGTH as usize);
        answer.extend(LENGTH.to_ne_bytes());
        answer.extend((-libc::EINTR).to_ne_bytes());
        answer.extend(unique.to_ne_bytes());
        for channel in self.channels.get().into_iter().flatten().chain([&self.connection]) {
            match rustix::io::write(channel, &answer) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Finds the channels, unless they are known. To be called once there are requests.
    ///
    /// # Errors
    /// There are no descriptors to spare: nobody can be answered in another's place then.
    pub(super) fn can_answer(&self) -> io::Result<()> {
        if self.channels.get().is_none() {
            let device = device(&self.connection)?;
            let own = sys::numbers_of(device).into_iter().filter(|n| !self.others.contains(n));
            let channels = own.filter_map(|number| sys::duplicate(number, device).transpose());
            let _ = self.channels.set(channels.collect::<io::Result<_>>()?);
        }
        Ok(())
    }
}

fn device(connection: &OwnedFd) -> io::Result<u64> {
    Ok(rustix::fs::fstat(connection)?.st_rdev)
}
