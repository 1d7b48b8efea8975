//! Files that are changed on command, and by nobody's request: found again whatever has become of their
//! names, opened for that alone, and closed. No locks.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, Timestamps, openat2};

use super::attr::{TimeChange, timespec};
use super::inode::Identity;
use super::room::For;
use super::{Ino, Mirror, ROOT, errno, stat_of};

/// A file of the backing that is open to be changed.
pub(crate) struct Found {
    file: File,
    /// Which file it is.
    pub(crate) key: [u64; 3],
    /// What the kernel knows it by, if it does.
    pub(crate) ino: Option<Ino>,
}

impl<N: Default> Mirror<N> {
    /// The regular file of that key: one that the kernel knows, or that lies at that path of the backing.
    ///
    /// # Errors
    /// ESTALE if it is gone, or has moved while nobody knew it; those of opening it.
    pub(crate) fn find(&self, [dev, ino, born]: [u64; 3], path: &[u8]) -> io::Result<Found> {
        let identity = Identity { dev, ino, born };
        if let Some(inode) = self.table.known(&identity) {
            let file = self.open_as(&inode, OFlags::RDWR)?;
            return self.found(file);
        }
        match self.find_at(path) {
            Ok(found) if found.key == [dev, ino, born] => Ok(found),
            Ok(_) => Err(errno(libc::ESTALE)),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Err(errno(libc::ESTALE)),
                _ => Err(error),
            },
        }
    }

    /// The regular file at that path of the backing.
    ///
    /// # Errors
    /// There is none (EINVAL if it is no regular file); those of opening it.
    pub(crate) fn find_at(&self, path: &[u8]) -> io::Result<Found> {
        let looked = self.look_at(path)?;
        self.found(self.open_again(looked.as_fd(), OFlags::RDWR, For::Passing)?)
    }

    /// How long the regular file at that path of the backing is; none if it is no regular file.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn size_at(&self, path: &[u8]) -> io::Result<Option<u64>> {
        match self.look_at(path) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            looked => Ok(Some(stat_of(looked?)?.stx_size)),
        }
    }

    /// To open what is no regular file may wait, or do something.
    fn look_at(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let below = path.strip_prefix(self.base.as_slice()).ok_or_else(|| errno(libc::ENOENT))?;
        let below = below.strip_prefix(b"/").unwrap_or(below);
        let top = self.descriptor(&self.inode(ROOT)?)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = Path::new(OsStr::from_bytes(below));
        let open = || Ok(openat2(&top, name, flags, Mode::empty(), resolve)?);
        let looked = self.with_room(For::Passing, open)?;
        match u32::from(stat_of(&looked)?.stx_mode) & libc::S_IFMT {
            libc::S_IFREG => Ok(looked),
            _ => Err(errno(libc::EINVAL)),
        }
    }

    fn found(&self, fd: OwnedFd) -> io::Result<Found> {
        let stat = stat_of(&fd)?;
        let identity = self.identity(&stat);
        let ino = self.table.known(&identity).map(|inode| inode.ino());
        Ok(Found { file: fd.into(), key: identity.key(), ino })
    }
}

impl Found {
    /// What it has there, as far as it reaches.
    pub(crate) fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(&self.file, rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(done);
        Ok(bytes)
    }

    /// Writes there.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// When it was modified.
    pub(crate) fn mtime(&self) -> io::Result<(i64, u32)> {
        let mtime = stat_of(&self.file)?.stx_mtime;
        Ok((mtime.tv_sec, mtime.tv_nsec))
    }

    /// Has it so.
    pub(crate) fn set_mtime(&self, time: TimeChange) -> io::Result<()> {
        let last_modification = timespec(Some(time));
        let times = Timestamps { last_access: timespec(None), last_modification };
        Ok(rustix::fs::futimens(&self.file, &times)?)
    }
}
