//! Which faults go when others come: by class, by name, by methods. No locks: it works on a copy of
//! the table's rows, which its writer then puts in force whole.
//!
//! Setting a fault takes its methods from the other faults; a condition takes the place of one of
//! its kind with the same name, or without names the same pattern, and so does a latch of one that has
//! yet to set in; what has a name that stands takes the place of that one, whatever it is, and nothing
//! from others. The device that charybdefs's
//! auto_delay asks for is a condition that comes and goes as faults do. Of a list that is applied, what stands
//! in the same words goes on, whatever it is.

use std::fmt;
use std::sync::Arc;

use super::id::FaultId;
use super::live::{Live, Rank};
use super::snapshot::{Row, withdraw};
use super::spec::Fault;
use super::taken::{Effects, Taken};
use super::term::Term;
use super::words::{FaultWords, shorten};
use crate::ops::MethodSet;

/// What becomes of the faults that hold a new fault's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// They stay; the new one comes after them.
    Add,
    /// They lose these methods, and go if none is left to them.
    Replace,
}

/// Several changes of the table in one step.
#[derive(Debug, Default)]
pub struct Change {
    /// Set, in this order.
    pub faults: Vec<(Fault, Placement)>,
    /// Lifted before.
    pub remove: Vec<FaultId>,
    /// Whether all other faults are lifted; conditions and latches stay.
    pub only_these: bool,
    /// Whether they are a list of what is to be in force: what stands in the same words goes on, without a
    /// name and with its times, too.
    pub applied: bool,
    /// Whether everything else is lifted: conditions and latches, too.
    pub prune: bool,
    /// What the dice of these faults are seeded with, if not as the table's.
    pub seed: Option<u64>,
}

/// How a fault was put in force.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its number.
    pub id: FaultId,
    /// The faults that have gone for it.
    pub replaced: Vec<FaultId>,
    /// Those that have lost methods to it, and stay.
    pub taken: Vec<Taken>,
    /// How many operations the change let go, those of spent faults and of methods that others lost
    /// too. Told of the first that it set.
    pub released: u64,
    /// It stood already, under its name and in the same words, and goes on.
    pub unchanged: bool,
    /// The fault, as it is in force now.
    pub fault: Arc<Fault>,
    /// The one whose place it took under its name, if it did.
    pub before: Option<Arc<Fault>>,
}

impl Put {
    /// What is different from the fault whose place it took under its name, a line each.
    #[must_use]
    pub(crate) fn changed(&self) -> Vec<String> {
        let Some(before) = &self.before else { return Vec::new() };
        let changed = FaultWords::whole(&self.fault).differences(&FaultWords::whole(before));
        match changed.is_empty() {
            true => vec!["nothing but that its times and counts begin anew".to_owned()],
            false => changed,
        }
    }
}

/// In the words of the command line, with what it did to others.
impl fmt::Display for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = FaultWords::whole(&self.fault);
        let line = FaultWords { pattern: shorten(&words.pattern), ..words }.line();
        write!(f, "fault {}: {line}", self.id)?;
        if self.unchanged {
            f.write_str("; it is in force already, and continues")?;
        }
        let (gone, taken, released) = (&*self.replaced, &*self.taken, self.released);
        Effects { verb: "replaces", gone, taken, released }.fmt(f)
    }
}

/// A change that is being made.
pub(super) struct Staging {
    pub(super) rows: Vec<Row>,
    pub(super) new: Vec<Arc<Live>>,
    /// The methods that faults have lost.
    pub(super) withdrawn: MethodSet,
    pub(super) last_id: u64,
    /// Those in force that are set again, under their names or in the same words: what comes in one change takes
    /// nothing from each other.
    again: Vec<FaultId>,
    /// Of a list that is applied: what stands without a name, whole, as the line that sets it, and goes on for one
    /// of the list.
    nameless: Option<Vec<(FaultId, String)>>,
    /// The last number before the change.
    known: u64,
}

