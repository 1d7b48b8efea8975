//! A fault in force: its identity, its counts, and its dice.
//!
//! Invariant: the methods of a live fault only ever shrink; without any, it is cleared for good.
//! Lock rule: the tally's lock is innermost and covers a few additions. A condition keeps it while it
//! charges, so that its requests take their turns in the order of their numbers; the effect's own lock lies
//! within.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::chance::{self, Chance, Dice, Draw};
use super::holding::{Holding, MostHeld};
use super::id::FaultId;
use super::kinds::{Begun, Class, Effect};
use super::operation::Operation;
use super::places::Places;
use super::plan::{Hold, Plan};
use super::reads::Reads;
use super::spec::Fault;
use super::timetable::Timetable;
use crate::ops::MethodSet;

/// How often a fault matched and fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) matched: u64,
    pub(super) fired: u64,
}

pub(super) struct Live {
    pub(super) id: FaultId,
    /// Its turn among those of its rank: the number of the first whose place it takes, or its own.
    pub(super) turn: FaultId,
    pub(super) fault: Arc<Fault>,
    /// When it was set.
    pub(super) since: Instant,
    /// When its lifetime ends.
    pub(super) until: Option<Instant>,
    /// Operations on the delay line now.
    holding: Arc<Holding>,
    /// Files that are open past the page cache because of it.
    past_cache: AtomicU64,
    /// Operations that ended before their time because their callers left.
    pub(super) let_go: AtomicU64,
    /// Operations that it matched but for what its effects cannot act on.
    skipped: AtomicU64,
    /// Requests that its filters could not judge: they ask for a process, and it cannot be seen.
    unseen: AtomicU64,
    methods: Arc<AtomicU64>,
    /// Held once by each outcome that is kept for the case that the kernel repeats its operation.
    repeats: Arc<()>,
    /// Methods whose requests it must learn the outcome of.
    follows: MethodSet,
    reads: Reads,
    rank: Rank,
    /// Whether it has filters, a start or phases.
    sifts: bool,
    /// Whether it has phases or a ramp.
    is_paced: bool,
    timetable: Timetable,
    chance: Chance,
    tally: Mutex<Tally>,
    /// A latch has set in. Set with the tally's lock.
    has_set_in: AtomicBool,
    /// How often it matched in each place, if it draws by that.
    places: Mutex<Places>,
    dice: Dice,
}

/// One match on which a fault fired.
pub(super) struct Strike {
    /// Which one, counted from 0.
    pub(super) n: u64,
    /// The fault may not fire any more.
    pub(super) last: bool,
}

/// In which order those that match an operation are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Latch,
    Condition,
    Fault,
}

impl Rank {
    pub(super) fn of(fault: &Fault) -> Rank {
        match fault.standing() {
            Some(Class::Latch) => Rank::Latch,
            Some(_) => Rank::Condition,
            None => Rank::Fault,
        }
    }
}

impl Live {
    pub(super) fn new(id: FaultId, fault: Arc<Fault>, seed: u64) -> Live {
        let since = Instant::now();
        let key = fault.name().map_or(id.0, |name| chance::key(name.as_str()));
        let dice = Dice::new(seed, key);
        let everywhere = fault.pattern().as_str().is_empty();
        let methods = fault.scope().methods;
        let begun = Begun { draw: Draw::new(dice, 0), everywhere, methods };
        fault.effects().iter().for_each(|effect| effect.begins(&begun));
        let follows = fault.effects().iter().map(|effect| effect.follows());
        Live {
            id,
            turn: id,
            since,
            until: fault.term().end().and_then(|end| since.checked_add(end)),
            holding: Arc::default(),
            past_cache: AtomicU64::new(0),
            let_go: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            unseen: AtomicU64::new(0),
            methods: Arc::new(AtomicU64::new(fault.scope().methods.bits())),
            repeats: Arc::default(),
            follows: follows.fold(MethodSet::EMPTY, MethodSet::union),
            reads: Reads::of(&fault),
            rank: Rank::of(&fault),
            sifts: !fault.scope().filters.is_none() || !fault.term().is_always_on(),
            is_paced: fault.term().is_paced(),
            timetable: Timetable::new(fault.term(), dice),
            chance: fault.chance(),
            tally: Mutex::default(),
            has_set_in: AtomicBool::new(false),
            places: Mutex::default(),
            dice,
            fault,
        }
    }

