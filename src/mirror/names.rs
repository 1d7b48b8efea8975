//! Names: lookup and forget, making, removing, renaming and linking entries.
//!
//! Invariant: when one of these returns, the names of every inode it concerned are those of the
//! backing. A removal, rename or link that succeeded first lets its directories' `changes` grow,
//! then corrects the inodes; a lookup that began before sees that and asks again, so that no inode
//! keeps a name, or loses one, by an answer from before. What others do in the backing shows in the
//! number of links: an inode that has more names is asked for each of them.
//! Lock rule: no lock is held across a syscall; inodes are corrected one at a time.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, FileType, Mode, RenameFlags, Statx, makedev};
use rustix::path::DecInt;

use super::attr::{attr_of, decode_dev, generation};
use super::fds::is_stale;
use super::inode::Inode;
use super::state::{Change, Name};
use super::{Caller, Entry, Ino, Mirror, check, is_dir, stat_at, stat_of};
use crate::sys::creds;

/// How often a lookup asks again because the directory changes under it.
const TRIES: usize = 64;

/// Those of what a rename moved that the kernel knows: under the new name, and under the old one.
pub(crate) type Moved<N> = [Option<Arc<Inode<N>>>; 2];

/// A directory and its descriptor.
pub(super) type Dir<N> = (Arc<Inode<N>>, Arc<OwnedFd>);

impl<N: Default> Mirror<N> {
    /// Looks a name up. Like every operation that returns an [`Entry`], it raises the lookup count
    /// of the inode by one.
    pub(crate) fn lookup(&self, parent: Ino, name: &OsStr) -> io::Result<Entry> {
        let (dir, fd) = self.parent_of(parent, name)?;
        self.entry_at(&dir, &fd, name)
    }

    /// The inode of that name, if the kernel knows it; without a lookup of it.
    pub(crate) fn known_at(&self, parent: Ino, name: &OsStr) -> Option<Arc<Inode<N>>> {
        let (_, fd) = self.parent_of(parent, name).ok()?;
        self.table.known(&self.identity(&stat_at(&fd, name).ok()?))
    }

    /// Takes lookups back; the number may then be given to another file.
    pub(crate) fn forget(&self, ino: Ino, lookups: u64) {
        self.table.forget(ino, lookups);
    }

    /// The target of a symlink, as it is.
    pub(crate) fn readlink(&self, ino: Ino) -> io::Result<Vec<u8>> {
        let fd = self.descriptor(&self.inode(ino)?)?;
        // A symlink cannot be opened so that reading it leaves its time of access.
        let quiet = self.quiet(&fd);
        Ok(rustix::fs::readlinkat(quiet.as_ref().unwrap_or(&fd), c"", Vec::new())?.into_bytes())
    }

    /// Makes a file of any kind but directory and symlink. `mode` has its type; `rdev` is the
    /// kernel's 32-bit encoding.
    pub(crate) fn mknod(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
        rdev: u32,
    ) -> io::Result<Entry> {
        let (dir, fd) = self.parent_of(parent, name)?;
        let (major, minor) = decode_dev(rdev);
        self.make(caller, || {
            let kind = FileType::from_raw_mode(mode);
            let mode = Mode::from_raw_mode(mode & 0o7777);
            Ok(rustix::fs::mknodat(&fd, name, kind, mode, makedev(major, minor))?)
        })?;
        self.entry_at(&dir, &fd, name)
    }

    /// Makes a directory.
    pub(crate) fn mkdir(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &OsStr,
        mode: u32,
    ) -> io::Result<Entry> {
        let (dir, fd) = self.parent_of(parent, name)?;
        let mode = Mode::from_raw_mode(mode & 0o7777);
        self.make(caller, || Ok(rustix::fs::mkdirat(&fd, name, mode)?))?;
        self.entry_at(&dir, &fd, name)
    }

    /// Makes a symlink with that target.
    pub(crate) fn symlink(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &OsStr,
        target: &OsStr,
    ) -> io::Result<Entry> {
        let (dir, fd) = self.parent_of(parent, name)?;
        self.make(caller, || Ok(rustix::fs::symlinkat(target, &fd, name)?))?;
        self.entry_at(&dir, &fd, name)
    }

    /// Runs what makes a file, as the caller and under its umask.
    pub(super) fn make<T>(
        &self,
        caller: &Caller,
        make: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        creds::set_umask(caller.umask)?;
        let _acting = creds::act_as(caller.uid, caller.gid)?;
        make()
    }

    /// Removes a name of anything but a directory.
    pub(crate) fn unlink(&self, parent: Ino, name: &OsStr) -> io::Result<()> {
        self.remove(parent, name, AtFlags::empty())
    }

    /// Removes an empty directory.
    pub(crate) fn rmdir(&self, parent: Ino, name: &OsStr) -> io::Result<()> {
        self.remove(parent, name, AtFlags::REMOVEDIR)
    }

    fn remove(&self, parent: Ino, name: &OsStr, flags: AtFlags) -> io::Result<()> {
        let (dir, fd) = self.parent_of(parent, name)?;
        let victim = self.pinned_at(&fd, name);
        rustix::fs::unlinkat(&fd, name, flags)?;
        dir.changes.fetch_add(1, Ordering::SeqCst);
        if let Some(victim) = &victim {
            self.rename_inode(&victim.inode, |names| names.lose(parent, name));
        }
        Ok(())
    }

