//! Contents: open, create, read, write, flush, release, fsync, fallocate, lseek,
//! copy_file_range, ioctl.
//!
//! Invariant: a backing file is opened without O_APPEND (each append says so itself), O_DIRECT
//! (our buffers are not aligned) and O_SYNC or O_DSYNC (the kernel sends FSYNC). While a handle is
//! open, it serves its inode as descriptor.
//! No locks of its own.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{FallocateFlags, Mode, OFlags, SeekFrom};
use rustix::io::ReadWriteFlags;

use super::handle::Handle;
use super::inode::Inode;
use super::names::entry_of;
use super::room::For;
use super::state::Name;
use super::{Buffer, Caller, Entry, Fh, Ino, KeptTimes, Mirror, errno, stat_of};
use crate::sys::{self, namespace};

/// What is passed on of the flags of an open.
const KEPT: OFlags = OFlags::RWMODE.union(OFlags::NOATIME).union(OFlags::TRUNC);

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// How many bytes were taken.
    pub bytes: usize,
    /// Whether setuid or setgid bits may have gone with it.
    pub mode_changed: bool,
}

impl<N: Default> Mirror<N> {
    /// Opens a regular file; `flags` as the kernel sends them. The handle must be released.
    pub(crate) fn open(&self, ino: Ino, flags: i32) -> io::Result<Fh> {
        let inode = self.inode(ino)?;
        let flags = OFlags::from_bits_retain(flags.cast_unsigned());
        let file = match self.read_too(flags) {
            // Not everything that may be written may be read.
            Some(both) => self.open_as(&inode, both).or_else(|_| self.open_as(&inode, flags))?,
            None => self.open_as(&inode, flags)?,
        };
        self.hand_out(inode, file)
    }

    pub(super) fn open_as(&self, inode: &Arc<Inode<N>>, flags: OFlags) -> io::Result<OwnedFd> {
        match self.open_by_name(inode, flags.intersection(KEPT)) {
            Some(file) => Ok(file),
            None => self.open_by_descriptor(inode, flags),
        }
    }

    /// The flags of an open for reading and writing in the place of one for writing only, where the
    /// kernel fills pages by any handle.
    fn read_too(&self, flags: OFlags) -> Option<OFlags> {
        let writes_only = flags.intersection(OFlags::RWMODE) == OFlags::WRONLY;
        (self.written_back && writes_only)
            .then(|| flags.difference(OFlags::RWMODE).union(OFlags::RDWR))
    }

    /// Opens a file by its current name, if that leads to it: half of what the way by its descriptor
    /// takes. What else may lie there by now is not truncated, followed or waited for, and closed
    /// again. Of a regular file O_NONBLOCK changes nothing once it is open.
    fn open_by_name(&self, inode: &Arc<Inode<N>>, kept: OFlags) -> Option<OwnedFd> {
        if kept.contains(OFlags::TRUNC) || inode.state.lock().unlinked {
            return None;
        }
        let (Name { parent, name }, _) = inode.current()?;
        let dir = self.descriptor(&self.inode(parent).ok()?).ok()?;
        let flags = kept | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || Ok(rustix::fs::openat(&dir, &*name, flags, Mode::empty())?);
        let file = self.with_room(For::Staying, open).ok()?;
        let same = self.identity(&stat_of(&file).ok()?) == inode.identity;
        same.then_some(file)
    }

    fn open_by_descriptor(&self, inode: &Arc<Inode<N>>, flags: OFlags) -> io::Result<OwnedFd> {
        let path_fd = self.descriptor(inode)?;
        let kept = flags.intersection(KEPT);
        match self.open_again(path_fd.as_fd(), kept, For::Staying) {
            // A file with the append-only attribute opens for nothing else.
            Err(error)
                if error.raw_os_error() == Some(libc::EPERM) && flags.contains(OFlags::APPEND) =>
            {
                self.open_again(path_fd.as_fd(), kept | OFlags::APPEND, For::Staying)
            }
            opened => opened,
        }
    }

