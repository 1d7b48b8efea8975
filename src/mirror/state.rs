//! What changes about an inode: its names, the descriptors of it, and what was told of it.
//!
//! Invariant: the names are the (parent, name) pairs under which the kernel has met the inode and
//! which still lead to it as far as our own operations go; its paths are made of them, and the last
//! one, current, is the one used last. An inode that lost its last name keeps it for its path,
//! marked unlinked, and keeps its descriptor, which is then the only way to it. What most inodes have
//! none of (further names, descriptors) takes no room in them: the kernel may know millions.
//! Lock rule: a state is locked as its inode says; nothing here locks.

use std::ffi::OsStr;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::mix::digest;
use super::numbers::Ino;

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

#[derive(Default)]
pub(super) struct State {
    current: Option<Name>,
    more: Option<Box<More>>,
    told: Option<Told>,
    /// Operations under way that need the descriptor not to be evicted.
    pub(super) pins: u32,
    pub(super) unlinked: bool,
    /// The eviction ring has an entry for it.
    pub(super) in_ring: bool,
}

/// What few inodes have.
#[derive(Default)]
struct More {
    /// The names but the current one, those used last behind.
    names: Vec<Name>,
    /// An `O_PATH` descriptor (of the root: whatever it was opened with).
    own: Option<Arc<OwnedFd>>,
    /// Those of its open handles, which serve as well while they last.
    open: Vec<Arc<OwnedFd>>,
}

impl State {
    /// The root has its descriptor for good and no name.
    pub(super) fn of_root(fd: OwnedFd) -> State {
        let more = More { own: Some(Arc::new(fd)), ..More::default() };
        State { more: Some(Box::new(more)), pins: 1, ..State::default() }
    }

    /// Makes a name current; a directory has only that one.
    pub(super) fn take(&mut self, parent: Ino, name: &OsStr, directory: bool) -> Change {
        if let Some(place) = self.place(parent, name) {
            self.unlinked = false;
            if place + 1 != self.count()
                && let Some(name) = self.remove(place)
            {
                self.push(name);
            }
            return Change::default();
        }
        let replaced = self.unlinked || directory || self.count() >= MAX_NAMES;
        let lost = replaced.then(|| self.remove(0)).flatten().map(|name| name.parent);
        self.push(Name::new(parent, name));
        self.unlinked = false;
        Change { renamed: true, added: Some(parent), lost }
    }

    /// Takes a name away; the last one stays, as the last path it had.
    pub(super) fn lose(&mut self, parent: Ino, name: &OsStr) -> Change {
        let Some(place) = self.place(parent, name) else { return Change::default() };
        if self.count() == 1 {
            self.unlinked = true;
            return Change::default();
        }
        let lost = self.remove(place).map(|name| name.parent);
        Change { renamed: true, added: None, lost }
    }

    /// The same for a name that was found to lead elsewhere: the only one may still be the way
    /// back, once a lookup finds what has become of it.
    pub(super) fn lose_stale(&mut self, name: &Name) -> Change {
        if self.count() < 2 { Change::default() } else { self.lose(name.parent, &name.name) }
    }

    /// Puts one name in the place of another and makes it current.
    pub(super) fn rename(&mut self, from: (Ino, &OsStr), to: (Ino, &OsStr)) -> Change {
        let Some(place) = self.place(from.0, from.1) else { return self.take(to.0, to.1, false) };
        let lost = self.remove(place).map(|name| name.parent);
        let there = self.place(to.0, to.1).and_then(|place| self.remove(place));
        let added = there.is_none().then_some(to.0);
        self.push(there.unwrap_or_else(|| Name::new(to.0, to.1)));
        self.unlinked = false;
        Change { renamed: true, added, lost }
    }

    pub(super) fn current(&self) -> Option<&Name> {
        self.current.as_ref()
    }

