//! Which of the states that a disk could hold an image has. What is legal under `linux`:
//!
//! (a) Changes of names, attributes and, by request, of sizes form one sequence: a prefix of it is kept, plus
//! what syncs made durable, which the log does not have any more. (b) A unit of a file has any version since
//! its durable one that is newer than the last kept and older than the first dropped cut that covers it.
//! (c) The size is the durable one or one it had since, under the same rule. (d) A file whose creation is
//! dropped is not there. (e) Units have no order among themselves.
//!
//! Under `posix` any changes may be kept whose needs are. No locks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::iter::once;
use std::ops::Range;

use super::Order;
use super::file::{Event, File, PAGE};
use super::log::{Change, Log};
use crate::fault::{Keeping, Unit, drawn};
use crate::mirror::{Ino, Seen};

/// A choice among the legal images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) keeping: Keeping,
    /// What is written at once or not at all.
    pub(crate) unit: Unit,
    pub(crate) seed: u64,
}

/// Bytes of a file that are those from before an event.
pub(super) struct Piece {
    pub(super) range: Range<u64>,
    /// Which of the file's events.
    pub(super) event: usize,
}

/// A choice, applied to a log.
pub(super) struct Chosen<'a> {
    log: &'a Log,
    choice: Choice,
    /// The last number of which something may be kept.
    limit: u64,
    dropped: BTreeSet<u64>,
    /// How many entries there are to choose from.
    entries: usize,
}

/// Numbers by the seed, one after the other.
struct Dice {
    seed: u64,
    rolled: u64,
}

impl Dice {
    /// One of so many.
    fn roll(&mut self, sides: u64) -> u64 {
        self.rolled += 1;
        drawn(self.seed, "power-cut", self.rolled) % sides.max(1)
    }
}

impl<'a> Chosen<'a> {
    pub(super) fn new(log: &'a Log, choice: Choice) -> Chosen<'a> {
        let horizon = log.horizon;
        let mut numbers: Vec<u64> = log.ops.keys().copied().collect();
        for file in log.files.values() {
            let writes = file.events.iter().filter(|event| !event.cut && !event.lost);
            numbers.extend(writes.map(|event| event.seq));
        }
        numbers.retain(|seq| *seq <= horizon);
        numbers.sort_unstable();
        let first = |n: u64| match usize::try_from(n) {
            Ok(0) => 0,
            Ok(n) => numbers.get(n - 1).copied().unwrap_or(u64::MAX),
            Err(_) => u64::MAX,
        };
        let mut dice = Dice { seed: choice.seed, rolled: 0 };
        let limit = match choice.keeping {
            Keeping::None => 0,
            Keeping::All => u64::MAX,
            Keeping::Prefix(n) => first(n),
            Keeping::Random => first(dice.roll(numbers.len() as u64 + 1)),
        };
        let limit = limit.min(horizon);
        let later = |seq: &u64| *seq > limit;
        let dropped = match (choice.keeping, log.order) {
            (Keeping::Random, Order::Posix) => {
                let mut dropped = BTreeSet::new();
                for (seq, op) in &log.ops {
                    let lacks = op.needs().iter().any(|need| dropped.contains(need));
                    if dice.roll(2) == 0 || lacks || *seq > horizon {
                        dropped.insert(*seq);
                    }
                }
                dropped
            }
            _ => log.ops.keys().copied().filter(later).collect(),
        };
        Chosen { log, choice, limit, dropped, entries: numbers.len() }
    }

    /// How many entries of the log it chose from.
    pub(super) fn entries(&self) -> u64 {
        self.entries as u64
    }

    /// The changes that an image lacks, in their order: not those that came after it.
    pub(super) fn lacks(&self) -> impl Iterator<Item = (u64, &'a Change)> {
        let horizon = self.log.horizon;
        self.dropped().filter(move |(seq, _)| *seq <= horizon)
    }

    /// The changes that are not done, in their order.
    fn dropped(&self) -> impl Iterator<Item = (u64, &'a Change)> {
        let op = |seq: &u64| Some((*seq, &self.log.ops.get(seq)?.change));
        self.dropped.iter().filter_map(op)
    }

    /// By directory, the entries that are not what they are now, and what they are.
    pub(super) fn names(&self) -> HashMap<Ino, BTreeMap<&'a OsStr, Option<Ino>>> {
        let mut names: HashMap<Ino, BTreeMap<&OsStr, Option<Ino>>> = HashMap::new();
        for (_, change) in self.dropped() {
            let Change::Names(entries) = change else { continue };
            for entry in entries {
                names.entry(entry.dir).or_default().entry(&entry.name).or_insert(entry.before);
            }
        }
        names
    }