    /// Makes a regular file, one lookup included, and opens it. Only new ones: of a file that is
    /// there already the kernel has not judged the access, so it is told to look again (ESTALE;
    /// EEXIST if it asked with O_EXCL).
    pub(crate) fn create(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        flags: i32,
    ) -> io::Result<(Entry, Fh)> {
        let (dir, fd) = self.parent_of(parent, name)?;
        let flags = OFlags::from_bits_retain(flags.cast_unsigned());
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let new = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let kept = self.read_too(flags).unwrap_or(flags).intersection(KEPT) | new;
        let open = || Ok(rustix::fs::openat(&fd, name, kept, mode)?);
        let file = match self.make(caller, || self.make_with_room(open)) {
            Err(error)
                if error.raw_os_error() == Some(libc::EEXIST) && !flags.contains(OFlags::EXCL) =>
            {
                return Err(errno(libc::ESTALE));
            }
            made => made?,
        };
        let (inode, stat) = self.admit(&dir, name, stat_of(&file)?);
        let entry = entry_of(&inode, &stat);
        Ok((entry, self.hand_out(inode, file)?))
    }

    /// A descriptor by which the kernel may serve an open file past this daemon. It only shows which
    /// file that is: read-only, so that nothing counts as writing while the kernel keeps it. None for
    /// a file with setuid or setgid bits, which the kernel could not clear by whom it writes for.
    ///
    /// EINVAL where the filesystem has no O_DIRECT: another open that asks for it would fail.
    pub(crate) fn for_passthrough(&self, fh: Fh) -> io::Result<Option<OwnedFd>> {
        let handle = self.handles.get(fh)?;
        let mode = u32::from(stat_of(&*handle)?.stx_mode);
        if mode & (libc::S_ISUID | libc::S_ISGID) != 0 {
            return Ok(None);
        }
        // The kernel opens the file anew, by this one's mount and with its caller's flags.
        let quiet = self.quiet(&*handle);
        let fd = quiet.as_ref().map_or(handle.as_fd(), |quiet| quiet.as_fd());
        self.open_again(fd, OFlags::RDONLY | OFlags::DIRECT, For::Passing).map(Some)
    }

    pub(super) fn hand_out(&self, inode: Arc<Inode<N>>, file: OwnedFd) -> io::Result<Fh> {
        self.keep_time(&inode, &file);
        let fd = Arc::new(file);
        self.lend(&inode, &fd);
        self.handles.insert(Handle::new(fd, inode))
    }

    /// Has reading by this descriptor leave the time of access as it is, where it is to be kept. Only
    /// the owner and root may; by others' daemons it moves.
    pub(super) fn keep_time(&self, inode: &Inode<N>, fd: &OwnedFd) {
        let kept = match self.kept {
            KeptTimes::None => false,
            KeptTimes::Directories => inode.directory,
            KeptTimes::All => true,
        };
        if kept && let Ok(flags) = rustix::fs::fcntl_getfl(fd) {
            let _ = rustix::fs::fcntl_setfl(fd, flags | OFlags::NOATIME);
        }
    }

    /// The same file by a mount that keeps its time of access, where that is to be kept and may be.
    pub(super) fn quiet(&self, fd: impl AsFd) -> Option<OwnedFd> {
        (self.kept == KeptTimes::All).then(|| namespace::without_access_times(fd).ok()).flatten()
    }

    /// Closes a handle, of a file or a directory. Operations under way on it end as they would.
    pub(crate) fn release(&self, fh: Fh) -> io::Result<()> {
        if let Some(handle) = self.handles.remove(fh)? {
            self.take_back(&handle.inode, &handle.fd);
        }
        Ok(())
    }

    /// Reads into `buf`, which is emptied first: all of `size` bytes that the file has there.
    #[inline(always)]
    pub(crate) fn read(&self, fh: Fh, offset: u64, size: u32, buf: &mut Buffer) -> io::Result<()> {
        read_all(&*self.handles.get(fh)?, offset, size, buf)
    }

