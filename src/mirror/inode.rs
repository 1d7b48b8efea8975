//! One file of the backing: its identity, its state, and who still needs it.
//!
//! Lock rule: `state` is held for a few instructions, never across a syscall, never two at once.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::numbers::Ino;
use super::state::{Name, State, Told};

/// Which file it is, whatever its names: device, number, time of birth. The last tells a file from
/// a later one that was given the same number. A directory that is bound to several places is
/// another one in each, by the mount that shows it: to the kernel a directory has one place, and to
/// a fault one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) dev: u64,
    pub(super) ino: u64,
    /// A digest of the time of birth, and of a directory's mount.
    pub(super) born: u64,
}

impl Identity {
    /// The same as the layers above know it.
    pub(super) fn key(self) -> [u64; 3] {
        [self.dev, self.ino, self.born]
    }
}

/// Depth at which a walk up gives up: only a circle of stale names is this long.
pub(super) const MAX_DEPTH: usize = 1 << 18;

/// A file of the backing that the kernel knows by a node id.
///
/// `N` is a note that the layer above attaches; the mirror never looks at it.
pub(crate) struct Inode<N> {
    pub(super) ino: Ino,
    pub(super) identity: Identity,
    pub(super) directory: bool,
    /// The note of the layer above.
    pub note: N,
    /// Lookups that the kernel has not yet forgotten.
    pub(super) lookups: AtomicU64,
    /// Names, of any inode, whose parent this is: its number must not go while there are any.
    pub(super) children: AtomicU32,
    /// Grows after each change of the set of names.
    pub(super) epoch: AtomicU32,
    /// Of a directory: grows after names in it went, moved or were linked and before the inodes
    /// hear of it. Who saw it grow since it looked has an answer from before and must ask again.
    pub(super) changes: AtomicU32,
    /// The descriptor was used since the eviction ring last passed.
    pub(super) used: AtomicBool,
    /// A setuid or setgid bit was seen; never taken back, so that no race can lose it.
    pub(super) privileged: AtomicBool,
    /// The inode has changed while its content was told to be the same.
    pub(super) doubtful: AtomicBool,
    pub(super) state: Mutex<State>,
}

impl<N: Default> Inode<N> {
    pub(super) fn new(ino: Ino, identity: Identity, directory: bool) -> Inode<N> {
        Inode {
            ino,
            identity,
            directory,
            note: N::default(),
            lookups: AtomicU64::new(0),
            children: AtomicU32::new(0),
            epoch: AtomicU32::new(0),
            changes: AtomicU32::new(0),
            used: AtomicBool::new(false),
            privileged: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }
}

impl<N> Inode<N> {
    /// The node id that the kernel has for it.
    #[must_use]
    pub(crate) fn ino(&self) -> Ino {
        self.ino
    }

    /// Which file of the backing it is.
    #[must_use]
    pub(crate) fn key(&self) -> [u64; 3] {
        self.identity.key()
    }

    /// Whether a handle of it is open.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        !self.state.lock().open().is_empty()
    }

    /// Whether it is a directory.
    #[must_use]
    pub(crate) fn is_dir(&self) -> bool {
        self.directory
    }

    /// Lookups that the kernel has not yet forgotten.
    #[must_use]
    pub(crate) fn lookups(&self) -> u64 {
        self.lookups.load(Ordering::SeqCst)
    }

    /// Remembers what its content was told to be.
    pub(super) fn tell(&self, told: Told) {
        let changed_unseen = self.state.lock().tell(told);
        if changed_unseen {
            self.doubtful.store(true, Ordering::Relaxed);
        }
    }

    /// It changes by what was asked here, so that what was told tells nothing of others.
    pub(super) fn forget_told(&self) {
        self.state.lock().forget_told();
    }

    /// Whether the content may have changed unseen since this was last asked: size and time of
    /// modification were set to what they had been, as far as what was told of the inode shows.
    #[must_use]
    pub(crate) fn take_doubt(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed) && self.doubtful.swap(false, Ordering::Relaxed)
    }

    /// The descriptor, if there is one now.
    pub(super) fn cached(&self) -> Option<Arc<OwnedFd>> {
        let fd = self.state.lock().descriptor()?.clone();
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        Some(fd)
    }

    /// The current name, with the epoch of the set that it is of.
    pub(super) fn current(&self) -> Option<(Name, u32)> {
        let state = self.state.lock();
        let name = state.current()?.clone();
        Some((name, self.epoch.load(Ordering::Acquire)))
    }

    /// All names, the current one last.
    pub(super) fn names(&self) -> Vec<Name> {
        self.state.lock().names().cloned().collect()
    }

    /// Its name, if it has just one.
    pub(super) fn only_name(&self) -> Option<Name> {
        let state = self.state.lock();
        let mut names = state.names();
        let name = names.next()?;
        names.next().is_none().then(|| name.clone())
    }

    /// Whether it has a name in that directory.
    #[must_use]
    pub(crate) fn lies_in(&self, parent: Ino) -> bool {
        self.state.lock().names().any(|name| name.parent == parent)
    }

    /// Whether nobody needs its number any more.
    pub(super) fn idle(&self) -> bool {
        self.lookups.load(Ordering::SeqCst) == 0 && self.children.load(Ordering::SeqCst) == 0
    }
}