impl Staging {
    pub(super) fn new(rows: Vec<Row>, last_id: u64, change: &Change) -> Staging {
        let names: Vec<_> = change.faults.iter().filter_map(|(fault, _)| fault.name()).collect();
        let named = |row: &&Row| row.live.fault.name().is_some_and(|n| names.contains(&n));
        let mut again: Vec<_> = rows.iter().filter(named).map(|row| row.live.id).collect();
        let withdrawn = MethodSet::EMPTY;
        let nameless = change.applied.then(|| going_on(&rows, &change.faults));
        again.extend(nameless.iter().flatten().map(|(id, _)| *id));
        Staging { rows, new: Vec::new(), withdrawn, last_id, again, nameless, known: last_id }
    }

    /// Takes these methods from every fault that is not of this change.
    fn withdraw(&mut self, methods: MethodSet) {
        self.withdrawn = self.withdrawn.union(methods);
        let (again, known) = (&self.again, FaultId(self.known));
        let others = self.rows.iter_mut();
        let others = others.filter(|e| e.live.id <= known && !again.contains(&e.live.id));
        withdraw(others, methods);
    }

    /// Lifts the faults that were there before and have not been set again. The first that was set tells
    /// of them.
    pub(super) fn lift_others(&mut self, put: &mut [Put]) {
        self.withdrawn = MethodSet::ALL;
        let kept: Vec<FaultId> = put.iter().map(|put| put.id).collect();
        let lifted = |row: &&mut Row| {
            let is_set = kept.contains(&row.live.id) || row.methods.is_empty();
            row.live.goes_by_methods() && !is_set
        };
        for row in self.rows.iter_mut().filter(lifted) {
            row.methods = MethodSet::EMPTY;
            if let Some(first) = put.first_mut() {
                first.replaced.push(row.live.id);
            }
        }
    }

    /// Lifts everything that was there before and is none of those; which these are.
    pub(super) fn prune(&mut self, put: &[Put]) -> Vec<FaultId> {
        self.withdrawn = MethodSet::ALL;
        let is_set = |id: FaultId| put.iter().any(|put| put.id == id);
        let others = self.rows.iter_mut().filter(|row| !row.methods.is_empty());
        let mut pruned = Vec::new();
        for row in others.filter(|row| !is_set(row.live.id)) {
            row.methods = MethodSet::EMPTY;
            pruned.push(row.live.id);
        }
        pruned
    }

    pub(super) fn remove(&mut self, id: FaultId) {
        let named = self.rows.iter_mut().filter(|row| row.live.id == id);
        named.for_each(|row| row.methods = MethodSet::EMPTY);
    }

    /// Puts one fault in its place, and takes from others what it replaces.
    pub(super) fn place(&mut self, fault: Arc<Fault>, placement: Placement, seed: u64) -> Put {
        let namesake = self.namesake(&fault);
        if let Some(known) = self.goes_on(&fault, namesake).and_then(|place| self.rows.get(place)) {
            let (id, replaced, fault) = (known.live.id, Vec::new(), Arc::clone(&known.live.fault));
            let (taken, before) = (Vec::new(), None);
            return Put { id, replaced, taken, released: 0, unchanged: true, fault, before };
        }
        let stood: Vec<MethodSet> = self.rows.iter().map(|row| row.methods).collect();
        let by_methods = Rank::of(&fault) == Rank::Fault || fault.is_automatic();
        let stead = namesake.or_else(|| self.like(&fault));
        match stead.and_then(|place| self.rows.get_mut(place)) {
            Some(row) => row.methods = MethodSet::EMPTY,
            None if by_methods && placement == Placement::Replace => {
                self.withdraw(fault.scope().methods);
            }
            None => {}
        }
        let rows = self.rows.iter().zip(&stood);
        let gone = rows.filter(|(row, stood)| !stood.is_empty() && row.methods.is_empty());
        let replaced = gone.map(|(row, _)| row.live.id).collect();
        let taken = Taken::since(&stood, &self.rows);
        let before = namesake.and_then(|place| self.rows.get(place));
        let before = before.map(|row| Arc::clone(&row.live.fault));
        let id = self.insert(Arc::clone(&fault), stead, seed);
        Put { id, replaced, taken, released: 0, unchanged: false, fault, before }
    }

