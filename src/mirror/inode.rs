//! One file of the backing: its identity, its names, and whether we hold a descriptor of it.
//!
//! Invariant: the names are the (parent, name) pairs under which the kernel has met the inode and
//! which still lead to it as far as our own operations go; its paths are made of them, and the last
//! one, current, is the one used last. An inode that lost its last name keeps it for its path,
//! marked unlinked, and keeps its descriptor, which is then the only way to it.
//! Lock rule: `state` is held for a few instructions, never across a syscall, never two at once;
//! `told` is innermost.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::numbers::Ino;

/// Which file it is, whatever its names: device, number, time of birth. The last tells a file from
/// a later one that was given the same number. A directory that is bound to several places is
/// another one in each, by the mount that shows it: to the kernel a directory has one place, and to
/// a fault one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) born: (i64, u32),
    /// Of a directory; else 0.
    pub(super) mount: u64,
}

/// Depth at which a walk up gives up: only a circle of stale names is this long.
pub(super) const MAX_DEPTH: usize = 1 << 18;

/// Names kept per inode; a file with more links forgets the ones longest not used. Far more than a
/// database's snapshots give a file, and few enough to go through whenever they change.
const MAX_NAMES: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) parent: Ino,
    pub(super) name: Box<OsStr>,
}

impl Name {
    pub(super) fn new(parent: Ino, name: &OsStr) -> Name {
        Name { parent, name: name.into() }
    }

    fn is(&self, parent: Ino, name: &OsStr) -> bool {
        self.parent == parent && *self.name == *name
    }
}

/// What a change of names did, for the counts that depend on it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// The set of names is another one now.
    pub(super) renamed: bool,
    /// This parent has one child more.
    pub(super) added: Option<Ino>,
    /// This parent has one child less.
    pub(super) lost: Option<Ino>,
}

/// What was last told of a file's content, and when the inode had last changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) content: (u64, (i64, u32)),
    pub(super) changed: (i64, u32),
}

#[derive(Default)]
pub(super) struct State {
    names: Vec<Name>,
    pub(super) unlinked: bool,
    /// An `O_PATH` descriptor (of the root: whatever it was opened with).
    pub(super) fd: Option<Arc<OwnedFd>>,
    /// Those of its open handles, which serve as well while they last.
    pub(super) open: Vec<Arc<OwnedFd>>,
    /// Operations under way that need the descriptor not to be evicted.
    pub(super) pins: u32,
    /// The eviction ring has an entry for it.
    pub(super) in_ring: bool,
}

impl State {
    /// The root has its descriptor for good and no name.
    pub(super) fn of_root(fd: OwnedFd) -> State {
        State { fd: Some(Arc::new(fd)), pins: 1, ..State::default() }
    }

    /// Makes a name current; a directory has only that one.
    pub(super) fn take(&mut self, parent: Ino, name: &OsStr, directory: bool) -> Change {
        if let Some(place) = self.names.iter().position(|n| n.is(parent, name)) {
            self.unlinked = false;
            if place + 1 != self.names.len() {
                let name = self.names.remove(place);
                self.names.push(name);
            }
            return Change::default();
        }
        let replaced = self.unlinked || directory || self.names.len() >= MAX_NAMES;
        let lost = (replaced && !self.names.is_empty()).then(|| self.names.remove(0).parent);
        self.names.push(Name::new(parent, name));
        self.unlinked = false;
        Change { renamed: true, added: Some(parent), lost }
    }

    /// Takes a name away; the last one stays, as the last path it had.
    pub(super) fn lose(&mut self, parent: Ino, name: &OsStr) -> Change {
        let Some(place) = self.names.iter().position(|n| n.is(parent, name)) else {
            return Change::default();
        };
        if self.names.len() == 1 {
            self.unlinked = true;
            return Change::default();
        }
        Change { renamed: true, added: None, lost: Some(self.names.remove(place).parent) }
    }

    /// The same for a name that was found to lead elsewhere: the only one may still be the way
    /// back, once a lookup finds what has become of it.
    pub(super) fn lose_stale(&mut self, name: &Name) -> Change {
        if self.names.len() < 2 { Change::default() } else { self.lose(name.parent, &name.name) }
    }

    /// Puts one name in the place of another and makes it current.
    pub(super) fn rename(&mut self, from: (Ino, &OsStr), to: (Ino, &OsStr)) -> Change {
        if let Some(place) = self.names.iter().position(|n| n.is(from.0, from.1)) {
            let lost = Some(self.names.remove(place).parent);
            let there = self.names.iter().position(|n| n.is(to.0, to.1));
            let name = match there {
                Some(place) => self.names.remove(place),
                None => Name::new(to.0, to.1),
            };
            self.names.push(name);
            self.unlinked = false;
            return Change { renamed: true, added: there.is_none().then_some(to.0), lost };
        }
        self.take(to.0, to.1, false)
    }

