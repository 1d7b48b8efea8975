//! What there is, version by version, kept the other way round than in the log: every change from the empty
//! directory on, to be done again in its order. An image is legal if such a repetition of some of them
//! makes it.

use std::collections::{BTreeMap, BTreeSet};

pub(super) type Node = usize;

/// The root.
pub(super) const TOP: Node = 0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) kind: u32,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) xattr: Option<Vec<u8>>,
}

/// Where a name is.
pub(super) type Place = (Node, String);

#[derive(Clone, Debug)]
pub(super) enum Change {
    Names(Vec<(Place, Option<Node>, Option<Node>)>),
    /// What it is then.
    State(Node, State),
    /// A cut of a file.
    Cut(Node),
}

#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) change: Change,
    /// The directories that it was in, and those above.
    pub(super) above: BTreeSet<Node>,
    pub(super) durable: bool,
}

/// A version of a file's content.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) data: Vec<u8>,
    /// The number of the change, if it came by a cut, and what that covers.
    pub(super) cut: Option<(usize, std::ops::Range<usize>)>,
    /// What it may have changed.
    pub(super) touched: std::ops::Range<usize>,
    /// The pages of it whose sync was lost.
    pub(super) lost: BTreeSet<usize>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// The first is the empty file.
    pub(super) versions: Vec<Version>,
    /// Up to here all is durable.
    pub(super) durable: usize,
    /// Up to here a range is.
    pub(super) ranges: Vec<(std::ops::Range<usize>, usize)>,
}

/// All that was done.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) states: Vec<State>,
    pub(super) first: Vec<State>,
    pub(super) names: BTreeMap<Place, Node>,
    pub(super) done: Vec<Done>,
    pub(super) contents: BTreeMap<Node, Content>,
    /// The changes that there were when size or mapping last changed.
    pub(super) mapped: BTreeMap<Node, usize>,
    /// The file that stays open.
    pub(super) open: Option<Node>,
    /// It has yet to learn that a sync has failed.
    owed: bool,
}

/// The pages that a range touches.
pub(super) fn pages(range: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    range.start / 4096..range.end.div_ceil(4096)
}

impl Model {
    pub(super) fn new() -> Model {
        let top = State { kind: libc::S_IFDIR, mode: 0o755, uid: 0, xattr: None };
        Model { states: vec![top.clone()], first: vec![top], ..Model::default() }
    }