    /// The same by a handle that may be for writing only: then by a descriptor of its own.
    pub(crate) fn read_back(
        &self,
        fh: Fh,
        offset: u64,
        size: u32,
        buf: &mut Buffer,
    ) -> io::Result<()> {
        let handle = self.handles.get(fh)?;
        match read_all(&*handle, offset, size, buf) {
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
                let file = self.open_again(handle.as_fd(), OFlags::RDONLY, For::Passing)?;
                self.keep_time(&handle.inode, &file);
                read_all(&file, offset, size, buf)
            }
            read => read,
        }
    }

    /// Writes, fewer bytes than given where the backing took no more. `ordinary` is the caller, if
    /// the kernel says that its writes clear setuid and setgid bits (FUSE_WRITE_KILL_SUIDGID).
    pub(crate) fn write(
        &self,
        ordinary: Option<&Caller>,
        fh: Fh,
        offset: u64,
        data: &[u8],
    ) -> io::Result<Written> {
        let handle = self.handles.get(fh)?;
        write_to(ordinary, (&handle, handle.as_fd()), Some(offset), data)
    }

    /// The same of what the kernel has kept in its cache, which it gives to any handle that writes.
    pub(crate) fn write_back(
        &self,
        ordinary: Option<&Caller>,
        fh: Fh,
        offset: u64,
        data: &[u8],
    ) -> io::Result<Written> {
        let handle = self.handles.get(fh)?;
        let fd = handle.in_place();
        let write = || write_to(ordinary, (&handle, fd.as_fd()), Some(offset), data);
        self.writing_back(&handle.inode, fd.as_fd(), write)
    }

    /// The same at the end of the file, wherever in the backing that is by then.
    pub(crate) fn append(
        &self,
        ordinary: Option<&Caller>,
        fh: Fh,
        data: &[u8],
    ) -> io::Result<Written> {
        let handle = self.handles.get(fh)?;
        write_to(ordinary, (&handle, handle.as_fd()), None, data)
    }

    /// Whether the file does not end at `offset`, where the kernel takes its end to be: others have
    /// moved it in the backing. Then pages that the kernel has of it are in doubt.
    pub(crate) fn ends_elsewhere(&self, fh: Fh, offset: u64) -> io::Result<bool> {
        let handle = self.handles.get(fh)?;
        // A third of what statx(2) takes; a file's own position nobody uses.
        let elsewhere = rustix::fs::seek(&*handle, SeekFrom::End(0))? != offset;
        if elsewhere {
            handle.inode.doubtful.store(true, Ordering::Relaxed);
        }
        Ok(elsewhere)
    }

    /// What a close(2) has to report, while the handle stays open.
    pub(crate) fn flush(&self, fh: Fh) -> io::Result<()> {
        let handle = self.handles.get(fh)?;
        let copy = || Ok(rustix::io::fcntl_dupfd_cloexec(&*handle, 0)?);
        sys::close(self.with_room(For::Passing, copy)?)
    }

    /// Makes what was written durable, of a file or a directory; with `datasync` only what is
    /// needed to read it back.
    pub(crate) fn fsync(&self, fh: Fh, datasync: bool) -> io::Result<()> {
        let handle = self.handles.get(fh)?;
        match datasync {
            true => Ok(rustix::fs::fdatasync(&*handle)?),
            false => Ok(rustix::fs::fsync(&*handle)?),
        }
    }

    /// Allocates, punches or zeroes a range; `mode` as in fallocate(2).
    pub(crate) fn fallocate(
        &self,
        caller: &Caller,
        fh: Fh,
        mode: i32,
        offset: u64,
        len: u64,
    ) -> io::Result<()> {
        let handle = self.handles.get(fh)?;
        let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        let _judged =
            if caller.uid != 0 { handle.inode.unprivileged(caller, &*handle)? } else { None };
        Ok(rustix::fs::fallocate(&*handle, mode, offset, len)?)
    }

    /// Finds data or a hole (SEEK_DATA, SEEK_HOLE), the start or the end. ENXIO beyond the end.
    pub(crate) fn lseek(&self, fh: Fh, offset: i64, whence: i32) -> io::Result<u64> {
        let handle = self.handles.get(fh)?;
        let from = match whence {
            libc::SEEK_END => SeekFrom::End(offset),
            libc::SEEK_SET | libc::SEEK_DATA | libc::SEEK_HOLE => {
                let code = if whence == libc::SEEK_SET { libc::EINVAL } else { libc::ENXIO };
                let at = u64::try_from(offset).map_err(|_| errno(code))?;
                match whence {
                    libc::SEEK_DATA => SeekFrom::Data(at),
                    libc::SEEK_HOLE => SeekFrom::Hole(at),
                    _ => SeekFrom::Start(at),
                }
            }
            _ => return Err(errno(libc::EINVAL)),
        };
        Ok(rustix::fs::seek(&*handle, from)?)
    }

    /// Whether somebody may have mapped the file so that stores change it: that takes a handle for
    /// reading and writing, which the mapping keeps open.
    pub(crate) fn may_be_mapped(&self, ino: Ino) -> bool {
        let Ok(inode) = self.inode(ino) else { return false };
        let open = inode.state.lock().open().to_vec();
        let reads_and_writes = |fd: &Arc<OwnedFd>| {
            let flags = rustix::fs::fcntl_getfl(fd);
            flags.is_ok_and(|flags| flags.intersection(OFlags::RWMODE) == OFlags::RDWR)
        };
        open.iter().any(reads_and_writes)
    }

    /// Copies within the backing, each side a handle and an offset; returns how many bytes. EXDEV
    /// makes the kernel copy by reading and writing.
    pub(crate) fn copy_file_range(
        &self,
        caller: &Caller,
        from: (Fh, u64),
        to: (Fh, u64),
        len: u64,
        flags: u64,
    ) -> io::Result<usize> {
        let (source, target) = (self.handles.get(from.0)?, self.handles.get(to.0)?);
        if flags != 0 {
            return Err(errno(libc::EINVAL));
        }
        let _judged =
            if caller.uid != 0 { target.inode.unprivileged(caller, &*target)? } else { None };
        let (mut off_in, mut off_out) = (from.1, to.1);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (off_in, off_out) = (Some(&mut off_in), Some(&mut off_out));
        Ok(rustix::fs::copy_file_range(&*source, off_in, &*target, off_out, len)?)
    }

    /// Runs an ioctl that any file or directory has, as listed in `sys::ioctl`; ENOTTY for others.
    pub(crate) fn ioctl(
        &self,
        fh: Fh,
        cmd: u32,
        input: &[u8],
        out_size: u32,
    ) -> io::Result<Vec<u8>> {
        sys::ioctl::on_file(&*self.handles.get(fh)?, cmd, input, out_size)
    }
}

