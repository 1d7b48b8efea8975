//! A fault in force: its identity, its counts, and its dice.
//!
//! Invariant: the methods of a live fault only ever shrink; without any, it is cleared for good.
//! Lock rule: the tally's lock is innermost and covers a few additions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::chance::{self, Chance, Dice, Draw};
use super::kinds::{Class, Effect, ReadPoint};
use super::operation::Operation;
use super::plan::{Hold, Plan};
use super::spec::Fault;
use crate::ops::{Call, MethodSet};

/// The number of a fault in one table, from 1, in the order they were put in force; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultId(pub u64);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How often a fault matched and fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) matched: u64,
    pub(super) fired: u64,
}

/// Where a fault on reads is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// Once for each read(2): of a cached file, at the GETATTR that comes before.
    Call,
    /// At each READ past the page cache: it looks at the bytes of the request.
    PastCache,
    /// At each READ that arrives, as a disk does.
    Arriving,
}

pub(super) struct Live {
    pub(super) id: FaultId,
    pub(super) fault: Arc<Fault>,
    /// When it was set.
    since: Instant,
    /// When its lifetime ends.
    pub(super) until: Option<Instant>,
    /// Operations on the delay line now.
    pub(super) held: AtomicU64,
    /// Files that are open past the page cache because of it.
    past_cache: AtomicU64,
    /// Operations that ended before their time because their callers left.
    pub(super) let_go: AtomicU64,
    /// Operations that it matched but for what its effects cannot act on.
    skipped: AtomicU64,
    methods: AtomicU64,
    /// Methods whose requests it must learn the outcome of.
    follows: MethodSet,
    reads: Reads,
    rank: Rank,
    /// Whether it has filters or phases.
    sifts: bool,
    chance: Chance,
    tally: Mutex<Tally>,
    dice: Dice,
}