    /// All names, the current one last.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.more.iter().flat_map(|more| &more.names).chain(&self.current)
    }

    /// How many names there are.
    pub(super) fn count(&self) -> usize {
        let others = self.more.as_ref().map_or(0, |more| more.names.len());
        others + usize::from(self.current.is_some())
    }

    fn place(&self, parent: Ino, name: &OsStr) -> Option<usize> {
        self.names().position(|n| n.is(parent, name))
    }

    fn push(&mut self, name: Name) {
        if let Some(before) = self.current.replace(name) {
            self.more().names.push(before);
        }
    }

    fn remove(&mut self, place: usize) -> Option<Name> {
        let others = self.more.as_mut().map(|more| &mut more.names);
        let name = match others {
            Some(names) if place < names.len() => Some(names.remove(place)),
            Some(names) => std::mem::replace(&mut self.current, names.pop()),
            None => self.current.take(),
        };
        self.tidy();
        name
    }

    /// What serves as a descriptor of it, if anything does now.
    pub(super) fn descriptor(&self) -> Option<&Arc<OwnedFd>> {
        let more = self.more.as_ref()?;
        more.own.as_ref().or_else(|| more.open.last())
    }

    /// Its own descriptor, which an open handle may share.
    pub(super) fn own(&self) -> Option<&Arc<OwnedFd>> {
        self.more.as_ref()?.own.as_ref()
    }

    /// Keeps a descriptor as its own, unless it has one.
    pub(super) fn keep_own(&mut self, fd: Arc<OwnedFd>) {
        self.more().own.get_or_insert(fd);
    }

    /// Takes its own away, to be dropped without the lock.
    pub(super) fn take_own(&mut self) -> Option<Arc<OwnedFd>> {
        let own = self.more.as_mut()?.own.take();
        self.tidy();
        own
    }

    /// Those of its open handles.
    pub(super) fn open(&self) -> &[Arc<OwnedFd>] {
        self.more.as_ref().map_or(&[], |more| &more.open)
    }

    pub(super) fn lend(&mut self, fd: &Arc<OwnedFd>) {
        self.more().open.push(fd.clone());
    }

    /// The end of [`State::lend`]; the handle has one more, so that nothing is closed here.
    pub(super) fn take_back(&mut self, fd: &Arc<OwnedFd>) {
        if let Some(more) = &mut self.more
            && let Some(place) = more.open.iter().position(|open| Arc::ptr_eq(open, fd))
        {
            more.open.swap_remove(place);
            self.tidy();
        }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn tidy(&mut self) {
        let empty = |more: &mut Box<More>| {
            more.names.is_empty() && more.own.is_none() && more.open.is_empty()
        };
        drop(self.more.take_if(empty));
    }

    /// Remembers what its content was told to be; whether it may have changed unseen before.
    pub(super) fn tell(&mut self, told: Told) -> bool {
        let before = self.told.replace(told);
        before.is_some_and(|b| b.content == told.content && b.changed != told.changed)
    }

    pub(super) fn forget_told(&mut self) {
        self.told = None;
    }
}

/// What was last told of a file: digests of its size and time of modification, and of when the inode
/// had last changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    content: NonZeroU64,
    changed: NonZeroU64,
}

impl Told {
    pub(super) fn new(size: u64, modified: (i64, u32), changed: (i64, u32)) -> Told {
        let some = |digest| NonZeroU64::new(digest).unwrap_or(NonZeroU64::MIN);
        Told { content: some(digest(&(size, modified))), changed: some(digest(&changed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(state: &State) -> Vec<(u64, &str)> {
        state.names().map(|n| (n.parent.0, n.name.to_str().unwrap())).collect()
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
    fn most_inodes_take_little() {
        assert!(size_of::<State>() <= 56);
        let mut state = State::default();
        state.take(Ino(1), os("a"), false);
        state.take(Ino(1), os("b"), false);
        state.lose(Ino(1), os("a"));
        assert!(state.more.is_none(), "nothing is left of a further name");
    }

    #[test]
    fn only_a_change_that_the_content_does_not_show_is_doubtful() {
        let mut state = State::default();
        let told = |size, modified, changed| Told::new(size, (modified, 5), (changed, 6));
        assert!(!state.tell(told(1, 1, 1)), "the first");
        assert!(!state.tell(told(1, 1, 1)), "the same");
        assert!(!state.tell(told(2, 1, 2)), "another size");
        assert!(!state.tell(told(2, 2, 3)), "another time");
        assert!(state.tell(told(2, 2, 4)));
    }

    #[test]
    fn names_are_bounded() {
        let mut state = State::default();
        for n in 0..2000 {
            state.take(Ino(n), os("x"), false);
        }
        assert_eq!(state.count(), MAX_NAMES);
        assert_eq!(state.current().unwrap().parent, Ino(1999));
    }
}