    /// The mode, the owner and the times of those inodes that have others now.
    pub(super) fn states(&self) -> HashMap<Ino, &'a Seen> {
        let mut states = HashMap::new();
        for (_, change) in self.dropped() {
            if let Change::State(ino, before) = change {
                states.entry(*ino).or_insert(&**before);
            }
        }
        states
    }

    /// The extended attributes that are others now, by inode.
    pub(super) fn attributes(&self) -> HashMap<Ino, BTreeMap<&'a OsStr, Option<&'a [u8]>>> {
        let mut all: HashMap<Ino, BTreeMap<&OsStr, Option<&[u8]>>> = HashMap::new();
        for (_, change) in self.dropped() {
            if let Change::Attribute(ino, name, before) = change {
                all.entry(*ino).or_default().entry(name).or_insert(before.as_deref());
            }
        }
        all
    }

    fn is_dropped(&self, event: &Event) -> bool {
        event.cut && self.dropped.contains(&event.seq)
    }

    fn is_kept(&self, event: &Event) -> bool {
        event.cut && !self.dropped.contains(&event.seq)
    }

    /// How many of these events, which are one after the other, have been done: at least, and at most.
    fn bounds(&self, events: &[&Event], durable: usize) -> (usize, usize) {
        let kept = events.iter().rposition(|event| self.is_kept(event)).map_or(0, |at| at + 1);
        let lowest = kept.max(durable);
        let dropped = events.iter().position(|event| self.is_dropped(event));
        let done = events.partition_point(|event| event.seq <= self.log.horizon);
        (lowest, dropped.unwrap_or(events.len()).min(done).max(lowest))
    }

    /// How many of them have been done, within these bounds.
    fn version(&self, events: &[&Event], bounds: (usize, usize), dice: &mut Dice) -> usize {
        let (lowest, highest) = bounds;
        if lowest == highest {
            return lowest;
        }
        match self.choice.keeping {
            Keeping::None => lowest,
            Keeping::All => highest,
            Keeping::Prefix(_) => {
                let within = events.partition_point(|event| event.seq <= self.limit);
                within.clamp(lowest, highest)
            }
            Keeping::Random => {
                let more = dice.roll((highest - lowest) as u64 + 1);
                lowest + usize::try_from(more).unwrap_or_default()
            }
        }
    }

    /// What the content of a file comes to that has that size now: its size, and each of the pieces of it that
    /// are others. The same choice comes to the same whatever else is asked.
    pub(super) fn content(&self, file: &File, live_size: u64, each: Each<'_>) -> io::Result<u64> {
        let first = file.events.front().map_or(0, |event| event.seq);
        let seed = self.choice.seed ^ first.rotate_left(32);
        let mut dice = Dice { seed, rolled: 0 };
        let size = self.size(file, &mut dice).unwrap_or(live_size);
        self.pieces(file, size, &mut dice, each)?;
        Ok(size)
    }

    /// None: as it is.
    fn size(&self, file: &File, dice: &mut Dice) -> Option<u64> {
        let sized: Vec<&Event> = file.events.iter().filter(|event| event.resizes()).collect();
        let synced = file.synced.iter().map(|(_, seq)| *seq).max().unwrap_or_default();
        let durable = sized.partition_point(|event| event.seq <= synced);
        let done = self.version(&sized, self.bounds(&sized, durable), dice);
        match done.checked_sub(1).and_then(|last| sized.get(last)) {
            Some(last) => Some(last.sizes.1),
            None => sized.first().map(|first| first.sizes.0),
        }
    }

    /// Goes through the file from one place to the next where others of its events and syncs begin or end: so
    /// that it takes no memory for each unit.
    fn pieces(&self, file: &File, size: u64, dice: &mut Dice, each: Each<'_>) -> io::Result<()> {
        let mut pieces = Pieces { last: None, each };
        let (mut events, mut synced) = (BTreeSet::new(), BTreeSet::new());
        let mut from = 0;
        for (at, over) in edges(file, self.choice.unit.bytes(), size) {
            if from < at && !events.is_empty() {
                let durable = synced.last().map_or(0, |(seq, _)| *seq);
                self.stretch(file, from..at, (&events, durable), dice, &mut pieces)?;
            }
            from = at;
            // What has begun ends there.
            match over {
                Over::Event(n) => drop(events.remove(&n) || events.insert(n)),
                Over::Synced(seq, n) => drop(synced.remove(&(seq, n)) || synced.insert((seq, n))),
            }
        }
        pieces.end()
    }

    /// A part of a file all of whose units have the same events, and are durable up to the same number.
    fn stretch(
        &self,
        file: &File,
        whole: Range<u64>,
        (covering, synced): (&BTreeSet<usize>, u64),
        dice: &mut Dice,
        pieces: &mut Pieces<'_>,
    ) -> io::Result<()> {
        let events: Vec<&Event> = covering.iter().filter_map(|at| file.events.get(*at)).collect();
        let durable = events.partition_point(|event| event.seq <= synced);
        let bounds = self.bounds(&events, durable);
        let step = match self.choice.keeping {
            Keeping::Random if bounds.0 < bounds.1 => self.choice.unit.bytes(),
            _ => whole.end - whole.start,
        };
        let mut start = whole.start;
        while start < whole.end {
            let end = start.saturating_add(step).min(whole.end);
            let done = stored(&events, self.version(&events, bounds, dice), durable);
            let mut left: Vec<Range<u64>> = once(start..end).collect();
            for (event, at) in events.iter().zip(covering).skip(done) {
                left = pieces.take(left, &event.range, *at)?;
                if left.is_empty() {
                    break;
                }
            }
            start = end;
        }
        Ok(())
    }
}

