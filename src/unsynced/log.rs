//! The log itself: what was done to the backing and is not durable, with what it takes to undo it.
//!
//! Invariant: of what was done to one name, and of what was done to one inode, the log has the latest part,
//! without a gap: what is durable is taken out together with all that it needs. So the state from before the
//! first dropped change of a name or an inode is the one that an image has, and the backing has the newest.
//! Each inode in the log is held in the mirror, so that its number stays.
//! No locks of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::OsStr;
use std::time::Instant;

use super::Order;
use super::file::{COST, Event, File};
use super::past::{Gap, Past};
use crate::mirror::{Ino, Seen};

/// A name is in its entry, in the key of that and in what was last.
const NAME_COPIES: u64 = 3;

/// What changes have an order on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// An entry of a directory.
    Name(Ino, Box<OsStr>),
    /// The names of an inode.
    Names(Ino),
    /// Its attributes, and its size as far as requests set it.
    State(Ino),
}

/// A name of which an operation has made another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) dir: Ino,
    pub(super) name: Box<OsStr>,
    pub(super) before: Option<Ino>,
    pub(super) after: Option<Ino>,
}

/// A change that has its place in the one sequence of the mount.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Entries, all at once.
    Names(Vec<Entry>),
    /// Mode, owner and times; these they were.
    State(Ino, Box<Seen>),
    /// An extended attribute; this it was.
    Attribute(Ino, Box<OsStr>, Option<Vec<u8>>),
    /// A truncation, a hole punched, space allocated: the file's event of the same number.
    Cut(Ino),
}

#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) change: Change,
    keys: Vec<Key>,
    /// Earlier ones, which are durable once this is.
    needs: Vec<u64>,
    held: Vec<Ino>,
    cost: u64,
    /// Whether it has taken something its last name.
    gone: bool,
    when: Instant,
}

impl Op {
    pub(super) fn needs(&self) -> &[u64] {
        &self.needs
    }
}

/// An entry of the log by its age.
pub(super) struct Queued {
    pub(super) seq: u64,
    pub(super) file: Option<Ino>,
    pub(super) when: Instant,
}

/// What is not durable.
#[derive(Default)]
pub(super) struct Log {
    pub(super) order: Order,
    seq: u64,
    pub(super) ops: BTreeMap<u64, Op>,
    pub(super) files: BTreeMap<Ino, File>,
    last: HashMap<Key, u64>,
    /// By directory, the changes of its entries.
    inside: HashMap<Ino, BTreeSet<u64>>,
    pub(super) queue: VecDeque<Queued>,
    /// How many entries of it are enough to look for those of what is durable.
    pub(super) crowded: usize,
    /// What all of it takes.
    pub(super) cost: u64,
    /// What has lost its last name.
    pub(super) gone: usize,
    /// How many entries counted as written back, by their age or for want of room.
    pub(super) written_back: u64,
    /// Inodes that are needed no more.
    released: Vec<Ino>,
    /// What is durable, if it is kept: all inodes stay then.
    pub(super) past: Option<Past<Op>>,
    /// What has a higher number is not done.
    pub(super) horizon: u64,
}

/// What an operation has done to names. Every inode in it is held, once for each time that it is named.
pub(super) struct Renamed {
    pub(super) entries: Vec<Entry>,
    /// The directories, and those above them.
    pub(super) above: Vec<Ino>,
    /// What has lost its last name, and takes so many bytes until then.
    pub(super) gone: Option<(Ino, u64)>,
    /// Whether what is there now was made.
    pub(super) made: bool,
}

impl Log {
    pub(super) fn new(order: Order) -> Log {
        Log { order, horizon: u64::MAX, ..Log::default() }
    }

