//! The question every operation asks: is anything wrong with me?
//!
//! Unarmed, the answer is one relaxed load. Armed, those that match are asked in order; `subject` finds
//! them.
//! Lock rule: no lock but a fault's tally, and that only where a path matches.

use std::sync::Arc;

use super::firing::{Firing, Hit};
use super::id::FaultId;
use super::injections::Injections;
use super::live::{Live, PastCache, Rank, Strike};
use super::mask::Mask;
use super::operation::Operation;
use super::rolled::Rolled;
use super::snapshot::{Row, Snapshot};
use super::subject::{Known, Subject, is_free, known, with_matches};
use super::table::FaultTable;
use super::trace::Tracing;
use crate::ops::{Call, MethodSet};

/// The question, over a table.
#[derive(Clone)]
pub struct Gate {
    table: Arc<FaultTable>,
}

impl Gate {
    /// A gate over this table.
    #[must_use]
    pub fn new(table: Arc<FaultTable>) -> Gate {
        Gate { table }
    }

    /// Gives back memory of faults that have gone.
    pub(crate) fn shrink(&self) {
        self.table.shrink();
    }

    /// What is looked at: one relaxed load.
    #[inline]
    #[must_use]
    pub(crate) fn mask(&self) -> Mask {
        self.table.mask()
    }

