//! Attributes: getattr, setattr, statfs, access.
//!
//! Invariant: what is changed is the inode asked for, verified, never whatever has its name now.
//! No locks of its own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{
    Access, AtFlags, Gid, Mode, OFlags, StatVfs, Statx, StatxTimestamp, Timespec, Timestamps,
    UTIME_NOW, UTIME_OMIT, Uid,
};
use rustix::path::DecInt;

use super::inode::{Identity, Inode};
use super::room::For;
use super::state::Told;
use super::{Caller, Fh, Ino, Mirror, ROOT, errno, stat_at, stat_of};
use crate::sys::{self, creds, process};

/// The attributes of an inode, as stat(2) has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attr {
    /// The number that users see (`st_ino`): the node id, but of the root the backing directory's own.
    pub shown: u64,
    /// Size in bytes.
    pub size: u64,
    /// Allocated size in units of 512 bytes.
    pub blocks: u64,
    /// Last access: seconds since 1970, negative before, and nanoseconds after that second.
    pub atime: (i64, u32),
    /// Last change of the contents, likewise.
    pub mtime: (i64, u32),
    /// Last change of the inode, likewise.
    pub ctime: (i64, u32),
    /// File type and permissions (`S_IFMT | 07777`).
    pub mode: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node, in the kernel's 32-bit encoding that FUSE uses.
    pub rdev: u32,
    /// Preferred size of I/O.
    pub blksize: u32,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeChange {
    /// The backing's clock.
    Now,
    /// Seconds since 1970, negative before, and nanoseconds after that second.
    At(i64, u32),
}

impl TimeChange {
    /// The first time after that one.
    #[must_use]
    pub(crate) fn just_after((seconds, nanoseconds): (i64, u32)) -> TimeChange {
        match nanoseconds + 1 {
            1_000_000_000 => TimeChange::At(seconds + 1, 0),
            nanoseconds => TimeChange::At(seconds, nanoseconds),
        }
    }
}

/// What a setattr changes; None leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Permissions, with setuid, setgid and sticky bits; the file type bits are ignored.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<TimeChange>,
    /// Last change of the contents.
    pub mtime: Option<TimeChange>,
    /// The kernel keeps that time itself and tells it: FATTR_CTIME came along, which cannot be set.
    pub told: bool,
}

impl Changes {
    /// Whether it may be that nobody has set anything: the kernel tells its times.
    pub(crate) fn only_tells(&self) -> bool {
        let mtime = self.mtime;
        self.told && *self == Changes { mtime, told: true, ..Changes::default() }
    }

    /// Whether a time is told that goes with a change of size.
    fn tells_of_size(&self) -> bool {
        self.told && self.size.is_some()
    }

    /// Whether the owner is set, be it to the same one. Without any change the request is that of
    /// chown(2) with -1 and -1, which clears setuid and setgid as every chown does, or goes before a
    /// write that will clear them. The kernel has judged neither, so it is obeyed for the owner.
    fn set_owner(&self, caller: &Caller, fd: impl AsFd) -> io::Result<bool> {
        if (Changes { told: false, ..*self }) == Changes::default() {
            return Ok(caller.uid == 0 || caller.uid == stat_of(fd)?.stx_uid);
        }
        Ok(self.uid.is_some() || self.gid.is_some())
    }
}

impl<N: Default> Mirror<N> {
    /// The attributes of an inode, through the handle if there is one.
    pub(crate) fn getattr(&self, ino: Ino, fh: Option<Fh>) -> io::Result<Attr> {
        match fh {
            Some(fh) => {
                let handle = self.handles.get(fh)?;
                stat_of(handle.as_fd()).map(|stat| attr_of(&handle.inode, &stat))
            }
            None => self.attr(&self.inode(ino)?),
        }
    }

    /// The attributes of an inode, also of one that the kernel has forgotten since.
    pub(crate) fn attr(&self, inode: &Arc<Inode<N>>) -> io::Result<Attr> {
        match inode.cached() {
            Some(fd) => stat_of(&fd).map(|stat| attr_of(inode, &stat)),
            None => self.stat_closed(inode).map(|stat| attr_of(inode, &stat)),
        }
    }

    /// Without a descriptor its name will do, if that still leads to it.
    #[inline(never)]
    fn stat_closed(&self, inode: &Arc<Inode<N>>) -> io::Result<Statx> {
        match self.stat_by_name(inode) {
            Some(stat) => Ok(stat),
            None => stat_of(self.descriptor(inode)?),
        }
    }