    fn find(&self, path: &str) -> Option<Node> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(TOP, |at, name| self.names.get(&(at, name.to_owned())).copied())
    }

    fn node(&self, path: &str) -> Node {
        self.find(path).unwrap_or_else(|| panic!("{path} is not there"))
    }

    fn place(&self, path: &str) -> Place {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.node(dir), name.to_owned())
    }

    fn above(&self, dir: Node) -> BTreeSet<Node> {
        let mut all = BTreeSet::from([dir]);
        let mut at = dir;
        while let Some(((parent, _), _)) = self.names.iter().find(|(_, node)| **node == at) {
            all.insert(*parent);
            at = *parent;
        }
        all
    }

    fn push(&mut self, change: Change, above: BTreeSet<Node>) {
        self.done.push(Done { change, above, durable: false });
    }

    fn rename(&mut self, changes: Vec<(Place, Option<Node>)>) {
        let with_before = |(place, after): (Place, Option<Node>)| {
            let before = self.names.get(&place).copied();
            (place, before, after)
        };
        let changes: Vec<_> = changes.into_iter().map(with_before).collect();
        let changes: Vec<_> = changes.into_iter().filter(|(_, b, a)| b != a).collect();
        if changes.is_empty() {
            return;
        }
        let above = changes.iter().flat_map(|((dir, _), ..)| self.above(*dir)).collect();
        for (place, _, after) in &changes {
            match after {
                Some(after) => drop(self.names.insert(place.clone(), *after)),
                None => drop(self.names.remove(place)),
            }
        }
        self.push(Change::Names(changes), above);
    }

    pub(super) fn make(&mut self, path: &str, kind: u32, mode: u32) {
        let state = State { kind, mode, uid: 0, xattr: None };
        self.states.push(state.clone());
        self.first.push(state);
        let node = self.states.len() - 1;
        if kind == libc::S_IFREG {
            let empty =
                Version { data: Vec::new(), cut: None, touched: 0..0, lost: BTreeSet::new() };
            self.contents.insert(node, Content { versions: vec![empty], ..Content::default() });
        }
        self.rename(vec![(self.place(path), Some(node))]);
        self.mapped.insert(node, self.done.len());
    }

    pub(super) fn link(&mut self, path: &str, to: &str) {
        self.rename(vec![(self.place(to), Some(self.node(path)))]);
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.rename(vec![(self.place(path), None)]);
    }

    pub(super) fn moved(&mut self, from: &str, to: &str, exchange: bool) {
        let (from, to) = (self.place(from), self.place(to));
        let (moved, other) = (self.names[&from], self.names.get(&to).copied());
        if other == Some(moved) {
            return;
        }
        let left = if exchange { other } else { None };
        self.rename(vec![(from, left), (to, Some(moved))]);
    }

    pub(super) fn state(&mut self, path: &str, set: impl FnOnce(&mut State)) {
        let node = self.node(path);
        let before = self.states[node].clone();
        set(&mut self.states[node]);
        if before.mode != self.states[node].mode || before.uid != self.states[node].uid {
            self.push(Change::State(node, self.states[node].clone()), BTreeSet::new());
        }
    }

    pub(super) fn chmod(&mut self, path: &str, mode: u32) {
        self.state(path, |state| state.mode = mode);
    }

    pub(super) fn chown(&mut self, path: &str, uid: u32) {
        self.state(path, |state| state.uid = uid);
    }

    pub(super) fn set_xattr(&mut self, path: &str, value: Option<&[u8]>) {
        let node = self.node(path);
        self.states[node].xattr = value.map(<[u8]>::to_vec);
        self.push(Change::State(node, self.states[node].clone()), BTreeSet::new());
    }

    fn current(&self, node: Node) -> &Vec<u8> {
        &self.contents[&node].versions.last().unwrap().data
    }

    fn version(
        &mut self,
        node: Node,
        data: Vec<u8>,
        (touched, is_cut): (std::ops::Range<usize>, bool),
        mapped: bool,
    ) {
        let before = self.current(node).len();
        let cut = is_cut.then(|| touched.clone());
        let cut = cut.map(|covered| {
            self.push(Change::Cut(node), BTreeSet::new());
            (self.done.len() - 1, covered)
        });
        if mapped || before != data.len() || cut.is_some() {
            self.mapped.insert(node, self.done.len());
        }
        self.contents.get_mut(&node).unwrap().versions.push(Version {
            data,
            cut,
            touched,
            lost: BTreeSet::new(),
        });
    }

    pub(super) fn open(&mut self, path: Option<&str>) {
        self.owed = false;
        self.open = path.map(|path| self.node(path));
    }

    pub(super) fn opened(&self) -> Option<Node> {
        self.open
    }

    pub(super) fn of(&self, path: &str) -> Node {
        self.node(path)
    }

    pub(super) fn size(&self, node: Node) -> usize {
        self.current(node).len()
    }

    pub(super) fn bytes(&self, path: &str) -> Vec<u8> {
        self.current(self.node(path)).clone()
    }

    /// Writes, or copies what there is of so many bytes.
    pub(super) fn write(
        &mut self,
        node: Node,
        (at, len): (usize, usize),
        bytes: &[u8],
        mapped: bool,
    ) {
        let mut data = self.current(node).clone();
        data.resize(data.len().max(at + bytes.len()), 0);
        data[at..at + bytes.len()].copy_from_slice(bytes);
        self.version(node, data, (at..at + len, false), mapped);
    }

    pub(super) fn truncate(&mut self, path: &str, size: usize) {
        let node = self.node(path);
        let mut data = self.current(node).clone();
        let before = data.len();
        if size != before {
            data.resize(size, 0);
            self.version(node, data, (size..before.max(size), true), true);
        }
    }

    /// Clears a range of what is there, or allocates it and so may let the file grow.
    pub(super) fn allocate(
        &mut self,
        path: &str,
        at: usize,
        len: usize,
        clears: bool,
        grows: bool,
    ) {
        let node = self.node(path);
        let mut data = self.current(node).clone();
        let end = (at + len).min(data.len());
        let cleared = if clears { at.min(end)..end } else { 0..0 };
        data[cleared.clone()].fill(0);
        if grows {
            data.resize(data.len().max(at + len), 0);
        }
        if !cleared.is_empty() || data.len() != self.current(node).len() {
            self.version(node, data, (cleared, true), true);
        }
    }

    /// A change is durable, with all that it needs.
    fn keep(&mut self, at: usize) {
        if std::mem::replace(&mut self.done[at].durable, true) {
            return;
        }
        for earlier in 0..at {
            if self.needs(at, earlier) {
                self.keep(earlier);
            }
        }
    }

    fn nodes(&self, at: usize) -> BTreeSet<Node> {
        match &self.done[at].change {
            Change::Names(changes) => {
                changes.iter().flat_map(|(_, before, after)| [*before, *after]).flatten().collect()
            }
            Change::State(node, _) | Change::Cut(node) => BTreeSet::from([*node]),
        }
    }

    fn needs(&self, at: usize, earlier: usize) -> bool {
        if !self.nodes(at).is_disjoint(&self.nodes(earlier)) {
            return true;
        }
        let (Change::Names(own), Change::Names(others)) =
            (&self.done[at].change, &self.done[earlier].change)
        else {
            return false;
        };
        let same_name = own.iter().any(|(place, ..)| others.iter().any(|(p, ..)| p == place));
        let directory = !self.done[at].above.is_disjoint(&self.nodes(earlier));
        let stays = |node: &Node| own.iter().any(|(_, _, after)| *after == Some(*node));
        let gone = own.iter().filter_map(|(_, before, _)| *before).filter(|node| !stays(node));
        let emptied = gone.into_iter().any(|node| others.iter().any(|((dir, _), ..)| *dir == node));
        same_name || directory || emptied
    }

    fn keep_of(&mut self, node: Node, limit: usize) {
        for at in 0..limit.min(self.done.len()) {
            if self.nodes(at).contains(&node) {
                self.keep(at);
            }
        }
    }

    pub(super) fn fsync(&mut self, node: Node) {
        self.keep_of(node, usize::MAX);
        self.settle(node);
    }

    pub(super) fn fdatasync(&mut self, node: Node) {
        self.keep_of(node, self.mapped.get(&node).copied().unwrap_or_default());
        self.settle(node);
    }

    fn settle(&mut self, node: Node) {
        if let Some(content) = self.contents.get_mut(&node) {
            content.durable = content.versions.len() - 1;
        }
    }

    pub(super) fn synced_range(&mut self, node: Node, range: std::ops::Range<usize>) {
        self.keep_of(node, self.mapped.get(&node).copied().unwrap_or_default());
        let content = self.contents.get_mut(&node).unwrap();
        content.ranges.push((range, content.versions.len() - 1));
    }

    /// The sync of a file, or of these bytes of it, is lost: what is in the cache of these pages is clean.
    pub(super) fn lose(&mut self, node: Node, of: std::ops::Range<usize>) {
        let Some(content) = self.contents.get_mut(&node) else { return };
        let lost = pages(&of);
        for version in content.versions.iter_mut().skip(content.durable + 1) {
            if version.cut.is_none() {
                version.lost.extend(pages(&version.touched).filter(|page| lost.contains(page)));
            }
        }
    }

    /// Whether something of any file is lost.
    pub(super) fn has_lost(&self) -> bool {
        self.contents
            .values()
            .flat_map(|file| &file.versions)
            .any(|version| !version.lost.is_empty())
    }

    /// Whether one who has a file open learns of a sync that has failed since.
    pub(super) fn learns(&mut self) -> bool {
        std::mem::take(&mut self.owed)
    }

    /// A sync fails: who has the file open learns it.
    pub(super) fn fail(&mut self, node: Node) {
        self.owed |= self.open == Some(node);
    }

    pub(super) fn fsync_dir(&mut self, path: &str) {
        let node = self.node(path);
        for at in 0..self.done.len() {
            if let Change::Names(changes) = &self.done[at].change
                && changes.iter().any(|((dir, _), ..)| *dir == node)
            {
                self.keep(at);
            }
        }
        self.keep_of(node, usize::MAX);
    }

    pub(super) fn checkpoint(&mut self) {
        self.done.iter_mut().for_each(|done| done.durable = true);
        for content in self.contents.values_mut() {
            content.durable = content.versions.len() - 1;
            content.versions.iter_mut().for_each(|version| version.lost.clear());
        }
    }
}
