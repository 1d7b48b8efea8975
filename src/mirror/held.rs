//! What it takes to remember inodes, and to look at them, beyond what the kernel asks for: numbers that
//! stay while they are needed, descriptors, and states that nobody is told of.
//!
//! Invariant: a number that is held means the same file until it is let go, whatever becomes of its names
//! and of the kernel's own lookups. No locks of its own.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxTimestamp, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::attr::encode_dev;
use super::inode::MAX_DEPTH;
use super::room::For;
use super::{Fh, Ino, Mirror, ROOT, Xattr, stat_of};
use crate::sys::creds;

/// What the kernel hands out at most of an attribute, and of their names.
const MOST: usize = 65536;

/// Seconds since 1970, and nanoseconds.
type Time = (i64, u32);

/// How an inode is found in the backing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Type and permissions.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// In units of 512 bytes.
    pub(crate) blocks: u64,
    pub(crate) links: u32,
    /// In the kernel's 32-bit encoding.
    pub(crate) rdev: u32,
    pub(crate) atime: Time,
    pub(crate) mtime: Time,
    pub(crate) ctime: Time,
}

impl Seen {
    fn of(stat: &Statx) -> Seen {
        let time = |t: StatxTimestamp| (t.tv_sec, t.tv_nsec);
        Seen {
            mode: u32::from(stat.stx_mode),
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            links: stat.stx_nlink,
            rdev: encode_dev(stat.stx_rdev_major, stat.stx_rdev_minor),
            atime: time(stat.stx_atime),
            mtime: time(stat.stx_mtime),
            ctime: time(stat.stx_ctime),
        }
    }

    /// The type, of `S_IFMT`.
    pub(crate) fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    /// As utimensat(2) takes them.
    pub(crate) fn times(&self) -> Timestamps {
        let time = |(secs, nanos): Time| Timespec { tv_sec: secs, tv_nsec: i64::from(nanos) };
        Timestamps { last_access: time(self.atime), last_modification: time(self.mtime) }
    }
}

/// An entry of a directory of the backing.
pub(crate) struct Reached {
    /// An `O_PATH` descriptor.
    pub(crate) fd: Arc<OwnedFd>,
    pub(crate) seen: Seen,
    /// The number of the inode, if one is known.
    pub(crate) ino: Option<Ino>,
    /// Which file it is: the same for all its names.
    pub(crate) file: (u64, u64),
}

impl<N: Default> Mirror<N> {
    /// Keeps the number of a known inode; to be let go by `forget`. The root's always stays.
    pub(crate) fn hold(&self, ino: Ino) {
        if let Some(inode) = self.table.get(ino).filter(|inode| inode.ino != ROOT) {
            self.table.enter(inode.identity, inode.directory);
        }
    }

    /// The number of the inode of that name, which is kept; None if there is none.
    pub(crate) fn hold_at(&self, parent: Ino, name: &OsStr) -> Option<Ino> {
        let (dir, fd) = self.parent_of(parent, name).ok()?;
        self.enter_at(&dir, &fd, name).ok().map(|(inode, _)| inode.ino)
    }

    /// A directory and those above it, as far as they are known, the root last.
    pub(crate) fn ancestors(&self, directory: Ino) -> Vec<Ino> {
        let mut all = vec![directory];
        let mut at = self.table.get(directory);
        while let Some(inode) = at.filter(|inode| inode.ino != ROOT && all.len() < MAX_DEPTH) {
            let Some((name, _)) = inode.current() else { break };
            all.push(name.parent);
            at = self.table.get(name.parent);
        }
        all
    }

    /// How an inode is found now. Unlike an answer to the kernel this tells nobody anything.
    pub(crate) fn seen(&self, ino: Ino) -> io::Result<Seen> {
        Ok(Seen::of(&stat_of(self.descriptor(&self.inode(ino)?)?)?))
    }

    /// An inode, whatever names it has or has lost.
    pub(crate) fn reached(&self, ino: Ino) -> io::Result<Reached> {
        self.reached_by(self.descriptor(&self.inode(ino)?)?)
    }