/// One match on which a fault fired.
pub(super) struct Strike {
    /// Which one, counted from 0.
    n: u64,
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
        let follows = fault.effects().iter().map(|effect| effect.follows());
        Live {
            id,
            since,
            until: fault.term().end().and_then(|end| since.checked_add(end)),
            held: AtomicU64::new(0),
            past_cache: AtomicU64::new(0),
            let_go: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            methods: AtomicU64::new(fault.scope().methods.bits()),
            follows: follows.fold(MethodSet::EMPTY, MethodSet::union),
            reads: Reads::of(&fault),
            rank: Rank::of(&fault),
            sifts: !fault.scope().filters.is_none() || !fault.term().is_always_on(),
            chance: fault.chance(),
            tally: Mutex::default(),
            dice: Dice::new(seed, key),
            fault,
        }
    }

    /// Whether it has started, and is in no off phase.
    pub(super) fn is_on_now(&self) -> bool {
        self.fault.term().is_on(self.since.elapsed())
    }

    /// The methods it still has.
    pub(super) fn methods(&self) -> MethodSet {
        MethodSet::from_bits(self.methods.load(Ordering::Acquire))
    }

    /// Leaves it these methods. Only the table calls this, in turn.
    pub(super) fn reduce(&self, methods: MethodSet) {
        self.methods.store(methods.bits(), Ordering::Release);
    }

    /// Whether it is a fault, and neither condition nor latch.
    pub(super) fn is_fault(&self) -> bool {
        self.rank == Rank::Fault
    }

    pub(super) fn rank(&self) -> Rank {
        self.rank
    }

    /// Methods whose requests it must learn the outcome of.
    pub(super) fn follows(&self) -> MethodSet {
        self.follows
    }

    /// Of the methods that a request consults, those that are to be decided at it.
    pub(super) fn decided_at(&self, op: &Operation<'_>, methods: MethodSet) -> MethodSet {
        let elsewhere = match self.reads {
            Reads::Call => op.is_announced,
            Reads::PastCache => op.is_paged || op.call == Call::GetattrHandle,
            Reads::Arriving => op.call == Call::GetattrHandle,
        };
        if elsewhere { methods.minus(Call::Read.methods()) } else { methods }
    }

    /// Of these methods those for which the kernel must not answer by itself: a read of a cached
    /// file is decided when the kernel asks for attributes before it. What stands, as a disk does,
    /// concerns only what arrives.
    pub(super) fn hidden_by_caches(&self, methods: MethodSet) -> MethodSet {
        match self.reads {
            Reads::Call => methods,
            Reads::PastCache => methods.minus(Call::Read.methods()),
            Reads::Arriving => MethodSet::EMPTY,
        }
    }

    /// Whether files that are opened while it concerns their reads are to go past the page cache.
    pub(super) fn opens_past_cache(&self) -> bool {
        self.reads != Reads::Arriving
    }

    /// How many operations it holds now.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// How many files are open past the page cache because of it, also when it has gone.
    pub(super) fn past_cache(&self) -> u64 {
        self.past_cache.load(Ordering::Relaxed)
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
        let chance = &self.chance;
        let mut tally = self.tally.lock();
        if chance.count.is_some_and(|count| tally.fired >= count.get()) {
            return None;
        }
        let n = tally.matched;
        tally.matched += 1;
        if !chance.hits(n, Draw::new(self.dice, n)) {
            return None;
        }
        tally.fired += 1;
        Some(Strike { n, last: chance.count.is_some_and(|count| tally.fired >= count.get()) })
    }

    /// What it does to an operation that it fired on.
    #[inline]
    pub(super) fn plan(&self, op: &Operation<'_>, strike: &Strike, plan: &mut Plan) {
        for effect in self.fault.effects() {
            effect.plan(op, &Draw::new(self.dice, strike.n), plan);
        }
        if self.sifts && plan.before == Hold::UntilCleared {
            let left = self.fault.term().left_of_phase(self.age(op));
            if let Some(left) = left {
                // It lets go then, as if it were cleared: what else the fault asks is void.
                let before = Hold::for_time(op.arrived(), left);
                *plan = Plan { before, ..Plan::default() };
            }
        }
    }

    /// Whether its filters let the operation through, and it is on.
    #[cold]
    fn is_sifted(&self, op: &Operation<'_>) -> bool {
        let term = self.fault.term();
        self.fault.scope().filters.admit(op) && (term.is_always_on() || term.is_on(self.age(op)))
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

    /// How many operations it let go before their time.
    pub(super) fn let_go(&self) -> u64 {
        self.let_go.load(Ordering::Relaxed)
    }

    /// How many operations it skipped.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

impl Reads {
    fn of(fault: &Fault) -> Reads {
        let mut points = fault.effects().iter().map(|effect| effect.kind().read_point());
        match () {
            () if fault.standing().is_some() => Reads::Arriving,
            () if fault.scope().filters.look_at_bytes() => Reads::PastCache,
            () if points.any(|point| point == ReadPoint::Request) => Reads::PastCache,
            () => Reads::Call,
        }
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

#[cfg(test)]
mod sieve;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU64;
    use std::sync::Barrier;

    use proptest::prelude::*;

    use super::*;
    use crate::fault::testing::{self, fault};
    use crate::fault::words::Errno;
    use crate::fault::{Chance, Probability};

    fn live(fault: Fault, seed: u64) -> Arc<Live> {
        Arc::new(Live::new(FaultId(1), Arc::new(fault), seed))
    }

    fn strikes(live: &Arc<Live>, n: usize) -> Vec<Option<Errno>> {
        (0..n).map(|_| testing::strike(live, Call::Write, 0).and_then(|hit| hit.errno())).collect()
    }

    #[test]
    fn same_seed_same_outcomes_other_seed_others() {
        let make = |seed| live(fault("error random -m all -p 50%"), seed);
        let first = strikes(&make(1), 1000);
        assert_eq!(first, strikes(&make(1), 1000));
        assert_ne!(first, strikes(&make(2), 1000));
        let other = Live::new(FaultId(2), Arc::clone(&make(1).fault), 1);
        assert_ne!(first, strikes(&Arc::new(other), 1000));
    }

    #[test]
    fn after_then_count_bound_the_firings() {
        let live = live(fault("error EIO -m all --after 2 --count 3"), 1);
        let fired: Vec<bool> =
            (0..7).map(|_| testing::strike(&live, Call::Write, 0).is_some()).collect();
        assert_eq!(fired, [false, false, true, true, true, false, false]);
        assert_eq!(live.tally(), Tally { matched: 5, fired: 3 });
        assert!(live.is_spent());
    }

    #[test]
    fn one_in_a_hundred_is_one_in_a_hundred() {
        for seed in 0..20 {
            let live = live(fault("error EIO -m all -p 1%"), seed);
            strikes(&live, 100_000);
            // Mean 1,000, standard deviation 31.
            assert!((840..1160).contains(&live.tally().fired), "{seed}: {:?}", live.tally());
        }
    }

    #[test]
    fn outcomes_do_not_depend_on_threads() {
        let make = || live(fault("error random -m all -p 30% --count 500"), 42);
        let tallied = |outcomes: Vec<Option<Errno>>| {
            let mut counts = BTreeMap::new();
            outcomes.into_iter().flatten().for_each(|e| *counts.entry(e).or_insert(0) += 1);
            counts
        };
        let alone = make();
        let expected = tallied(strikes(&alone, 4000));
        let shared = make();
        let start = Barrier::new(4);
        let got = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        strikes(&shared, 1000)
                    })
                })
                .collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(tallied(got), expected);
        assert_eq!(shared.tally(), alone.tally());
    }

    proptest! {
        #[test]
        fn tally_never_exceeds_count(
            count in 1u64..50, after in 0u64..50, fraction in 0.0..=1.0f64, n in 0usize..200,
        ) {
            let fault = fault("error EIO -m all");
            let probability = Probability::from_fraction(fraction).unwrap();
            let most = NonZeroU64::new(count);
            let chance = Chance { probability, after, count: most, ..Chance::default() };
            let live = live(fault.with_chance(chance).unwrap(), 7);
            strikes(&live, n);
            let tally = live.tally();
            prop_assert!(tally.fired <= count);
            prop_assert!(tally.fired <= tally.matched.saturating_sub(after));
            prop_assert!(tally.matched <= n as u64);
        }
    }
}