    pub(super) fn current(&self) -> Option<&Name> {
        self.names.last()
    }

    pub(super) fn descriptor(&self) -> Option<&Arc<OwnedFd>> {
        self.fd.as_ref().or_else(|| self.open.last())
    }

    pub(super) fn names(&self) -> &[Name] {
        &self.names
    }
}

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
    pub(super) children: AtomicU64,
    /// Grows after each change of the set of names.
    pub(super) epoch: AtomicU64,
    /// Of a directory: grows after names in it went, moved or were linked and before the inodes
    /// hear of it. Who saw it grow since it looked has an answer from before and must ask again.
    pub(super) changes: AtomicU64,
    /// The descriptor was used since the eviction ring last passed.
    pub(super) used: AtomicBool,
    /// A setuid or setgid bit was seen; never taken back, so that no race can lose it.
    pub(super) privileged: AtomicBool,
    pub(super) told: Mutex<Option<Told>>,
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
            children: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            used: AtomicBool::new(false),
            privileged: AtomicBool::new(false),
            told: Mutex::default(),
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
        let before = self.told.lock().replace(told);
        if before.is_some_and(|b| b.content == told.content && b.changed != told.changed) {
            self.doubtful.store(true, Ordering::Relaxed);
        }
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
    pub(super) fn current(&self) -> Option<(Name, u64)> {
        let state = self.state.lock();
        let name = state.current()?.clone();
        Some((name, self.epoch.load(Ordering::Acquire)))
    }

    /// All names, the current one last.
    pub(super) fn names(&self) -> Vec<Name> {
        self.state.lock().names.clone()
    }

    /// Whether it has a name in that directory.
    #[must_use]
    pub(crate) fn lies_in(&self, parent: Ino) -> bool {
        self.state.lock().names.iter().any(|name| name.parent == parent)
    }

    /// Whether nobody needs its number any more.
    pub(super) fn idle(&self) -> bool {
        self.lookups.load(Ordering::SeqCst) == 0 && self.children.load(Ordering::SeqCst) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(state: &State) -> Vec<(u64, &str)> {
        state.names.iter().map(|n| (n.parent.0, n.name.to_str().unwrap())).collect()
    }
    fn os(name: &str) -> &OsStr {
        OsStr::new(name)
    }

    #[test]
    fn latest_name_used_is_current() {
        let mut state = State::default();
        assert_eq!(
            state.take(Ino(1), os("a"), false),
            Change { renamed: true, added: Some(Ino(1)), lost: None }
        );
        state.take(Ino(2), os("b"), false);
        assert_eq!(state.take(Ino(1), os("a"), false), Change::default());
        assert_eq!(names(&state), [(2, "b"), (1, "a")]);
    }

    #[test]
    fn directory_has_one_name() {
        let mut state = State::default();
        state.take(Ino(1), os("a"), true);
        let change = state.take(Ino(2), os("b"), true);
        assert_eq!(change, Change { renamed: true, added: Some(Ino(2)), lost: Some(Ino(1)) });
        assert_eq!(names(&state), [(2, "b")]);
    }

    #[test]
    fn last_name_stays_when_it_is_lost() {
        let mut state = State::default();
        state.take(Ino(1), os("a"), false);
        state.take(Ino(1), os("b"), false);
        let change = state.lose(Ino(1), os("b"));
        assert_eq!(change, Change { renamed: true, added: None, lost: Some(Ino(1)) });
        assert_eq!(state.lose_stale(&Name::new(Ino(1), os("a"))), Change::default());
        assert!(!state.unlinked);
        assert_eq!(state.lose(Ino(1), os("a")), Change::default());
        assert!(state.unlinked);
        assert_eq!(names(&state), [(1, "a")]);
        let change = state.take(Ino(3), os("c"), false);
        assert_eq!(change, Change { renamed: true, added: Some(Ino(3)), lost: Some(Ino(1)) });
        assert!(!state.unlinked);
    }

    #[test]
    fn rename_onto_a_known_name_keeps_it_once() {
        let mut state = State::default();
        state.take(Ino(1), os("a"), false);
        state.take(Ino(2), os("b"), false);
        let change = state.rename((Ino(1), os("a")), (Ino(2), os("b")));
        assert_eq!(change, Change { renamed: true, added: None, lost: Some(Ino(1)) });
        assert_eq!(names(&state), [(2, "b")]);
    }

    #[test]
    fn names_are_bounded() {
        let mut state = State::default();
        for n in 0..2000 {
            state.take(Ino(n), os("x"), false);
        }
        assert_eq!(state.names.len(), MAX_NAMES);
        assert_eq!(state.current().unwrap().parent, Ino(1999));
    }
}