/// How many of these events a disk has, where so many are done, and so many durable: not the last ones, if these
/// are lost. With one behind these their pages were written again.
fn stored(events: &[&Event], done: usize, durable: usize) -> usize {
    let is_lost = |at: &usize| events.get(at - 1).is_some_and(|event| event.lost);
    (durable + 1..=done).rev().find(|at| !is_lost(at)).unwrap_or(done.min(durable))
}

/// What a stretch of a file may be covered by.
#[derive(Clone, Copy)]
enum Over {
    /// An event, by its place.
    Event(usize),
    /// A sync of a range, by its number and place.
    Synced(u64, usize),
}

/// Where units begin or end that an event or a sync touches, below that size, ascending: each twice.
fn edges(file: &File, unit: u64, size: u64) -> Vec<(u64, Over)> {
    let events = file.events.iter().enumerate().map(|(n, event)| (&event.range, Over::Event(n)));
    let synced = file.synced.iter().enumerate();
    let synced = synced.map(|(n, (range, seq))| (range, Over::Synced(*seq, n)));
    let mut edges = Vec::new();
    for (range, over) in events.chain(synced).filter(|(range, _)| !range.is_empty()) {
        let is_whole = match over {
            Over::Event(n) => file.events.get(n).is_some_and(|event| !event.cut && !event.lost),
            Over::Synced(..) => false,
        };
        // Where something is lost, what is written brings the rest of its pages along.
        let whole = if file.has_lost && is_whole { unit.max(PAGE) } else { unit };
        let start = range.start / whole * whole;
        let end = range.end.div_ceil(whole).saturating_mul(whole).min(size);
        if start < end {
            edges.extend([(start, over), (end, over)]);
        }
    }
    edges.sort_by_key(|(at, _)| *at);
    edges
}

/// Who takes the pieces.
type Each<'a> = &'a mut dyn FnMut(Piece) -> io::Result<()>;

/// The pieces on their way, those that touch as one.
struct Pieces<'a> {
    last: Option<Piece>,
    each: Each<'a>,
}

impl Pieces<'_> {
    /// Takes of what is left that which an event covers, and tells what is left then.
    fn take(
        &mut self,
        left: Vec<Range<u64>>,
        of: &Range<u64>,
        event: usize,
    ) -> io::Result<Vec<Range<u64>>> {
        let mut rest = Vec::new();
        for part in left {
            let range = part.start.max(of.start)..part.end.min(of.end);
            if range.is_empty() {
                rest.push(part);
                continue;
            }
            rest.extend([part.start..range.start, range.end..part.end]);
            match &mut self.last {
                Some(last) if last.event == event && last.range.end == range.start => {
                    last.range.end = range.end;
                }
                _ => {
                    self.end()?;
                    self.last = Some(Piece { range, event });
                }
            }
        }
        rest.retain(|part| !part.is_empty());
        Ok(rest)
    }

    fn end(&mut self) -> io::Result<()> {
        self.last.take().map_or(Ok(()), &mut self.each)
    }
}
