//! Listings: opendir, readdir, readdirplus, releasedir.
//!
//! Invariant: an offset is the backing's own cookie (d_off), so that an entry that stayed is neither
//! missed nor doubled while others come and go. Every call seeks and reads anew; nothing is kept.
//! No locks of its own: a descriptor's position is used by one call at a time, a second one opens
//! its own.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

use rustix::fs::{FileType, OFlags, RawDir, RawDirEntry, SeekFrom};

use super::handle::Handle;
use super::room::For;
use super::{Attr, Entry, Fh, Ino, Mirror, ROOT, stat_at};

/// Bytes of entries that are read at once: about what one reply holds.
pub(super) const AT_ONCE: usize = 8192;

/// What the callback of a listing says.
type Full = bool;

/// One entry of a listing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirEntry<'a> {
    /// The number that users see (`d_ino`), as far as it can be told without a lookup: that of
    /// [`Attr::shown`](super::Attr::shown).
    pub shown: u64,
    /// Where a listing goes on after it.
    pub offset: u64,
    /// Its type, never unknown.
    pub kind: FileType,
    /// Its name.
    pub name: &'a OsStr,
}

impl DirEntry<'_> {
    /// Whether it is the directory itself or the one above.
    #[must_use]
    pub(crate) fn is_dot(&self) -> bool {
        matches!(self.name.as_bytes(), b"." | b"..")
    }
}

impl<N: Default> Mirror<N> {
    /// Opens a directory. The handle must be released.
    pub(crate) fn opendir(&self, ino: Ino) -> io::Result<Fh> {
        let inode = self.inode(ino)?;
        let fd = self.descriptor(&inode)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.open_again(fd.as_fd(), flags, For::Staying)?;
        self.hand_out(inode, fd)
    }

    /// Lists the entries after `offset` (0: from the start) until the callback says that an entry
    /// did not fit.
    pub(crate) fn readdir(
        &self,
        fh: Fh,
        offset: u64,
        f: &mut dyn FnMut(DirEntry<'_>) -> Full,
    ) -> io::Result<()> {
        self.list(fh, offset, &mut |_, _, entry| f(entry))
    }

    /// As [`readdir`](Self::readdir), with a lookup of each entry, which raises its lookup count by
    /// one unless it did not fit. "." and ".." come without a lookup: number and type only. An entry
    /// that is gone again is left out; at one that cannot be looked up for another reason the
    /// listing stops, with that error if it is the first.
    pub(crate) fn readdirplus(
        &self,
        fh: Fh,
        offset: u64,
        f: &mut dyn FnMut(DirEntry<'_>, &Entry) -> Full,
    ) -> io::Result<()> {
        let (mut any, mut failed) = (false, None);
        self.list(fh, offset, &mut |handle, fd, listed| {
            if listed.is_dot() {
                any = true;
                let attr = Attr {
                    shown: listed.shown,
                    mode: listed.kind.as_raw_mode(),
                    ..Attr::default()
                };
                // The kernel takes no node from these.
                return f(listed, &Entry { ino: Ino(listed.shown), attr, generation: 0 });
            }
            let entry = match self.entry_at(&handle.inode, fd, listed.name) {
                Ok(entry) => entry,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return false,
                Err(error) => {
                    failed = Some(error);
                    return true;
                }
            };
            any = true;
            let full = f(listed, &entry);
            if full {
                self.forget(entry.ino, 1);
            }
            full
        })?;
        failed.filter(|_| !any).map_or(Ok(()), Err)
    }

    /// Closes a directory.
    pub(crate) fn releasedir(&self, fh: Fh) -> io::Result<()> {
        self.release(fh)
    }

    fn list(
        &self,
        fh: Fh,
        offset: u64,
        f: &mut dyn FnMut(&Handle<N>, BorrowedFd<'_>, DirEntry<'_>) -> Full,
    ) -> io::Result<()> {
        let handle = self.handles.get(fh)?;
        if handle.busy.swap(true, Ordering::Acquire) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let fd = self.open_again(handle.as_fd(), flags, For::Passing)?;
            self.keep_time(&handle.inode, &fd);
            return self.walk(&handle, fd.as_fd(), offset, f);
        }
        let done = self.walk(&handle, handle.as_fd(), offset, f);
        handle.busy.store(false, Ordering::Release);
        done
    }

    fn walk(
        &self,
        handle: &Handle<N>,
        fd: BorrowedFd<'_>,
        offset: u64,
        f: &mut dyn FnMut(&Handle<N>, BorrowedFd<'_>, DirEntry<'_>) -> Full,
    ) -> io::Result<()> {
        rustix::fs::seek(fd, SeekFrom::Start(offset))?;
        let mut room = [MaybeUninit::<u8>::uninit(); AT_ONCE];
        let mut entries = RawDir::new(fd, &mut room);
        while let Some(raw) = entries.next() {
            let raw = raw?;
            let Some(entry) = self.dir_entry(handle, fd, &raw) else { continue };
            if f(handle, fd, entry) {
                break;
            }
        }
        Ok(())
    }

    /// None: it is gone again.
    fn dir_entry<'a>(
        &self,
        handle: &Handle<N>,
        fd: BorrowedFd<'_>,
        raw: &'a RawDirEntry<'_>,
    ) -> Option<DirEntry<'a>> {
        let name = OsStr::from_bytes(raw.file_name().to_bytes());
        let kind = match raw.file_type() {
            FileType::Unknown => FileType::from_raw_mode(stat_at(fd, name).ok()?.stx_mode.into()),
            kind => kind,
        };
        let ino = raw.ino();
        let mut entry = DirEntry { shown: ino, offset: raw.next_entry_cookie(), kind, name };
        if handle.inode.ino != ROOT || !entry.is_dot() {
            let node = self.table.number(handle.inode.identity.dev, ino);
            entry.shown = node.map_or(ino, |node| node.0);
        }
        Some(entry)
    }
}