    /// The trace of what operations meet.
    #[must_use]
    pub fn trace(&self) -> Tracing<'_> {
        self.table.trace()
    }

    /// What faults have made of bytes.
    #[must_use]
    pub(crate) fn injections(&self) -> Injections<'_> {
        self.table.injections()
    }

    /// Whether any of these methods has a fault. If not, there is nothing to decide.
    #[inline]
    #[must_use]
    pub fn armed(&self, methods: MethodSet) -> bool {
        self.mask().methods().intersects(methods)
    }

    /// Has every operation timed from now on, not only those while a fault is set.
    pub(crate) fn time_all(&self) {
        self.table.time_all();
    }

    /// Has every operation looked at from now on, as each is logged.
    pub(crate) fn log_all(&self) {
        self.table.log_all();
    }

    /// Whether it is remembered that no fault matches the subject.
    #[inline]
    #[must_use]
    pub(crate) fn matches_none(&self, subject: &dyn Subject) -> bool {
        is_free(self.table.version(), subject)
    }

    /// Counts the operation and rolls the dice, for each fault in order that matches one of its
    /// subjects: at most once per fault. What stands adds up; the first fault that fires ends it. Returns
    /// what fired, or None.
    #[must_use]
    pub fn decide(&self, subjects: &[&dyn Subject], op: &Operation<'_>) -> Option<Hit> {
        self.decide_by(subjects, op, |live| live.strike(op))
    }

    /// The same for one of several operations that are one system call: the faults in `rolled` have
    /// had their turn in it; those that now do join them. What stands is asked each time.
    #[must_use]
    pub(crate) fn decide_once(
        &self,
        subjects: &[&dyn Subject],
        op: &Operation<'_>,
        rolled: &mut Rolled,
    ) -> Option<Hit> {
        let decided = rolled.decided(subjects);
        self.decide_by(subjects, op, |live| match live.is_fault() {
            true => rolled.roll(live, op, decided),
            false => live.strike(op),
        })
    }

    /// The same for one that goes on with a call for which faults were asked already: only what
    /// stands is. Of an operation that is repeated, `before` is the outcome then, unless what stands
    /// answers.
    #[must_use]
    pub(crate) fn decide_standing(
        &self,
        subjects: &[&dyn Subject],
        op: &Operation<'_>,
        before: Option<Hit>,
    ) -> Option<Hit> {
        let roll = |live: &Arc<Live>| if live.is_fault() { None } else { live.strike(op) };
        match (self.decide_by(subjects, op, roll), before) {
            (Some(mut hit), Some(before)) => {
                if hit.errno().is_none() {
                    hit.join(before);
                }
                Some(hit)
            }
            (hit, before) => hit.or(before),
        }
    }

    /// Those that follow an operation which nobody asked for: nothing is done to it, and nobody counts it.
    #[must_use]
    pub(crate) fn followers(&self, subject: &dyn Subject, op: &Operation<'_>) -> Option<Hit> {
        self.decide_by(&[subject], op, |_| None)
    }

    fn decide_by(
        &self,
        subjects: &[&dyn Subject],
        op: &Operation<'_>,
        roll: impl FnMut(&Arc<Live>) -> Option<Strike>,
    ) -> Option<Hit> {
        let version = self.table.version();
        let known = match subjects {
            [subject] => known(version, *subject),
            _ => None,
        };
        let free = match known {
            Some(known) => known.place.is_none(),
            None => subjects.iter().all(|subject| is_free(version, *subject)),
        };
        if free {
            return None;
        }
        let mut hit = None;
        self.ask(&mut hit, Asked { subjects, known, op }, roll);
        // Where nothing has fired, no room is moved for a hit.
        hit.as_mut()?.find_victim(op);
        hit
    }

    fn ask(
        &self,
        hit: &mut Option<Hit>,
        asked: Asked<'_>,
        roll: impl FnMut(&Arc<Live>) -> Option<Strike>,
    ) {
        let snapshot = self.table.snapshot();
        let spent = match snapshot.is_watched() {
            false => ask_by(&snapshot, hit, asked, roll),
            true => self.ask_in_turn(&snapshot, hit, asked, roll),
        };
        if spent {
            self.retire(hit.as_ref());
        }
    }

    /// The same while something is to be done at a firing. What takes a system call comes before the turn
    /// or after it.
    #[cold]
    fn ask_in_turn(
        &self,
        before: &Snapshot,
        hit: &mut Option<Hit>,
        asked: Asked<'_>,
        roll: impl FnMut(&Arc<Live>) -> Option<Strike>,
    ) -> bool {
        if before.asks_for_process() {
            asked.op.pid();
        }
        if before.asks_for_end(asked.op) {
            asked.op.end_of_source();
        }
        let mut spent = false;
        self.table.in_turn(hit, |now, hit| spent = ask_by(now, hit, asked, roll));
        spent
    }

    /// That one has done what it does once: it leaves the table.
    pub(crate) fn spend(&self, fault: FaultId) {
        self.table.retire(fault);
    }

    /// Those that have fired for the last time leave the table.
    #[cold]
    fn retire(&self, hit: Option<&Hit>) {
        let firings = hit.into_iter().flat_map(Hit::firings);
        firings.filter(|firing| firing.last).for_each(|firing| self.table.retire(firing.live.id));
    }

    /// Whether a fault could fire on the operation so that the kernel must not answer it by itself:
    /// one that is not spent, on its methods and path. Counts nothing and rolls no dice.
    #[must_use]
    pub(crate) fn concerns(&self, subjects: &[&dyn Subject]) -> bool {
        let hidden = |live: &Live, methods| live.reads().hidden_by_caches(methods);
        subjects.iter().any(|subject| self.concerning(*subject, hidden, |_| ()).is_some())
    }

    /// Counts an open file with the first fault that wants its reads past the page cache.
    #[must_use]
    pub(crate) fn past_cache(&self, subject: &dyn Subject) -> Option<PastCache> {
        let wanted = |live: &Live, methods| match live.reads().opens_past_cache() {
            true => methods,
            false => MethodSet::EMPTY,
        };
        self.concerning(subject, wanted, PastCache::new)
    }

    fn concerning<T>(
        &self,
        subject: &dyn Subject,
        of: impl Fn(&Live, MethodSet) -> MethodSet,
        then: impl FnOnce(&Arc<Live>) -> T,
    ) -> Option<T> {
        let methods = subject.methods();
        if !self.armed(methods) {
            return None;
        }
        let snapshot = self.table.snapshot();
        with_matches(&snapshot, subject, |places| {
            let mut rows = places.iter().filter_map(|place| snapshot.rows.get(*place));
            let could_fire =
                |row: &&Row| row.methods.intersects(of(&row.live, methods)) && !row.live.is_spent();
            rows.find(could_fire).map(|row| then(&row.live))
        })
    }
}

/// What is asked about.
#[derive(Clone, Copy)]
struct Asked<'a> {
    subjects: &'a [&'a dyn Subject],
    /// What is remembered to match, if there is one subject.
    known: Option<Known>,
    op: &'a Operation<'a>,
}

