//! Whether an image is one of those that a disk could hold, by the model.

use std::collections::BTreeMap;
use std::ops::Range;

use super::model::{Change, Content, Model, Node, Place, State, TOP, Version, pages};
use super::*;

impl Model {
    /// What some of the changes make of the empty directory: its paths, without content.
    fn again(&self, kept: &dyn Fn(usize) -> bool) -> BTreeMap<String, (Node, State)> {
        let mut names: BTreeMap<Place, Node> = BTreeMap::new();
        let mut states = self.first.clone();
        for (at, done) in self.done.iter().enumerate().filter(|(at, _)| kept(*at)) {
            match &done.change {
                Change::Names(changes) => {
                    for (place, before, after) in changes {
                        assert_eq!(
                            names.get(place),
                            before.as_ref(),
                            "{at} finds what it had found"
                        );
                        match after {
                            Some(after) => drop(names.insert(place.clone(), *after)),
                            None => drop(names.remove(place)),
                        }
                    }
                }
                Change::State(node, state) => states[*node] = state.clone(),
                Change::Cut(_) => {}
            }
        }
        let mut all = BTreeMap::new();
        let mut left = vec![(String::new(), TOP)];
        while let Some((path, node)) = left.pop() {
            for ((_, name), child) in names.range((node, String::new())..(node + 1, String::new()))
            {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                left.push((path, *child));
            }
            all.insert(path, (node, states[node].clone()));
        }
        all
    }

    /// Why an image is not what these changes make, with that content.
    fn differs(
        &self,
        image: &Items,
        kept: &dyn Fn(usize) -> bool,
        unit: usize,
        content: Which,
    ) -> Result<(), String> {
        let again = self.again(kept);
        let paths = |all: Vec<&String>| format!("{all:?}");
        if again.keys().ne(image.keys()) {
            let (own, other) = (again.keys().collect(), image.keys().collect());
            return Err(format!("{} is not {}", paths(other), paths(own)));
        }
        let mut firsts: BTreeMap<Node, &String> = BTreeMap::new();
        for (path, (node, state)) in &again {
            let item = &image[path];
            let first = *firsts.entry(*node).or_insert(path);
            let found = State {
                kind: item.kind,
                mode: item.mode,
                uid: item.uid,
                xattr: item.xattr.clone(),
            };
            if *path != String::new() && (*first != item.first || found != *state) {
                return Err(format!("{path} is {item:?}, not {state:?} as {first}"));
            }
            if let Some(file) = self.contents.get(node) {
                file.fits(&item.data, kept, unit, content)
                    .map_err(|why| format!("{path}: {why}"))?;
            }
        }
        Ok(())
    }

    /// An image that keeps nothing.
    pub(super) fn is_durable(&self, image: &Items, unit: usize) -> Result<(), String> {
        self.differs(image, &|at| self.done[at].durable, unit, Which::Oldest)
    }

    /// One that keeps everything: what is there, but for what is lost.
    pub(super) fn is_all(&self, image: &Items, unit: usize) -> Result<(), String> {
        self.differs(image, &|_| true, unit, Which::Newest)
    }

    /// Any image.
    pub(super) fn is_legal(&self, image: &Items, unit: usize) -> Result<(), String> {
        let mut why = String::new();
        for limit in 0..=self.done.len() {
            let kept = |at: usize| at < limit || self.done[at].durable;
            match self.differs(image, &kept, unit, Which::Any) {
                Ok(()) => return Ok(()),
                Err(other) => why = format!("{why}\n  {limit}: {other}"),
            }
        }
        Err(why)
    }
}

impl Content {
    /// Between which versions something is that these cuts cover.
    fn between(
        &self,
        kept: &dyn Fn(usize) -> bool,
        durable: usize,
        covers: &dyn Fn(usize) -> bool,
    ) -> (usize, usize) {
        let (mut lowest, mut highest) = (durable, self.versions.len() - 1);
        for (at, version) in self.versions.iter().enumerate() {
            let Some((change, _)) = &version.cut else { continue };
            if covers(at) && kept(*change) {
                lowest = lowest.max(at);
            }
            if covers(at) && !kept(*change) {
                highest = highest.min(at - 1);
            }
        }
        (lowest, highest.max(lowest))
    }

    /// The version that a disk has of a unit where the cache has come to this one: what is lost never came to
    /// it, but with what was written to the same page since. A cut brings the rest of a page along once it is
    /// synced.
    fn stored(&self, unit: &Range<usize>, version: usize, synced: usize) -> usize {
        let page = unit.start / 4096;
        let touches = |at: &usize| {
            let Version { touched, cut, .. } = &self.versions[*at];
            let overlaps =
                !touched.is_empty() && touched.start < unit.end && unit.start < touched.end;
            let near = cut.is_none() || *at <= self.durable;
            overlaps || near && !touched.is_empty() && pages(touched).contains(&page)
        };
        let is_lost = |at: &usize| *at > synced && self.versions[*at].lost.contains(&page);
        (1..=version).rev().filter(touches).find(|at| !is_lost(at)).unwrap_or(0)
    }

    fn fits(
        &self,
        data: &[u8],
        kept: &dyn Fn(usize) -> bool,
        unit: usize,
        content: Which,
    ) -> Result<(), String> {
        let among = |(lowest, highest): (usize, usize)| match content {
            Which::Oldest => lowest..=lowest,
            Which::Newest => highest..=highest,
            Which::Any => lowest..=highest,
        };
        let ranges = self.ranges.iter();
        let resizes =
            |at: usize| at > 0 && self.versions[at].data.len() != self.versions[at - 1].data.len();
        let durable = ranges.map(|(_, version)| *version).max().unwrap_or_default();
        let legal = among(self.between(kept, durable.max(self.durable), &resizes));
        let mut sizes = self.versions[legal.clone()].iter().map(|version| version.data.len());
        if !sizes.any(|size| size == data.len()) {
            return Err(format!("no size of {legal:?} is {}", data.len()));
        }
        for start in (0..data.len()).step_by(unit) {
            let whole = start..start + unit;
            let overlaps = |range: &Range<usize>| {
                !range.is_empty() && range.start < whole.end && whole.start < range.end
            };
            let covers = |at: usize| {
                self.versions[at].cut.as_ref().is_some_and(|(_, range)| overlaps(range))
            };
            let ranges = self.ranges.iter().filter(|(range, _)| overlaps(range));
            let synced = ranges.map(|(_, version)| *version).max().unwrap_or_default();
            let legal = among(self.between(kept, synced.max(self.durable), &covers));
            let end = whole.end.min(data.len());
            let is = |version: usize| {
                let version = &self.versions[self.stored(&whole, version, synced)];
                (start..end).all(|at| version.data.get(at).copied().unwrap_or_default() == data[at])
            };
            if !legal.clone().any(is) {
                return Err(format!("no version of {legal:?} has these bytes at {start}"));
            }
        }
        Ok(())
    }
}

/// Which content, of those that are legal.
#[derive(Clone, Copy)]
enum Which {
    Oldest,
    Newest,
    Any,
}