    /// Puts a fault behind that whose place it takes, or else behind all of its rank.
    fn insert(&mut self, fault: Arc<Fault>, stead: Option<usize>, seed: u64) -> FaultId {
        self.last_id += 1;
        let methods = fault.scope().methods;
        let mut live = Live::new(FaultId(self.last_id), fault, seed);
        let rank = live.rank();
        let before = stead.and_then(|place| Some((place, self.rows.get(place)?)));
        let place = match before.filter(|(_, row)| row.live.rank() == rank) {
            Some((place, row)) => {
                live.turn = row.live.turn;
                place + 1
            }
            None => self.rows.partition_point(|row| row.live.rank() <= rank),
        };
        let live = Arc::new(live);
        self.rows.insert(place, Row { live: Arc::clone(&live), methods });
        self.new.push(live);
        FaultId(self.last_id)
    }

    /// Where the very same stands already, if it does.
    fn goes_on(&mut self, fault: &Fault, namesake: Option<usize>) -> Option<usize> {
        match &mut self.nameless {
            Some(nameless) if fault.name().is_none() => {
                let line = FaultWords::whole(fault).line();
                let stands = nameless.iter().position(|(_, known)| *known == line)?;
                let (id, _) = nameless.remove(stands);
                self.find(|known| known.id == id)
            }
            applied => {
                // Set again by itself, one that has times begins anew.
                let timeless = applied.is_some() || fault.term() == Term::default();
                let words = FaultWords::whole;
                let is_same = |row: &Row| is_whole(row) && words(&row.live.fault) == words(fault);
                namesake.filter(|place| timeless && self.rows.get(*place).is_some_and(is_same))
            }
        }
    }

    /// The one that has the fault's name.
    fn namesake(&self, fault: &Fault) -> Option<usize> {
        let name = fault.name()?;
        self.find(|known| known.fault.name() == Some(name))
    }

    /// Of a condition without a name, the one of its kind and pattern without a name; of a latch, if that
    /// still waits: what has set in stays until it is cleared.
    fn like(&self, fault: &Fault) -> Option<usize> {
        let goes = |known: &Live| known.rank() != Rank::Latch || known.waits();
        self.find(|known| goes(known) && are_alike(&known.fault, fault))
    }

    fn find(&self, is_it: impl Fn(&Live) -> bool) -> Option<usize> {
        let in_force = |row: &Row| !row.methods.is_empty() && is_it(&row.live);
        self.rows.iter().position(in_force)
    }
}

/// Of what stands without a name, whole, that which these say in the same words, each for one of them.
fn going_on(rows: &[Row], faults: &[(Fault, Placement)]) -> Vec<(FaultId, String)> {
    let line = |fault: &Fault| FaultWords::whole(fault).line();
    let nameless = rows.iter().filter(|row| row.live.fault.name().is_none() && is_whole(row));
    let mut free: Vec<_> = nameless.map(|row| (row.live.id, line(&row.live.fault))).collect();
    let wanted = faults.iter().map(|(fault, _)| fault).filter(|fault| fault.name().is_none());
    let going = wanted.filter_map(|fault| {
        let wanted = line(fault);
        let place = free.iter().position(|(_, known)| *known == wanted)?;
        Some(free.remove(place))
    });
    going.collect()
}

/// Whether two without names are one condition, or one latch, of which the same paths may have one only.
fn are_alike(one: &Fault, other: &Fault) -> bool {
    let kind = |fault: &Fault| {
        fault.standing().filter(|_| !fault.is_automatic() && fault.name().is_none())?;
        fault.effects().first().map(|effect| effect.kind().name())
    };
    let pattern = |fault: &Fault| fault.scope().pattern.as_str().to_owned();
    kind(one).is_some() && kind(one) == kind(other) && pattern(one) == pattern(other)
}

/// The first two of a list of which the second would take the place of the first, without a name that says so.
#[must_use]
pub(crate) fn in_the_way(faults: &[&Fault]) -> Option<(usize, usize)> {
    let goes = |fault: &Fault| Rank::of(fault) != Rank::Latch || fault.waits();
    let standing = faults.iter().enumerate().filter(|(_, fault)| fault.standing().is_some());
    let standing: Vec<_> = standing.collect();
    standing.iter().enumerate().find_map(|(n, (place, fault))| {
        let mut before = standing.iter().take(n);
        let other = before.find(|(_, other)| goes(other) && are_alike(other, fault))?;
        Some((other.0, *place))
    })
}

/// Whether one in force has lost no method, and may still fire.
fn is_whole(row: &Row) -> bool {
    row.methods == row.live.fault.scope().methods && !row.live.is_spent()
}