    fn stat_by_name(&self, inode: &Inode<N>) -> Option<Statx> {
        let (name, _) = inode.current()?;
        let dir = self.descriptor(&self.inode(name.parent).ok()?).ok()?;
        let stat = stat_at(&dir, &name.name).ok()?;
        (self.identity(&stat) == inode.identity).then_some(stat)
    }

    /// Changes attributes and returns them all. Owner before mode, since a change of owner clears
    /// setuid and setgid; size before times, since a change of size sets them.
    pub(crate) fn setattr(
        &self,
        caller: &Caller,
        ino: Ino,
        fh: Option<Fh>,
        changes: &Changes,
    ) -> io::Result<Attr> {
        let handle = fh.map(|fh| self.handles.get(fh)).transpose()?;
        let (inode, path_fd);
        let fd = match &handle {
            Some(handle) => {
                inode = handle.inode.clone();
                handle.as_fd()
            }
            None => {
                inode = self.inode(ino)?;
                path_fd = self.descriptor(&inode)?;
                path_fd.as_fd()
            }
        };
        if changes.set_owner(caller, fd)? {
            let (uid, gid) = (changes.uid.map(Uid::from_raw), changes.gid.map(Gid::from_raw));
            let _judged = judged_by_groups(caller, fd)?;
            rustix::fs::chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        if let Some(mode) = changes.mode {
            inode.note_mode(mode);
            let mode = Mode::from_raw_mode(mode & 0o7777);
            rustix::fs::chmodat(&self.proc_fds, DecInt::from_fd(fd), mode, AtFlags::empty())?;
        }
        if let Some(size) = changes.size {
            let _judged = if caller.uid != 0 { inode.unprivileged(caller, fd)? } else { None };
            match handle {
                Some(_) => rustix::fs::ftruncate(fd, size)?,
                None => self.truncate(fd, size)?,
            }
        }
        if let Some(time) = changes.mtime.filter(|_| self.written_back) {
            self.settling.told(inode.ino, time);
        }
        if changes.atime.is_some() || changes.mtime.is_some() {
            let times = Timestamps {
                last_access: timespec(changes.atime),
                last_modification: timespec(changes.mtime),
            };
            let name = DecInt::from_fd(fd);
            match rustix::fs::utimensat(&self.proc_fds, name, &times, AtFlags::empty()) {
                // Who may truncate a file, and so set its time to now, may not set another if the
                // file is somebody else's.
                Err(rustix::io::Errno::PERM) if changes.tells_of_size() => {}
                set => set?,
            }
        }
        Ok(attr_of(&inode, &stat_of(fd)?))
    }

    /// Sets the size without a handle, by truncate(2): whether the times of a file change that has
    /// that size already is for the backing to say. To 0 it is more likely open(2) with O_TRUNC,
    /// which the kernel does not tell apart and which always changes them.
    fn truncate(&self, fd: BorrowedFd<'_>, size: u64) -> io::Result<()> {
        if size == 0 {
            return Ok(rustix::fs::ftruncate(
                self.open_again(fd, OFlags::WRONLY, For::Passing)?,
                0,
            )?);
        }
        creds::stand_in(self.proc_fds.as_fd())?;
        sys::truncate(DecInt::from_fd(fd).as_c_str(), size)
    }

    /// Opens what a descriptor, `O_PATH` or not, refers to, whatever its names.
    pub(super) fn open_again(
        &self,
        fd: BorrowedFd<'_>,
        flags: OFlags,
        purpose: For,
    ) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        self.with_room(purpose, || {
            Ok(rustix::fs::openat(&self.proc_fds, DecInt::from_fd(fd), flags, Mode::empty())?)
        })
    }

    /// The figures of the filesystem that an inode is on.
    pub(crate) fn statfs(&self, ino: Ino) -> io::Result<StatVfs> {
        Ok(rustix::fs::fstatvfs(self.descriptor(&self.inode(ino)?)?)?)
    }

    /// Whether the caller may access the inode so (`R_OK`, `W_OK`, `X_OK`), as the backing judges by
    /// its user and group alone.
    pub(crate) fn access(&self, caller: &Caller, ino: Ino, mask: u32) -> io::Result<()> {
        let access = Access::from_bits(mask).ok_or_else(|| errno(libc::EINVAL))?;
        let fd = self.descriptor(&self.inode(ino)?)?;
        let _acting = creds::act_unprivileged(caller.uid, caller.gid);
        let name = DecInt::from_fd(&fd);
        Ok(rustix::fs::accessat(&self.proc_fds, name, access, AtFlags::EACCESS)?)
    }
}

