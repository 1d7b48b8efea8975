//! The directory behind the mount: every operation, served on the backing as a disk would.
//!
//! Owns the inodes the kernel knows, their paths, their descriptors and the open handles.
//! Invariant: nothing is ever opened outside the root; every path is one name relative to a
//! descriptor, and symlinks are never followed. Numbers that the kernel holds mean the same file
//! until it forgets them.
//! Lock rule: no lock is held across a syscall. See `table`, `inode`, `fds`, `handle` for each.
//!
//! Every operation fails with the raw OS error of the backing; those that are not the backing's are
//! EINVAL (a name that is none), EBADF (no such handle) and ESTALE (a number that is not known, or
//! whose file the backing has no more).
//!
//! A mirror works in the process that made it only: it reopens descriptors through that process's
//! /proc/self/fd. Threads that call it get their own umask and working directory.

mod attr;
mod blocks;
mod buffer;
mod data;
mod dir;
mod fds;
mod found;
mod handle;
mod held;
mod inode;
mod keyed;
mod mix;
mod names;
mod numbers;
mod path;
mod room;
mod settling;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod walk;
mod xattr;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags, makedev};
use rustix::process::Resource;

pub(crate) use attr::{Attr, Changes, TimeChange, decode_dev};
pub(crate) use buffer::Buffer;
pub(crate) use data::Written;
pub(crate) use dir::DirEntry;
pub(crate) use found::Found;
pub(crate) use handle::Handle;
pub(crate) use held::{Reached, Seen};
pub(crate) use inode::Inode;
pub(crate) use names::Moved;
pub(crate) use numbers::{Fh, Ino, ROOT};
pub(crate) use walk::{Lying, Walked};
pub(crate) use xattr::Xattr;

use fds::Ring;
use handle::Handles;
use inode::Identity;
use mix::digest;
use room::Room;
use settling::Settling;
use state::{Change, State};
use table::Table;

use crate::sys::process::Process;

/// Who sent a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    /// User id, as the daemon's user namespace has it.
    pub uid: u32,
    /// Group id, likewise.
    pub gid: u32,
    /// Thread id; 0 where the daemon cannot see it.
    pub tid: u32,
    /// The process of that thread, where it was looked for when the request came: before it was held.
    pub process: Option<Process>,
    /// The umask, in requests that carry one; else 0.
    pub umask: u32,
}

/// What a lookup answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The node id; never the root's, so that the attributes show the same number.
    pub ino: Ino,
    /// The attributes.
    pub attr: Attr,
    /// Tells a file from a later one that has the same node id.
    pub generation: u64,
}

/// The mirror of one directory.
pub(crate) struct Mirror<N> {
    base: Vec<u8>,
    table: Table<N>,
    ring: Ring<N>,
    handles: Handles<N>,
    room: Room,
    /// /proc/self/fd, by which an `O_PATH` descriptor is opened, linked or changed.
    proc_fds: OwnedFd,
    /// Grows after each rename of a directory.
    dir_moves: AtomicU64,
    /// Whether the root is on overlayfs.
    stacked: bool,
    kept: KeptTimes,
    /// The kernel keeps what is written in pages, which it fills and writes back by any handle.
    written_back: bool,
    settling: Settling,
}

/// Which files keep their time of access when they are read here. What else moves it, by the
/// backing's own options, does so still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeptTimes {
    /// None: reading is reading the backing.
    #[default]
    None,
    /// Directories.
    Directories,
    /// Files and directories.
    All,
}

impl<N: Default> Mirror<N> {
    /// Mirrors `root`, a directory opened (`O_PATH` will do) before anything was mounted over it.
    /// `base` is its absolute path as the user typed it; paths begin with it.
    ///
    /// # Errors
    /// ENOTDIR; those of opening /proc/self/fd.
    pub(crate) fn new(root: OwnedFd, base: &Path) -> io::Result<Mirror<N>> {
        let limit = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let room = usize::try_from(limit / 4).unwrap_or(usize::MAX).clamp(16, 16384);
        Self::with_cache(root, base, room)
    }

