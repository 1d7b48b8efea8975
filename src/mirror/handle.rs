//! Open files and directories, by the number that the kernel has for each.
//!
//! Invariant: a number is of one handle from open to release and may be reused after, also if the handle
//! was cut off before its release. An operation
//! under way keeps its handle open, whatever is released meanwhile.
//! Lock rule: a shard is held for a few instructions, never across a syscall, closing included.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use rustix::fs::OFlags;

use super::errno;
use super::inode::Inode;
use super::numbers::{Fh, Ino};

const SHARDS: u64 = 16;

/// An open file or directory of the backing.
pub(crate) struct Handle<N> {
    pub(super) fd: Arc<OwnedFd>,
    pub(super) inode: Arc<Inode<N>>,
    /// A listing is using the descriptor's position.
    pub(super) busy: AtomicBool,
    /// The layer above reads it past the kernel's cache; the mirror never looks at it.
    pub(crate) uncached: AtomicBool,
    /// What reads and moves no time of access, once that was asked for.
    pub(super) quiet: OnceLock<OwnedFd>,
}

impl<N> Handle<N> {
    pub(super) fn new(fd: Arc<OwnedFd>, inode: Arc<Inode<N>>) -> Handle<N> {
        let (busy, uncached) = (AtomicBool::new(false), AtomicBool::new(false));
        Handle { fd, inode, busy, uncached, quiet: OnceLock::new() }
    }

    /// The inode that is open.
    #[must_use]
    pub(crate) fn inode(&self) -> &Arc<Inode<N>> {
        &self.inode
    }

    /// Whether it is open for reading.
    pub(crate) fn reads(&self) -> bool {
        is_open(self, |mode, _| mode != OFlags::WRONLY)
    }

    /// Whether it is open for writing.
    pub(crate) fn writes(&self) -> bool {
        is_open(self, |mode, _| mode != OFlags::RDONLY)
    }

    /// Whether it reads, if it is open for writing, and writes where it is told to.
    pub(crate) fn reads_and_writes_in_place(&self) -> bool {
        is_open(self, |mode, appends| mode != OFlags::WRONLY && !appends)
    }

    /// What writes to the inode where it is told to: another handle's descriptor, if this one's appends.
    pub(super) fn in_place(&self) -> Arc<OwnedFd> {
        if !is_open(self, |_, appends| appends) {
            return self.fd.clone();
        }
        let open = self.inode.state.lock().open().to_vec();
        let in_place =
            |fd: &Arc<OwnedFd>| is_open(fd, |mode, appends| mode != OFlags::RDONLY && !appends);
        open.into_iter().find(in_place).unwrap_or_else(|| self.fd.clone())
    }
}

impl<N> AsFd for Handle<N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether a descriptor was opened as it should be: for reading or writing, and with O_APPEND or not.
fn is_open(fd: impl AsFd, so: impl FnOnce(OFlags, bool) -> bool) -> bool {
    let flags = rustix::fs::fcntl_getfl(fd);
    flags.is_ok_and(|flags| so(flags.intersection(OFlags::RWMODE), flags.contains(OFlags::APPEND)))
}

struct Shard<N> {
    slots: Vec<Option<Arc<Handle<N>>>>,
    free: Vec<usize>,
    /// Of handles that were cut off and are to be released.
    cut: HashSet<usize>,
}

pub(super) struct Handles<N> {
    shards: [RwLock<Shard<N>>; SHARDS as usize],
    next: AtomicU64,
}

impl<N> Handles<N> {
    pub(super) fn new() -> Handles<N> {
        let empty =
            || RwLock::new(Shard { slots: Vec::new(), free: Vec::new(), cut: HashSet::new() });
        Handles { shards: std::array::from_fn(|_| empty()), next: AtomicU64::new(0) }
    }

    fn slot(&self, fh: Fh) -> Option<(&RwLock<Shard<N>>, usize)> {
        let shard = self.shards.get(usize::try_from(fh.0 % SHARDS).ok()?)?;
        Some((shard, usize::try_from(fh.0 / SHARDS).ok()?))
    }

    pub(super) fn insert(&self, handle: Handle<N>) -> io::Result<Fh> {
        let start = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let (shard, _) = self.slot(Fh(start)).ok_or_else(|| errno(libc::EBADF))?;
        let mut shard = shard.write();
        let handle = Some(Arc::new(handle));
        let slot = match shard.free.pop() {
            Some(slot) => slot,
            None => {
                shard.slots.push(None);
                shard.slots.len() - 1
            }
        };
        if let Some(free) = shard.slots.get_mut(slot) {
            *free = handle;
        }
        Ok(Fh(slot as u64 * SHARDS + start))
    }

    #[inline(always)]
    pub(super) fn get(&self, fh: Fh) -> io::Result<Arc<Handle<N>>> {
        self.slot(fh)
            .and_then(|(shard, slot)| shard.read().slots.get(slot)?.clone())
            .ok_or_else(|| self.missing(fh))
    }

    /// Those that are open now.
    pub(super) fn all(&self) -> Vec<Arc<Handle<N>>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.read().slots.iter().flatten().cloned());
        }
        all
    }

    /// All of an inode.
    pub(super) fn all_of(&self, ino: Ino) -> Vec<Fh> {
        let mut all = Vec::new();
        for (start, shard) in (0..).zip(&self.shards) {
            let shard = shard.read();
            let slots = (0..).zip(&shard.slots);
            let of_it =
                slots.filter(|(_, handle)| handle.as_ref().is_some_and(|h| h.inode.ino() == ino));
            all.extend(of_it.map(|(slot, _): (u64, _)| Fh(slot * SHARDS + start)));
        }
        all
    }

    /// EIO if it was cut off, else EBADF.
    #[cold]
    fn missing(&self, fh: Fh) -> io::Error {
        let is_cut = self.slot(fh).is_some_and(|(shard, slot)| shard.read().cut.contains(&slot));
        errno(if is_cut { libc::EIO } else { libc::EBADF })
    }

    /// Takes a handle out; none if it was cut off before.
    pub(super) fn remove(&self, fh: Fh) -> io::Result<Option<Arc<Handle<N>>>> {
        let taken = self.slot(fh).and_then(|(shard, slot)| {
            let mut shard = shard.write();
            let handle = shard.slots.get_mut(slot)?.take();
            if handle.is_none() && !shard.cut.remove(&slot) {
                return None;
            }
            shard.free.push(slot);
            Some(handle)
        });
        taken.ok_or_else(|| errno(libc::EBADF))
    }

    /// Cuts all off: they are of no use from now on, and their numbers free once they are released.
    pub(super) fn cut(&self) -> Vec<Arc<Handle<N>>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.write();
            let Shard { slots, cut, .. } = &mut *shard;
            for (slot, handle) in slots.iter_mut().enumerate() {
                if let Some(handle) = handle.take() {
                    cut.insert(slot);
                    all.push(handle);
                }
            }
        }
        all
    }
}
