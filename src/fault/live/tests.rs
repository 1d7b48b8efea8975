//! A fault's dice and its tally.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Barrier;

use proptest::prelude::*;

use super::*;
use crate::fault::testing::{self, fault};
use crate::fault::words::Errno;
use crate::fault::{Chance, Probability};
use crate::ops::Call;

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