    fn with_cache(root: OwnedFd, base: &Path, room: usize) -> io::Result<Mirror<N>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc_fds = rustix::fs::open("/proc/self/fd", flags, Mode::empty())?;
        let stat = stat_of(&root)?;
        if !is_dir(&stat) {
            return Err(errno(libc::ENOTDIR));
        }
        let stacked = rustix::fs::fstatfs(&root)?.f_type == libc::OVERLAYFS_SUPER_MAGIC;
        let inode = Inode::new(ROOT, identity(&stat, stacked), true);
        inode.lookups.store(1, Ordering::SeqCst);
        *inode.state.lock() = State::of_root(root);
        let mut base = base.as_os_str().as_bytes().to_vec();
        while base.last() == Some(&b'/') {
            base.pop();
        }
        Ok(Mirror {
            base,
            table: Table::new(Arc::new(inode)),
            ring: Ring::new(room),
            handles: Handles::new(),
            room: Room::new(),
            proc_fds,
            dir_moves: AtomicU64::new(0),
            stacked,
            kept: KeptTimes::None,
            written_back: false,
            settling: Settling::default(),
        })
    }

    /// The same mirror, but whose reading leaves these times of access as they are.
    #[must_use]
    pub(crate) fn keeping(self, kept: KeptTimes) -> Mirror<N> {
        Mirror { kept, ..self }
    }

    /// The same mirror, but of whose files the kernel keeps what is written, if it does.
    #[must_use]
    pub(crate) fn written_back(self, written_back: bool) -> Mirror<N> {
        Mirror { written_back, ..self }
    }

    /// The inode of a node id. ESTALE if the kernel cannot know it.
    pub(crate) fn inode(&self, ino: Ino) -> io::Result<Arc<Inode<N>>> {
        self.table.get(ino).ok_or_else(|| errno(libc::ESTALE))
    }

    /// Cuts all open files and directories off: what is asked by one of them fails with EIO, until it is
    /// released.
    pub(crate) fn cut_handles(&self) {
        for handle in self.handles.cut() {
            self.take_back(&handle.inode, &handle.fd);
        }
    }

    /// Calls `f` for every inode that the kernel knows. No lock is held meanwhile.
    pub(crate) fn known(&self, f: &mut dyn FnMut(&Arc<Inode<N>>)) {
        self.table.each(f);
    }

    /// Gives back what was only needed for more inodes than there are now.
    pub(crate) fn shrink(&self) {
        self.ring.shrink_to_known();
        self.table.shrink();
    }

    /// The open file or directory of a handle number, for as long as it is needed. EBADF.
    pub(crate) fn handle(&self, fh: Fh) -> io::Result<Arc<Handle<N>>> {
        self.handles.get(fh)
    }

    /// All files and directories that are open now.
    pub(crate) fn open_handles(&self) -> Vec<Arc<Handle<N>>> {
        self.handles.all()
    }

    /// All handles that are open of an inode. It looks at each that there is.
    pub(crate) fn handles_of(&self, ino: Ino) -> Vec<Fh> {
        self.handles.all_of(ino)
    }

    /// Whether the root is on overlayfs, which lies on other filesystems itself.
    #[must_use]
    pub(crate) fn is_stacked(&self) -> bool {
        self.stacked
    }

    fn identity(&self, stat: &Statx) -> Identity {
        identity(stat, self.stacked)
    }

    /// Applies a change of names and all that depends on it.
    fn rename_inode(&self, inode: &Inode<N>, change: impl FnOnce(&mut State) -> Change) {
        let change = self.change_names(inode, &mut inode.state.lock(), change);
        self.settle(change);
    }

    /// The part of a change under the state's lock. Epochs grow after the names, so that who reads
    /// the epoch first never keeps an old path under a new epoch.
    fn change_names(
        &self,
        inode: &Inode<N>,
        state: &mut State,
        change: impl FnOnce(&mut State) -> Change,
    ) -> Change {
        let first = state.count() == 0;
        let change = change(state);
        if change.renamed {
            inode.epoch.fetch_add(1, Ordering::AcqRel);
            if inode.directory && !first {
                self.dir_moves.fetch_add(1, Ordering::AcqRel);
            }
        }
        change
    }

    /// The rest of a change, without that lock.
    fn settle(&self, change: Change) {
        if let Some(parent) = change.added.and_then(|parent| self.table.get(parent)) {
            parent.children.fetch_add(1, Ordering::SeqCst);
        }
        if let Some(parent) = change.lost {
            self.table.release_child(parent);
        }
    }
}

fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// Refuses what is no name of an entry in a directory. EINVAL.
fn check(name: &OsStr) -> io::Result<()> {
    match name.as_bytes() {
        b"" | b"." | b".." => Err(errno(libc::EINVAL)),
        name if name.iter().any(|b| matches!(b, b'/' | 0)) => Err(errno(libc::EINVAL)),
        _ => Ok(()),
    }
}

fn identity(stat: &Statx, stacked: bool) -> Identity {
    // A file of a lower layer is born anew when overlayfs copies it up.
    let born = !stacked && stat.stx_mask & StatxFlags::BTIME.bits() != 0;
    let born = born.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec));
    let mount = is_dir(stat).then_some(stat.stx_mnt_id);
    Identity {
        dev: makedev(stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
        born: digest(&(born, mount)),
    }
}

/// What an inode's identity and attributes take. Linux before 6.8 tells a mount's number that it
/// gives away again, one before 5.8 none.
fn wanted() -> StatxFlags {
    /// `STATX_MNT_ID_UNIQUE` of linux/stat.h.
    const MNT_ID_UNIQUE: u32 = 0x4000;
    StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::from_bits_retain(MNT_ID_UNIQUE)
}

fn stat_at(dir: impl AsFd, name: &OsStr) -> io::Result<Statx> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    Ok(rustix::fs::statx(dir, name, flags, wanted())?)
}

fn stat_of(fd: impl AsFd) -> io::Result<Statx> {
    Ok(rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, wanted())?)
}

fn is_dir(stat: &Statx) -> bool {
    u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFDIR
}