    /// Whether it has started, and is in no off phase; a latch, whether it has set in.
    pub(super) fn is_on_now(&self) -> bool {
        !self.waits() && self.timetable.is_on(self.since.elapsed())
    }

    /// The methods it still has.
    pub(super) fn methods(&self) -> MethodSet {
        MethodSet::from_bits(self.methods.load(Ordering::Acquire))
    }

    /// The same for who is not to keep the fault.
    pub(super) fn left(&self) -> Left {
        Left(Arc::downgrade(&self.methods))
    }

    /// Leaves it these methods. Only the table calls this, in turn.
    pub(super) fn reduce(&self, methods: MethodSet) {
        self.methods.store(methods.bits(), Ordering::Release);
    }

    /// Whether it is a fault, and neither condition nor latch.
    pub(super) fn is_fault(&self) -> bool {
        self.rank == Rank::Fault
    }

    /// Whether it is replaced and cleared by its methods.
    pub(super) fn goes_by_methods(&self) -> bool {
        self.is_fault() || self.fault.is_automatic()
    }

    pub(super) fn rank(&self) -> Rank {
        self.rank
    }

    /// Methods whose requests it must learn the outcome of.
    pub(super) fn follows(&self) -> MethodSet {
        self.follows
    }

    /// Where its reads are decided.
    pub(super) fn reads(&self) -> Reads {
        self.reads
    }

    /// How many operations it holds now.
    pub(super) fn held(&self) -> u64 {
        self.holding.now()
    }

    /// One operation more, or less.
    pub(super) fn holding(&self) -> &Holding {
        &self.holding
    }

    /// The most that it holds at once from now on, for who is not to keep the fault.
    pub(super) fn watch_held(&self) -> MostHeld {
        Arc::clone(&self.holding).watch()
    }

    /// How many files are open past the page cache because of it, also when it has gone.
    pub(super) fn past_cache(&self) -> u64 {
        self.past_cache.load(Ordering::Relaxed)
    }

    /// Counts an outcome that is kept as long as what this returns: of an operation that is done, so
    /// that nothing is held any more or will be.
    pub(super) fn repeat(&self) -> Arc<()> {
        Arc::clone(&self.repeats)
    }

    /// How many such outcomes there are.
    pub(super) fn repeats(&self) -> u64 {
        u64::try_from(Arc::strong_count(&self.repeats).saturating_sub(1)).unwrap_or(u64::MAX)
    }

    pub(super) fn tally(&self) -> Tally {
        *self.tally.lock()
    }

    /// Whether it has fired as often as it may; then it matches nothing any more, and its table is
    /// about to let it go.
    pub(super) fn is_spent(&self) -> bool {
        self.fault.chance().count.is_some_and(|count| self.tally.lock().fired >= count.get())
    }

    /// One operation on its methods and paths: sifts, counts and rolls the dice. What the n-th match
    /// gets depends on seed, id and n alone; counting and deciding are one step, so that this holds
    /// for the firings that `count` admits as well.
    #[inline]
    pub(super) fn strike(&self, op: &Operation<'_>) -> Option<Strike> {
        if self.sifts && !self.is_sifted(op) || !self.applies(op) {
            return None;
        }
        if self.rank != Rank::Fault {
            // It counts when it says what it does.
            return Some(Strike { n: 0, last: false });
        }
        let chance = &self.chance;
        let stable = chance.stable.then(|| self.place(op));
        let mut tally = self.tally.lock();
        if chance.count.is_some_and(|count| tally.fired >= count.get()) {
            return None;
        }
        let n = stable.unwrap_or(tally.matched);
        tally.matched += 1;
        if !chance.hits(n, Draw::new(self.dice, n)) {
            return None;
        }
        tally.fired += 1;
        Some(Strike { n, last: chance.count.is_some_and(|count| tally.fired >= count.get()) })
    }

    /// What an operation is drawn for by its place.
    #[cold]
    fn place(&self, op: &Operation<'_>) -> u64 {
        let place = chance::place(&op.path(), op.span.map_or(0, |span| span.offset));
        chance::nth_at(place, self.places.lock().next(place))
    }

