//! Descriptors of inodes: a bounded cache, and how a lost one is found again.
//!
//! Invariant: a descriptor in the cache is of the inode's identity, whatever its names are now. It
//! may be evicted unless the inode is pinned (a rename or removal under way) or unlinked; an open
//! inode uses its handles' instead. An evicted one is reopened step by step from the nearest ancestor that has one, and
//! verified. So neither the number of files nor the depth of the tree is limited by descriptors or
//! PATH_MAX.
//! Lock rule: the ring before an inode's state; neither across a syscall, closing included.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};

use super::inode::{Inode, MAX_DEPTH};
use super::room::For;
use super::state::Name;
use super::{Mirror, errno, stat_at, stat_of};

/// How often a walk starts again because names changed under it.
const TRIES: usize = 64;
/// Second chances one admission may give, to bound the time under the ring's lock.
const CHANCES: usize = 64;

/// The inodes whose descriptors may be evicted, the longest there first.
pub(super) struct Ring<N> {
    room: usize,
    queue: Mutex<VecDeque<Weak<Inode<N>>>>,
}

impl<N> Ring<N> {
    pub(super) fn new(room: usize) -> Ring<N> {
        Ring { room, queue: Mutex::default() }
    }

    fn admit(&self, inode: &Arc<Inode<N>>) {
        let closed = {
            let mut queue = self.queue.lock();
            queue.push_back(Arc::downgrade(inode));
            Self::shrink(&mut queue, self.room, CHANCES)
        };
        drop(closed);
    }

    /// Drops the entries of inodes that are gone, whose memory they keep.
    pub(super) fn shrink_to_known(&self) {
        let mut queue = self.queue.lock();
        queue.retain(|inode| inode.strong_count() > 0);
        queue.shrink_to_fit();
    }

    /// Evicts all, when descriptors have run out.
    pub(super) fn clear(&self) {
        let closed = Self::shrink(&mut self.queue.lock(), 0, 0);
        drop(closed);
    }

    /// What it returns must be dropped without the lock: that closes descriptors.
    fn shrink(
        queue: &mut VecDeque<Weak<Inode<N>>>,
        room: usize,
        mut chances: usize,
    ) -> Vec<Evicted<N>> {
        let mut closed = Vec::new();
        while queue.len() > room {
            let Some(weak) = queue.pop_front() else { break };
            let Some(inode) = weak.upgrade() else { continue };
            if chances > 0 && inode.used.swap(false, Ordering::Relaxed) {
                chances -= 1;
                queue.push_back(weak);
                closed.push((inode, None));
                continue;
            }
            let fd = {
                let mut state = inode.state.lock();
                state.in_ring = false;
                if state.pins > 0 || state.unlinked { None } else { state.take_own() }
            };
            closed.push((inode, fd));
        }
        closed
    }
}

/// An inode that left the ring or stays, and the descriptor that it lost.
type Evicted<N> = (Arc<Inode<N>>, Option<Arc<OwnedFd>>);

/// An inode that can be reached until this is dropped, whatever becomes of its names.
pub(super) struct Pin<'a, N: Default> {
    mirror: &'a Mirror<N>,
    pub(super) inode: Arc<Inode<N>>,
    held: bool,
}

impl<N: Default> Drop for Pin<'_, N> {
    fn drop(&mut self) {
        if self.held {
            self.mirror.unpin(&self.inode);
        }
    }
}

/// One step of a walk: the inode, its name then, and the epoch of that name.
type Step<N> = (Arc<Inode<N>>, Name, u32);

impl<N: Default> Mirror<N> {
    /// A descriptor of the inode.
    ///
    /// ESTALE if the backing has it no more under any name we know.
    pub(super) fn descriptor(&self, inode: &Arc<Inode<N>>) -> io::Result<Arc<OwnedFd>> {
        if let Some(fd) = inode.cached() {
            return Ok(fd);
        }
        for _ in 0..TRIES {
            if let Some(fd) = self.reopen(inode)? {
                return Ok(fd);
            }
        }
        Err(errno(libc::ESTALE))
    }