impl<N> Inode<N> {
    /// Remembers that the file has bits that a write by an ordinary user must clear.
    pub(super) fn note_mode(&self, mode: u32) {
        if mode & (libc::S_ISUID | libc::S_ISGID) != 0 && !self.directory {
            self.privileged.store(true, Ordering::SeqCst);
        }
    }

    /// Has the backing judge whether setuid and setgid bits of this file go with a change of its
    /// content by an ordinary user. With FUSE_HANDLE_KILLPRIV_V2 it is for us to clear them;
    /// security.capability the backing always clears.
    pub(super) fn unprivileged(
        &self,
        caller: &Caller,
        fd: impl AsFd,
    ) -> io::Result<Option<creds::Grouped>> {
        if !self.privileged.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let bits = u32::from(stat_of(fd)?.stx_mode) & (libc::S_ISUID | libc::S_ISGID);
        (bits != 0).then(|| judged(caller)).transpose()
    }
}

/// Has the backing judge by the caller's groups whether a setgid bit stays on a change of owner or
/// of the ACL: it goes unless a member made the change. For a daemon with `CAP_FSETID` it would
/// always stay, and the kernel, which has judged, does not say: of a change of owner it leaves this
/// to us (FUSE_HANDLE_KILLPRIV_V2), its word on an ACL needs FUSE_SETXATTR_EXT, which is not spoken
/// here.
pub(super) fn judged_by_groups(
    caller: &Caller,
    fd: impl AsFd,
) -> io::Result<Option<creds::Grouped>> {
    if caller.uid == 0 || u32::from(stat_of(fd)?.stx_mode) & libc::S_ISGID == 0 {
        return Ok(None);
    }
    judged(caller).map(Some)
}

/// Supplementary groups are not sent, so they are those that the waiting caller shows in /proc; one
/// that is not visible there is in the group it was sent with and in no other.
fn judged(caller: &Caller) -> io::Result<creds::Grouped> {
    creds::in_groups(caller.gid, &process::groups(caller.tid, caller.process))
}

pub(super) fn timespec(change: Option<TimeChange>) -> Timespec {
    match change {
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        Some(TimeChange::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        Some(TimeChange::At(secs, nanos)) => Timespec { tv_sec: secs, tv_nsec: i64::from(nanos) },
    }
}

pub(super) fn attr_of<N>(inode: &Inode<N>, stat: &Statx) -> Attr {
    let mode = u32::from(stat.stx_mode);
    inode.note_mode(mode);
    let time = |t: StatxTimestamp| (t.tv_sec, t.tv_nsec);
    let (mtime, ctime) = (time(stat.stx_mtime), time(stat.stx_ctime));
    inode.tell(Told::new(stat.stx_size, mtime, ctime));
    Attr {
        shown: if inode.ino == ROOT { stat.stx_ino } else { inode.ino.0 },
        size: stat.stx_size,
        blocks: stat.stx_blocks,
        atime: time(stat.stx_atime),
        mtime,
        ctime,
        mode,
        nlink: stat.stx_nlink,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        rdev: encode_dev(stat.stx_rdev_major, stat.stx_rdev_minor),
        blksize: stat.stx_blksize,
    }
}

/// `new_encode_dev` of the kernel (include/linux/kdev_t.h).
pub(super) fn encode_dev(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12)
}

/// `new_decode_dev` of the kernel.
pub(crate) fn decode_dev(dev: u32) -> (u32, u32) {
    ((dev & 0xf_ff00) >> 8, (dev & 0xff) | ((dev >> 12) & 0xf_ff00))
}

/// The generation of a node id: of the same file always the same, of a later one another, as far as
/// the kernel's 32 bits go.
pub(super) fn generation(identity: &Identity) -> u64 {
    identity.born & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_just_after_is_a_nanosecond_later() {
        assert_eq!(TimeChange::just_after((-5, 7)), TimeChange::At(-5, 8));
        assert_eq!(TimeChange::just_after((-5, 999_999_999)), TimeChange::At(-4, 0));
    }

    #[test]
    fn device_numbers_round_trip() {
        for (major, minor) in [(0, 0), (1, 3), (259, 0x1_2345), (0xfff, 0xf_ffff)] {
            assert_eq!(decode_dev(encode_dev(major, minor)), (major, minor));
        }
        assert_eq!(encode_dev(8, 1), 0x801);
    }
}