    /// The entry of a directory of the backing that may be known to nobody.
    pub(crate) fn reached_at(&self, dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Reached> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?);
        self.reached_by(Arc::new(self.with_room(For::Passing, open)?))
    }

    fn reached_by(&self, fd: Arc<OwnedFd>) -> io::Result<Reached> {
        let stat = stat_of(&fd)?;
        let identity = self.identity(&stat);
        let known = self.table.known(&identity).map(|inode| inode.ino);
        let root = || self.table.get(ROOT).filter(|root| root.identity == identity).map(|_| ROOT);
        let file = (identity.dev, identity.ino);
        Ok(Reached { fd, seen: Seen::of(&stat), ino: known.or_else(root), file })
    }

    /// Opens anew what a descriptor, `O_PATH` or not, refers to.
    pub(crate) fn opened_anew(&self, fd: impl AsFd, flags: OFlags) -> io::Result<OwnedFd> {
        self.open_again(fd.as_fd(), flags, For::Passing)
    }

    /// The same for reading, which leaves the time of access as it is where this process may ask for that.
    pub(crate) fn opened_to_read(&self, fd: impl AsFd, flags: OFlags) -> io::Result<OwnedFd> {
        let quiet = self.opened_anew(&fd, flags | OFlags::RDONLY | OFlags::NOATIME);
        quiet.or_else(|_| self.opened_anew(&fd, flags | OFlags::RDONLY))
    }

    /// What an open file has there, without moving its time of access.
    ///
    /// # Errors
    /// It cannot be read, or ends before.
    pub(crate) fn peek(&self, fh: Fh, range: &Range<u64>) -> io::Result<Vec<u8>> {
        let handle = self.handle(fh)?;
        if let Some(quiet) = handle.quiet.get() {
            return read_exactly(quiet.as_fd(), range);
        }
        let flags = OFlags::RDONLY | OFlags::NOATIME;
        match self.open_again(handle.as_fd(), flags, For::Staying) {
            Ok(opened) => read_exactly(handle.quiet.get_or_init(|| opened).as_fd(), range),
            // Of others, and where descriptors are short, none is kept.
            Err(_) => read_exactly(self.opened_to_read(&*handle, OFlags::empty())?.as_fd(), range),
        }
    }

    /// The same of one that may be open nowhere.
    pub(crate) fn peek_at(&self, ino: Ino, range: &Range<u64>) -> io::Result<Vec<u8>> {
        read_exactly(self.opened_to_read(&self.reached(ino)?.fd, OFlags::empty())?.as_fd(), range)
    }

    /// Gives what a descriptor refers to that mode.
    pub(crate) fn set_mode(&self, fd: impl AsFd, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode & 0o7777);
        Ok(rustix::fs::chmodat(&self.proc_fds, DecInt::from_fd(fd), mode, AtFlags::empty())?)
    }

    /// The extended attributes of what a descriptor refers to.
    pub(crate) fn attributes_of(&self, fd: impl AsFd) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        creds::stand_in(self.proc_fds.as_fd())?;
        let path = DecInt::from_fd(fd);
        let path = path.as_c_str();
        let mut names = Vec::with_capacity(MOST);
        match rustix::fs::listxattr(path, rustix::buffer::spare_capacity(&mut names)) {
            // Symbolic links and what has none to have, or a filesystem without.
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::NODATA) => return Ok(Vec::new()),
            listed => drop(listed?),
        }
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let value = |name: &[u8]| {
            let mut value = Vec::with_capacity(MOST);
            rustix::fs::getxattr(path, name, rustix::buffer::spare_capacity(&mut value))?;
            Ok((OsStr::from_bytes(name).to_owned(), value))
        };
        names.map(value).collect()
    }

    /// Gives what a descriptor refers to an extended attribute.
    pub(crate) fn set_attribute(
        &self,
        fd: impl AsFd,
        name: &OsStr,
        value: &[u8],
    ) -> io::Result<()> {
        creds::stand_in(self.proc_fds.as_fd())?;
        Ok(rustix::fs::setxattr(DecInt::from_fd(fd), name, value, XattrFlags::empty())?)
    }

    /// Takes one away from it, if it has it.
    pub(crate) fn remove_attribute(&self, fd: impl AsFd, name: &OsStr) -> io::Result<()> {
        creds::stand_in(self.proc_fds.as_fd())?;
        match rustix::fs::removexattr(DecInt::from_fd(fd), name) {
            Err(Errno::NODATA) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Gives what a descriptor refers to, and has a name, one more.
    pub(crate) fn link_to(
        &self,
        fd: impl AsFd,
        (dir, name): (BorrowedFd<'_>, &OsStr),
    ) -> io::Result<()> {
        let (from, follow) = (DecInt::from_fd(fd), AtFlags::SYMLINK_FOLLOW);
        Ok(rustix::fs::linkat(&self.proc_fds, from, dir, name, follow)?)
    }

    /// An extended attribute of an inode, if it has it.
    pub(crate) fn attribute(&self, ino: Ino, name: &OsStr) -> Option<Vec<u8>> {
        match self.getxattr(ino, name, u32::try_from(MOST).unwrap_or(u32::MAX)) {
            Ok(Xattr::Value(value)) => Some(value),
            Ok(Xattr::Size(_)) | Err(_) => None,
        }
    }
}

/// All bytes of a range.
fn read_exactly(fd: BorrowedFd<'_>, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = range.start + bytes.len() as u64;
        match rustix::io::pread(fd, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}