    /// What it does to an operation that it fired on: the number of that match, none of a latch that has
    /// yet to set in; and whether that is anything. What a condition or latch does nothing to passes.
    #[inline]
    pub(super) fn plan(
        &self,
        op: &Operation<'_>,
        strike: &Strike,
        plan: &mut Plan,
    ) -> (Option<u64>, bool) {
        let (n, acts) = match self.rank {
            Rank::Latch if !self.sets_in(op) => return (None, false),
            Rank::Latch | Rank::Condition => self.charge(op, plan),
            Rank::Fault => {
                self.act(op, strike.n, plan);
                (strike.n, true)
            }
        };
        if acts && self.is_paced {
            self.pace(op, plan);
        }
        (Some(n), acts)
    }

    #[inline]
    fn act(&self, op: &Operation<'_>, n: u64, plan: &mut Plan) {
        for effect in self.fault.effects() {
            effect.plan(op, &Draw::new(self.dice, n), plan);
        }
    }

    /// What its phases and its ramp make of that, by the time of arrival.
    #[cold]
    fn pace(&self, op: &Operation<'_>, plan: &mut Plan) {
        let age = self.age(op);
        if let Some(factor) = self.timetable.factor(age) {
            plan.stretch(op.arrived(), factor);
        }
        if plan.before == Hold::UntilCleared
            && let Some(left) = self.timetable.left_of_phase(age)
        {
            // It lets go then, as if it were cleared: what else the fault asks is void.
            let before = Hold::for_time(op.arrived(), left);
            *plan = Plan { before, ..Plan::default() };
        }
    }

    /// Whether its filters let the operation through, and it is on.
    #[cold]
    fn is_sifted(&self, op: &Operation<'_>) -> bool {
        let (filters, always) = (&self.fault.scope().filters, self.fault.term().is_always_on());
        if filters.miss(op) {
            self.unseen.fetch_add(1, Ordering::Relaxed);
        }
        filters.admit(op) && (always || self.timetable.is_on(self.age(op)))
    }

    /// How long it had been set when the operation arrived.
    fn age(&self, op: &Operation<'_>) -> Duration {
        op.arrived().saturating_duration_since(self.since)
    }

    /// Whether its effects can act on the operation; counts it if not.
    #[inline]
    fn applies(&self, op: &Operation<'_>) -> bool {
        let effects = self.fault.effects();
        let unfit = effects.iter().find(|effect| !effect.applies(op));
        unfit.is_none_or(|unfit| self.skip(unfit.as_ref()))
    }

    #[cold]
    fn skip(&self, unfit: &dyn Effect) -> bool {
        if !self.is_spent() && self.skipped.fetch_add(1, Ordering::Relaxed) == 0 {
            let (kind, which) = (unfit.kind().name(), unfit.skips());
            tracing::warn!("fault {}, a {kind}, skips operations {which}", self.id);
        }
        false
    }

    /// How many requests its filters could not judge, as their processes cannot be seen.
    pub(super) fn unseen(&self) -> u64 {
        self.unseen.load(Ordering::Relaxed)
    }

    /// How many operations it let go before their time.
    pub(super) fn let_go(&self) -> u64 {
        self.let_go.load(Ordering::Relaxed)
    }

    /// How many operations it skipped.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

/// What a fault has left, also when nobody keeps the fault itself any more.
pub(super) struct Left(Weak<AtomicU64>);

impl Left {
    /// Whether it has no methods, or has gone for good.
    pub(super) fn is_none(&self) -> bool {
        self.0.upgrade().is_none_or(|methods| methods.load(Ordering::Acquire) == 0)
    }
}

/// A file that was opened past the page cache because of a fault, and stays so: counted with the
/// fault until it is dropped.
pub struct PastCache(Arc<Live>);

impl PastCache {
    pub(super) fn new(live: &Arc<Live>) -> PastCache {
        live.past_cache.fetch_add(1, Ordering::Relaxed);
        PastCache(Arc::clone(live))
    }
}

impl Drop for PastCache {
    fn drop(&mut self) {
        self.0.past_cache.fetch_sub(1, Ordering::Relaxed);
    }
}

mod charge;
mod latch;
#[cfg(test)]
mod sieve;
#[cfg(test)]
mod tests;
