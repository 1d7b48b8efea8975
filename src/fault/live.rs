//! A fault in force: its identity, its counts, and its dice.
//!
//! Invariant: the methods of a live fault only ever shrink; without any, it is cleared for good.
//! Lock rule: the tally's lock is innermost and covers a few additions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::chance::{Dice, Draw, Purpose};
use super::tuple::{Delay, Fault};
use super::words::Errno;
use crate::ops::{Call, MethodSet};
use crate::sys::process::{self, Process};

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

pub(super) struct Live {
    pub(super) id: FaultId,
    pub(super) fault: Arc<Fault>,
    /// When its lifetime ends.
    pub(super) until: Option<Instant>,
    /// Operations on the delay line now.
    pub(super) held: AtomicU64,
    /// Files that are open past the page cache because of it.
    past_cache: AtomicU64,
    /// Operations that ended before their time because their callers left.
    pub(super) let_go: AtomicU64,
    /// Operations that it would have matched if it could kill their callers.
    skipped: AtomicU64,
    methods: AtomicU64,
    tally: Mutex<Tally>,
    dice: Dice,
}

impl Live {
    pub(super) fn new(id: FaultId, fault: Arc<Fault>, seed: u64) -> Live {
        Live {
            id,
            until: fault.lifetime().and_then(|lifetime| Instant::now().checked_add(lifetime)),
            held: AtomicU64::new(0),
            past_cache: AtomicU64::new(0),
            let_go: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            methods: AtomicU64::new(fault.methods().bits()),
            tally: Mutex::default(),
            dice: Dice::new(seed, id.0),
            fault,
        }
    }

    /// The methods it still has.
    pub(super) fn methods(&self) -> MethodSet {
        MethodSet::from_bits(self.methods.load(Ordering::Acquire))
    }

    /// Leaves it these methods. Only the table calls this, in turn.
    pub(super) fn reduce(&self, methods: MethodSet) {
        self.methods.store(methods.bits(), Ordering::Release);
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
        self.fault.count().is_some_and(|count| self.tally.lock().fired >= count.get())
    }

    /// One matching operation: counts it and rolls the dice. What the n-th one gets depends on
    /// seed, id and n alone; counting and deciding are one step, so that this holds for the
    /// firings that `count` admits as well.
    ///
    /// A fault that kills matches only operations of callers that can be killed: those of the
    /// kernel itself (write-back, release) would spend it on nothing.
    pub(super) fn strike(self: &Arc<Self>, methods: MethodSet, caller: u32) -> Option<Hit> {
        let process = if self.fault.kill() { Some(self.victim(caller)?) } else { None };
        let (n, last) = {
            let mut tally = self.tally.lock();
            let count = self.fault.count();
            if count.is_some_and(|count| tally.fired >= count.get()) {
                return None;
            }
            let n = tally.matched;
            tally.matched += 1;
            if n < self.fault.after()
                || !self.fault.probability().hit_by(Draw::new(self.dice, n).bits(Purpose::Fire))
            {
                return None;
            }
            tally.fired += 1;
            (n, count.is_some_and(|count| tally.fired >= count.get()))
        };
        let errno = self.fault.errnos().pick(Draw::new(self.dice, n).bits(Purpose::Errno));
        Some(Hit { live: Arc::clone(self), methods, caller, process, errno, last, repeated: false })
    }

    /// The process that a firing would kill.
    fn victim(&self, caller: u32) -> Option<Process> {
        if self.is_spent() {
            return None;
        }
        let victim = process::victim(caller);
        if victim.is_none() && self.skipped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "fault {}, a kill, skips operations without a caller that it can kill: those of the \
                 kernel itself, of pid 1, of this daemon, and of pid namespaces that it cannot see",
                self.id
            );
        }
        victim
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

/// A fault that fired on one operation, and what it does to it: first the delay, then the kill,
/// then the errno or else the operation.
pub struct Hit {
    live: Arc<Live>,
    /// The operation's methods, of the paths that matched.
    methods: MethodSet,
    caller: u32,
    /// The caller's process, once it was looked for.
    process: Option<Process>,
    errno: Option<Errno>,
    /// The fault may not fire any more.
    last: bool,
    /// Of an operation that the kernel repeats: only its outcome counts.
    repeated: bool,
}

impl Hit {
    /// The same outcome once more, of the same operation that the kernel repeats after it failed: at
    /// once, and without another kill.
    #[must_use]
    pub fn repeat(&self) -> Hit {
        Hit { live: Arc::clone(&self.live), repeated: true, ..*self }
    }

    /// Whether it is such a repetition.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// The fault.
    #[must_use]
    pub fn id(&self) -> FaultId {
        self.live.id
    }