    /// The number of the last entry.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn len(&self) -> usize {
        let is_write = |event: &&Event| !event.cut && !event.lost;
        let writes = |file: &File| file.events.iter().filter(is_write).count();
        self.ops.len() + self.files.values().map(writes).sum::<usize>()
    }

    pub(super) fn last_of(&self, key: &Key) -> Option<u64> {
        self.last.get(key).copied()
    }

    /// Takes in what was done to names.
    pub(super) fn renamed(&mut self, renamed: Renamed, held: Vec<Ino>) {
        let Renamed { entries, above, gone, made } = renamed;
        let mut keys: Vec<Key> = Vec::new();
        let mut add = |key: Key| {
            if !keys.contains(&key) {
                keys.push(key);
            }
        };
        let mut needs = Vec::new();
        for Entry { dir, name, before, after } in &entries {
            add(Key::Name(*dir, name.clone()));
            for ino in [before, after].into_iter().flatten() {
                add(Key::Names(*ino));
                if self.order == Order::Linux {
                    needs.extend(self.last_of(&Key::State(*ino)));
                }
            }
        }
        needs.extend(above.iter().filter_map(|dir| self.last_of(&Key::Names(*dir))));
        let (gone, freed) = gone.unzip();
        needs.extend(gone.and_then(|dir| self.inside.get(&dir)).into_iter().flatten());
        let names = entries.iter().map(|entry| NAME_COPIES * entry.name.len() as u64);
        let cost = COST + names.sum::<u64>() + freed.unwrap_or_default();
        let made = made.then(|| entries.iter().find_map(|entry| entry.after)).flatten();
        for entry in &entries {
            self.inside.entry(entry.dir).or_default().insert(self.seq + 1);
        }
        let seq = self.push(Change::Names(entries), (keys, needs), (held, cost, freed.is_some()));
        if let Some(ino) = made.filter(|ino| self.files.contains_key(ino)) {
            self.files.entry(ino).or_default().mapped = seq;
        }
    }

    /// Takes in what was done to attributes.
    pub(super) fn changed(&mut self, change: Change, held: Vec<Ino>) {
        let (Change::State(ino, _) | Change::Attribute(ino, ..) | Change::Cut(ino)) = &change
        else {
            return;
        };
        let keys = vec![Key::State(*ino)];
        let names = match self.order {
            Order::Linux => self.last_of(&Key::Names(*ino)),
            Order::Posix => None,
        };
        let cost = match &change {
            Change::Attribute(_, name, value) => {
                COST + (name.len() + value.as_ref().map_or(0, Vec::len)) as u64
            }
            _ => COST,
        };
        self.push(change, (keys, names.into_iter().collect()), (held, cost, false));
    }

    fn push(
        &mut self,
        change: Change,
        (keys, mut needs): (Vec<Key>, Vec<u64>),
        (held, cost, gone): (Vec<Ino>, u64, bool),
    ) -> u64 {
        self.seq += 1;
        let (seq, when) = (self.seq, Instant::now());
        needs.extend(keys.iter().filter_map(|key| self.last_of(key)));
        needs.sort_unstable();
        needs.dedup();
        self.last.extend(keys.iter().map(|key| (key.clone(), seq)));
        self.cost += cost;
        self.gone += usize::from(gone);
        let file = match &change {
            Change::Cut(ino) => Some(*ino),
            _ => None,
        };
        self.queue.push_back(Queued { seq, file, when });
        self.ops.insert(seq, Op { change, keys, needs, held, cost, gone, when });
        seq
    }

    /// Takes in what was done to the content of a file that is in the log; what holds its number if it
    /// has a place in the sequence. Tells its number.
    pub(super) fn written(&mut self, ino: Ino, event: Event, mapped: bool, held: Vec<Ino>) -> u64 {
        if event.cut {
            self.changed(Change::Cut(ino), held);
        } else {
            self.seq += 1;
            self.queue.push_back(Queued { seq: self.seq, file: Some(ino), when: event.when });
        }
        self.cost += event.cost();
        let seq = self.seq;
        let file = self.files.entry(ino).or_default();
        if mapped || event.cut {
            file.mapped = seq;
        }
        file.events.push_back(Event { seq, ..event });
        seq
    }

    /// A change is durable, and so is all that it needs.
    pub(super) fn keep(&mut self, seq: u64) {
        let mut left = vec![seq];
        while let Some(seq) = left.pop() {
            let Some(op) = self.ops.remove(&seq) else { continue };
            self.cost = self.cost.saturating_sub(op.cost);
            self.gone -= usize::from(op.gone);
            for key in &op.keys {
                if self.last_of(key) == Some(seq) {
                    self.last.remove(key);
                }
            }
            if let Change::Names(entries) = &op.change {
                for Entry { dir, .. } in entries {
                    if let Some(inside) = self.inside.get_mut(dir) {
                        inside.remove(&seq);
                        if inside.is_empty() {
                            self.inside.remove(dir);
                        }
                    }
                }
            }
            if op.gone {
                self.forget_gone(&op.change);
            }
            left.extend(&op.needs);
            self.released.extend(&op.held);
            op.held.iter().for_each(|ino| self.tidy(*ino));
            if let Some(past) = &mut self.past {
                past.change(seq, op);
            }
        }
    }

    /// The changes of an inode up to that number are durable: of its attributes, and of its names too.
    pub(super) fn keep_of(&mut self, ino: Ino, limit: u64, names: bool) {
        let own = |key: &Key| match key {
            Key::Names(other) => names && *other == ino,
            Key::State(other) => *other == ino,
            Key::Name(..) => false,
        };
        let keys = [Key::State(ino), Key::Names(ino)];
        // Each once, as many as the ways to it are: what a change needs has a lower number.
        let mut left: BTreeSet<u64> =
            keys.iter().filter(|key| own(key)).filter_map(|key| self.last_of(key)).collect();
        while let Some(seq) = left.pop_last() {
            match self.ops.get(&seq) {
                Some(op) if seq > limit => {
                    let is_own =
                        |need: &&u64| self.ops.get(need).is_some_and(|op| op.keys.iter().any(own));
                    left.extend(op.needs.iter().filter(is_own));
                }
                Some(_) => self.keep(seq),
                None => {}
            }
        }
    }

    /// The changes of a directory's entries up to that number are durable.
    pub(super) fn keep_inside(&mut self, dir: Ino, limit: u64) {
        let inside = self.inside.get(&dir);
        let inside: Vec<u64> =
            inside.map(|all| all.range(..=limit).copied().collect()).unwrap_or_default();
        inside.into_iter().for_each(|seq| self.keep(seq));
    }

    /// What was done to the content of a file up to that number is durable.
    pub(super) fn settle(&mut self, ino: Ino, limit: u64) {
        let Some(file) = self.files.get_mut(&ino) else { return };
        let past = &mut self.past;
        if file.has_lost {
            past.iter_mut().for_each(|past| past.forget(Gap::Lost));
        }
        let (freed, stays, cuts) = file.settle(limit, |event| {
            if let Some(past) = past {
                past.event(ino, event);
            }
        });
        self.cost = (self.cost + stays).saturating_sub(freed);
        cuts.into_iter().for_each(|seq| self.keep(seq));
        self.tidy(ino);
    }

    /// Forgets a file of which nothing is left to be lost.
    pub(super) fn tidy(&mut self, ino: Ino) {
        let pending = |key: Key| self.last.contains_key(&key);
        let file = self.files.get(&ino);
        let is_idle = file.is_some_and(|file| {
            file.events.is_empty() && file.owed.is_empty() && file.failed.is_none()
        });
        if is_idle && !pending(Key::State(ino)) && !pending(Key::Names(ino)) {
            self.files.remove(&ino);
            self.released.push(ino);
        }
    }

    /// Has the file in the log, to be held once if it was not.
    pub(super) fn enter(&mut self, ino: Ino, hold: impl FnOnce()) -> &mut File {
        self.files.entry(ino).or_insert_with(|| {
            hold();
            File::default()
        })
    }

    /// Somebody else has changed an inode: what is there now counts as durable.
    pub(super) fn give_up(&mut self, ino: Ino) {
        if let Some(file) = self.files.get_mut(&ino) {
            file.owed.clear();
        }
        self.keep_of(ino, u64::MAX, true);
        self.settle(ino, u64::MAX);
        self.settle_lost(ino);
        self.forget_past(Gap::Foreign);
    }

    /// What was done until now cannot be undone.
    pub(super) fn forget_past(&mut self, gap: Gap) {
        self.past.iter_mut().for_each(|past| past.forget(gap));
    }

    /// When the oldest entry came.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let of_files = self.files.values().filter_map(|file| file.events.front());
        let of_files = of_files.map(|event| event.when).min();
        let of_ops = self.ops.values().next().map(|op| op.when);
        of_files.into_iter().chain(of_ops).min()
    }

    /// Inodes that the log needs no more, each as often as it was held.
    pub(super) fn take_released(&mut self) -> Vec<Ino> {
        let released = std::mem::take(&mut self.released);
        if self.past.is_none() { released } else { Vec::new() }
    }
}