    /// Renames, with the flags of renameat2(2). What is replaced stays reachable by its number.
    pub(crate) fn rename(
        &self,
        parent: Ino,
        name: &OsStr,
        newparent: Ino,
        newname: &OsStr,
        flags: u32,
    ) -> io::Result<Moved<N>> {
        let (dir, fd) = self.parent_of(parent, name)?;
        let (newdir, newfd) = self.parent_of(newparent, newname)?;
        let flags = RenameFlags::from_bits_retain(flags);
        let moved = self.pinned_at(&fd, name);
        let replaces = !flags.contains(RenameFlags::NOREPLACE);
        let target = replaces.then(|| self.pinned_at(&newfd, newname)).flatten();
        rustix::fs::renameat_with(&fd, name, &newfd, newname, flags)?;
        dir.changes.fetch_add(1, Ordering::SeqCst);
        newdir.changes.fetch_add(1, Ordering::SeqCst);
        let (from, to) = ((parent, name), (newparent, newname));
        if let (Some(moved), Some(target)) = (&moved, &target)
            && Arc::ptr_eq(&moved.inode, &target.inode)
        {
            return Ok([None, None]); // Two names of one file: rename(2) leaves both.
        }
        if let Some(target) = &target {
            self.rename_inode(&target.inode, |names| {
                if flags.contains(RenameFlags::EXCHANGE) {
                    names.rename(to, from)
                } else {
                    names.lose(newparent, newname)
                }
            });
        }
        if let Some(moved) = &moved {
            self.rename_inode(&moved.inode, |names| names.rename(from, to));
        }
        let exchanged = target.filter(|_| flags.contains(RenameFlags::EXCHANGE));
        Ok([moved, exchanged].map(|pinned| pinned.map(|pinned| Arc::clone(&pinned.inode))))
    }

    /// Gives an inode, symlinks and special files too, a further name.
    pub(crate) fn link(&self, ino: Ino, newparent: Ino, newname: &OsStr) -> io::Result<Entry> {
        let (dir, dir_fd) = self.parent_of(newparent, newname)?;
        let fd = self.descriptor(&self.inode(ino)?)?;
        let (from, follow) = (DecInt::from_fd(&fd), AtFlags::SYMLINK_FOLLOW);
        rustix::fs::linkat(&self.proc_fds, from, &dir_fd, newname, follow)?;
        dir.changes.fetch_add(1, Ordering::SeqCst);
        let (inode, stat) = self.admit(&dir, newname, stat_of(&fd)?);
        Ok(entry_of(&inode, &stat))
    }

    /// A directory and its descriptor, for an operation on that name in it.
    pub(super) fn parent_of(&self, parent: Ino, name: &OsStr) -> io::Result<Dir<N>> {
        check(name)?;
        let dir = self.inode(parent)?;
        let fd = self.descriptor(&dir)?;
        Ok((dir, fd))
    }

    /// Looks a name up in a directory.
    pub(super) fn entry_at(
        &self,
        dir: &Inode<N>,
        fd: impl AsFd,
        name: &OsStr,
    ) -> io::Result<Entry> {
        self.enter_at(dir, fd, name).map(|(inode, stat)| entry_of(&inode, &stat))
    }

    /// The same, but nobody is told of its attributes.
    pub(super) fn enter_at(
        &self,
        dir: &Inode<N>,
        fd: impl AsFd,
        name: &OsStr,
    ) -> io::Result<(Arc<Inode<N>>, Statx)> {
        let mut tries = TRIES;
        loop {
            let seen = dir.changes.load(Ordering::SeqCst);
            let stat = stat_at(&fd, name)?;
            let inode = self.table.enter(self.identity(&stat), is_dir(&stat));
            let change = {
                let mut state = inode.state.lock();
                // Whoever removes or renames counts up before it takes this lock.
                let current = dir.changes.load(Ordering::SeqCst) == seen;
                (current || tries == 0).then(|| {
                    let change = self.change_names(&inode, &mut state, |names| {
                        names.take(dir.ino, name, inode.directory)
                    });
                    (change, state.count())
                })
            };
            if let Some((change, names)) = change {
                self.settle(change);
                if names > 1 && names > stat.stx_nlink as usize {
                    inode.names().iter().for_each(|name| self.drop_if_stale(&inode, name));
                }
                return Ok((inode, stat));
            }
            self.table.forget(inode.ino, 1);
            tries -= 1;
        }
    }

    /// Takes a name from an inode if it leads elsewhere by now, unless it is the only one.
    pub(super) fn drop_if_stale(&self, inode: &Inode<N>, name: &Name) {
        let Ok(dir) = self.inode(name.parent) else { return };
        let seen = dir.changes.load(Ordering::SeqCst);
        let stale = match self.descriptor(&dir).and_then(|fd| stat_at(&fd, &name.name)) {
            Ok(stat) => self.identity(&stat) != inode.identity,
            Err(error) => is_stale(&error),
        };
        if stale {
            self.rename_inode(inode, |names| {
                // As for a lookup: who links or renames counts up before it takes this lock.
                let current = dir.changes.load(Ordering::SeqCst) == seen;
                if current { names.lose_stale(name) } else { Change::default() }
            });
        }
    }

    /// Enters what was just made or opened under a name: one lookup more.
    pub(super) fn admit(
        &self,
        dir: &Inode<N>,
        name: &OsStr,
        stat: Statx,
    ) -> (Arc<Inode<N>>, Statx) {
        let inode = self.table.enter(self.identity(&stat), is_dir(&stat));
        self.rename_inode(&inode, |names| names.take(dir.ino, name, inode.directory));
        (inode, stat)
    }
}

pub(super) fn entry_of<N>(inode: &Inode<N>, stat: &Statx) -> Entry {
    Entry { ino: inode.ino, attr: attr_of(inode, stat), generation: generation(&inode.identity) }
}