    /// None: names changed under the walk, which must start again.
    fn reopen(&self, inode: &Arc<Inode<N>>) -> io::Result<Option<Arc<OwnedFd>>> {
        let mut way: Vec<Step<N>> = Vec::new();
        let mut at = inode.clone();
        let mut fd = loop {
            if let Some(fd) = at.cached() {
                break fd;
            }
            let Some((name, epoch)) = at.current() else { return Err(errno(libc::ESTALE)) };
            let Some(parent) = self.table.get(name.parent).filter(|_| way.len() < MAX_DEPTH) else {
                // It was forgotten after the inode moved elsewhere, unless nothing did.
                let moved = self.went_on(&at, &name, epoch);
                return if moved { Ok(None) } else { Err(errno(libc::ESTALE)) };
            };
            way.push((at, name, epoch));
            at = parent;
        };
        while let Some((inode, name, epoch)) = way.pop() {
            match self.open_child(&fd, &name.name, &inode) {
                Ok(found) => fd = self.keep(&inode, found),
                Err(error) if is_stale(&error) && self.went_on(&inode, &name, epoch) => {
                    return Ok(None);
                }
                Err(error) if is_stale(&error) => return Err(errno(libc::ESTALE)),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(fd))
    }

    /// Whether another try can do better than the name that failed: the inode was renamed or pinned
    /// meanwhile, or has further names.
    fn went_on(&self, inode: &Arc<Inode<N>>, name: &Name, epoch: u32) -> bool {
        {
            let state = inode.state.lock();
            if state.descriptor().is_some() || inode.epoch.load(Ordering::Acquire) != epoch {
                return true;
            }
            if state.count() < 2 {
                return false;
            }
        }
        self.drop_if_stale(inode, name);
        true
    }

    fn open_child(
        &self,
        dir: &OwnedFd,
        name: &OsStr,
        inode: &Inode<N>,
    ) -> io::Result<Arc<OwnedFd>> {
        let fd = self.open_path(dir, name)?;
        if self.identity(&stat_of(&fd)?) != inode.identity {
            return Err(errno(libc::ESTALE));
        }
        Ok(Arc::new(fd))
    }

    fn open_path(&self, dir: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.with_room(For::Passing, || Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?))
    }

    /// Puts a descriptor into the cache, unless another thread was first.
    fn keep(&self, inode: &Arc<Inode<N>>, fd: Arc<OwnedFd>) -> Arc<OwnedFd> {
        let new = {
            let mut state = inode.state.lock();
            if let Some(there) = state.descriptor() {
                return there.clone();
            }
            state.keep_own(fd.clone());
            !std::mem::replace(&mut state.in_ring, true)
        };
        if new {
            self.ring.admit(inode);
        }
        fd
    }

    /// The known inode of that name, if any, pinned: done before its name goes or moves. Without a
    /// descriptor left to pin it with, the name goes all the same, as it would on the disk.
    ///
    /// An open, a statx and in the end a close, all of them needed: others change the backing too, so
    /// only it tells which inode that is, and only before; nobody tells who has the file as working
    /// directory or by `O_PATH` and will ask for it when its last name is gone; and of what moves no name
    /// is right while it does.
    pub(super) fn pinned_at(&self, dir: &OwnedFd, name: &OsStr) -> Option<Pin<'_, N>> {
        let fd = match self.open_path(dir, name) {
            Err(error) if is_stale(&error) => return None,
            opened => opened.ok().map(Arc::new),
        };
        let stat = fd.as_ref().map_or_else(|| stat_at(dir, name), stat_of);
        let inode = self.table.known(&self.identity(&stat.ok()?))?;
        let held = {
            let mut state = inode.state.lock();
            let fd = state.descriptor().cloned().or_else(|| fd.clone());
            let held = fd.is_some();
            state.pins += u32::from(held);
            fd.into_iter().for_each(|fd| state.keep_own(fd));
            held
        };
        Some(Pin { mirror: self, inode, held })
    }

    fn unpin(&self, inode: &Arc<Inode<N>>) {
        let evictable = {
            let mut state = inode.state.lock();
            state.pins = state.pins.saturating_sub(1);
            let free = state.pins == 0 && !state.unlinked && state.own().is_some();
            free && !std::mem::replace(&mut state.in_ring, true)
        };
        if evictable {
            self.ring.admit(inode);
        }
    }

    /// A descriptor that is about to be handed out as a handle's serves its inode, too.
    pub(super) fn lend(&self, inode: &Inode<N>, fd: &Arc<OwnedFd>) {
        inode.state.lock().lend(fd);
    }

    /// The end of that: of an inode that has no name left it stays, else it goes with the handle.
    pub(super) fn take_back(&self, inode: &Inode<N>, fd: &Arc<OwnedFd>) {
        let mut state = inode.state.lock();
        state.take_back(fd);
        let shared = state.own().is_some_and(|own| Arc::ptr_eq(own, fd));
        if shared && !state.unlinked && state.pins == 0 {
            drop(state.take_own()); // The handle has the last one: nothing is closed here.
        }
    }
}

/// Whether the error means that the name does not lead to the inode any more.
pub(super) fn is_stale(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ESTALE))
}