// A plain write is what everybody waits for; the others may be copies of it.
#[inline(always)]
fn write_to<N>(
    ordinary: Option<&Caller>,
    (handle, fd): (&Handle<N>, BorrowedFd<'_>),
    offset: Option<u64>,
    data: &[u8],
) -> io::Result<Written> {
    let judged = ordinary.map(|caller| handle.inode.unprivileged(caller, handle));
    let judged = judged.transpose()?.flatten();
    let mut done = 0;
    while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
        let put = match offset {
            Some(offset) => rustix::io::pwrite(fd, rest, offset.saturating_add(done as u64)),
            None => {
                let flags = ReadWriteFlags::APPEND;
                rustix::io::pwritev2(fd, &[IoSlice::new(rest)], 0, flags)
            }
        };
        match put {
            Ok(0) => break,
            Ok(written) => done += written,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) if done > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Written { bytes: done, mode_changed: judged.is_some() })
}

#[inline]
fn read_all(file: impl AsFd, offset: u64, size: u32, buf: &mut Buffer) -> io::Result<()> {
    let size = size as usize;
    let room = buf.begin(size);
    let start = room.len();
    // Whatever is short the kernel takes for the end of the file and reads as zeros.
    while room.len() - start < size {
        let done = room.len() - start;
        let at = offset.saturating_add(done as u64);
        match sys::pread_onto(&file, room, size - done, at) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => {
                done?;
            }
        }
    }
    Ok(())
}