    /// How long to hold the operation, from its arrival.
    #[must_use]
    pub fn delay(&self) -> Option<Delay> {
        self.live.fault.delay().filter(|_| !self.repeated)
    }

    /// What it then fails with; else it goes on.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// Whether to kill the caller after the delay.
    #[must_use]
    pub fn kill(&self) -> bool {
        self.live.fault.kill() && !self.repeated
    }

    /// The thread that asked for the operation; 0 if unknown.
    #[must_use]
    pub fn caller(&self) -> u32 {
        self.caller
    }

    /// Whether it has spent its fault.
    pub(super) fn is_last(&self) -> bool {
        self.last
    }

    /// The process of that thread, as it was when the operation came. None if it was not looked for
    /// (nothing is held, nobody killed) or not found.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        self.process
    }

    pub(super) fn know_caller(&mut self, process: Process) {
        self.process = Some(process);
    }

    /// Whether it is a read or a write without a known caller: somebody may wait for it who does not
    /// show, as for the kernel's own write-back.
    pub(super) fn is_nobodys(&self) -> bool {
        let data = Call::Read.methods().union(Call::Write.methods());
        self.process.is_none() && self.methods.intersects(data)
    }

    /// Process and thread of the caller, if they are known.
    pub(super) fn known_caller(&self) -> Option<(Process, u32)> {
        self.process.map(|process| (process, self.caller))
    }

    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Whether the fault still has a method of this operation.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live.methods().intersects(self.methods)
    }
}

impl fmt::Debug for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hit")
            .field("id", &self.live.id.0)
            .field("methods", &self.methods)
            .field("caller", &self.caller)
            .field("errno", &self.errno)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU64;
    use std::sync::Barrier;

    use proptest::prelude::*;

    use super::*;
    use crate::fault::{Errnos, Probability};

    fn live(fault: Fault, seed: u64) -> Arc<Live> {
        Arc::new(Live::new(FaultId(1), Arc::new(fault), seed))
    }

    fn fault() -> Fault {
        Fault::on(MethodSet::ALL).unwrap()
    }

    fn strikes(live: &Arc<Live>, n: usize) -> Vec<Option<Errno>> {
        (0..n).map(|_| live.strike(MethodSet::ALL, 0).and_then(|hit| hit.errno())).collect()
    }

    #[test]
    fn same_seed_same_outcomes_other_seed_others() {
        let make = |seed| {
            let half = Probability::from_fraction(0.5).unwrap();
            live(fault().with_probability(half).with_errnos(Errnos::Random), seed)
        };
        let first = strikes(&make(1), 1000);
        assert_eq!(first, strikes(&make(1), 1000));
        assert_ne!(first, strikes(&make(2), 1000));
        let other = Live::new(FaultId(2), Arc::clone(&make(1).fault), 1);
        assert_ne!(first, strikes(&Arc::new(other), 1000));
    }

    #[test]
    fn after_then_count_bound_the_firings() {
        let count = NonZeroU64::new(3).unwrap();
        let live = live(fault().with_after(2).with_count(count), 1);
        let fired: Vec<bool> = (0..7).map(|_| live.strike(MethodSet::ALL, 0).is_some()).collect();
        assert_eq!(fired, [false, false, true, true, true, false, false]);
        assert_eq!(live.tally(), Tally { matched: 5, fired: 3 });
        assert!(live.is_spent());
    }

    #[test]
    fn one_in_a_hundred_is_one_in_a_hundred() {
        for seed in 0..20 {
            let live =
                live(fault().with_probability(Probability::from_fraction(0.01).unwrap()), seed);
            strikes(&live, 100_000);
            // Mean 1,000, standard deviation 31.
            assert!((840..1160).contains(&live.tally().fired), "{seed}: {:?}", live.tally());
        }
    }

    #[test]
    fn outcomes_do_not_depend_on_threads() {
        let make = || {
            let probability = Probability::from_fraction(0.3).unwrap();
            let count = NonZeroU64::new(500).unwrap();
            live(
                fault().with_probability(probability).with_count(count).with_errnos(Errnos::Random),
                42,
            )
        };
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
            let live = live(
                fault()
                    .with_after(after)
                    .with_count(NonZeroU64::new(count).unwrap())
                    .with_probability(Probability::from_fraction(fraction).unwrap()),
                7,
            );
            strikes(&live, n);
            let tally = live.tally();
            prop_assert!(tally.fired <= count);
            prop_assert!(tally.fired <= tally.matched.saturating_sub(after));
            prop_assert!(tally.matched <= n as u64);
        }
    }
}