/// Asks those of a snapshot that match; whether one has fired for the last time.
#[inline]
fn ask_by(
    snapshot: &Snapshot,
    hit: &mut Option<Hit>,
    Asked { subjects, known, op }: Asked<'_>,
    roll: impl FnMut(&Arc<Live>) -> Option<Strike>,
) -> bool {
    let mut decision = Decision { op, snapshot, roll, hit, ended: None, spent: false };
    if let [subject] = subjects {
        let methods = subject.methods();
        if let Some(known) = known.filter(|known| known.version == snapshot.version()) {
            decision.ask_all(known.place.map(|place| (place, methods)), methods);
            return decision.spent;
        }
        with_matches(snapshot, *subject, |places| {
            decision.ask_all(places.iter().map(|place| (*place, methods)), methods);
        });
    } else {
        let all = subjects.iter().map(|subject| subject.methods());
        let all = all.fold(MethodSet::EMPTY, MethodSet::union);
        decision.ask_all(matches_of_all(snapshot, subjects, op), all);
    }
    decision.spent
}

/// What is decided about one operation, fault by fault.
struct Decision<'a, R> {
    op: &'a Operation<'a>,
    snapshot: &'a Snapshot,
    roll: R,
    hit: &'a mut Option<Hit>,
    /// After this rank nobody is asked, within it if it is that of faults; those that follow still
    /// learn of it.
    ended: Option<Rank>,
    /// One has fired for the last time.
    spent: bool,
}

impl<R: FnMut(&Arc<Live>) -> Option<Strike>> Decision<'_, R> {
    /// Asks those at these places, ascending, each with the methods that it matches; `all` are the
    /// operation's.
    #[inline]
    fn ask_all(&mut self, places: impl IntoIterator<Item = (usize, MethodSet)>, all: MethodSet) {
        let followed = self.snapshot.follows.intersects(all);
        for (place, methods) in places {
            let Some(row) = self.snapshot.rows.get(place) else { continue };
            if !followed && self.is_over(row.live.rank()) {
                return;
            }
            self.ask(row, methods);
        }
    }

    fn is_over(&self, rank: Rank) -> bool {
        self.ended.is_some_and(|ended| ended < rank || ended == Rank::Fault)
    }

    #[inline]
    fn ask(&mut self, Row { live, methods: own }: &Row, methods: MethodSet) {
        let consulted = own.intersects(live.reads().decided_at(self.op, methods));
        let asked = consulted && !self.is_over(live.rank());
        let strike = if asked { (self.roll)(live) } else { None };
        // It may come to have what a rename moves, though it matches neither of the names.
        let moves = methods.is_empty() && self.op.call == Call::Rename;
        if strike.is_none() && !moves && !live.follows().intersects(methods) {
            return;
        }
        let limits = moves && !self.is_over(live.rank()) && live.limits(self.op, *own);
        // Each is made where it stays.
        let firing = || Firing::new(live, strike.as_ref(), methods);
        let hit = match &mut *self.hit {
            Some(hit) => {
                hit.add(firing());
                hit
            }
            none => none.insert(Hit::new(firing(), self.op)),
        };
        if limits {
            hit.limit();
        }
        if let Some(strike) = strike {
            self.ended = self.ended.or(hit.fire(self.op, &strike).ends());
            self.spent |= strike.last;
        }
    }
}

/// The places whose pattern matches any of the subjects, ascending, each once, with the methods of
/// the subjects it matches. Who counts the space of some files is told of every rename: what is in a
/// directory may be among them where its own paths are not. It then has no methods.
fn matches_of_all(
    snapshot: &Snapshot,
    subjects: &[&dyn Subject],
    op: &Operation<'_>,
) -> Vec<(usize, MethodSet)> {
    let mut matches: Vec<(usize, MethodSet)> = Vec::new();
    if op.call == Call::Rename {
        let rows = snapshot.rows.iter().enumerate();
        let counting = rows.filter(|(_, row)| row.live.counts_some());
        matches.extend(counting.map(|(place, _)| (place, MethodSet::EMPTY)));
    }
    for subject in subjects {
        let methods = subject.methods();
        with_matches(snapshot, *subject, |places| {
            matches.extend(places.iter().map(|place| (*place, methods)));
        });
    }
    matches.sort_unstable_by_key(|(place, _)| *place);
    matches.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.union(next.1);
        }
        same
    });
    matches
}

#[cfg(test)]
mod tests;
