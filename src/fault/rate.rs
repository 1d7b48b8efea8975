//! A rate that is kept exactly: the generic cell rate algorithm, in whole numbers.
//!
//! What costs one has a place in time, 1 / rate behind that before it, and is due no earlier than the burst
//! before its place. The cost is added before the moment is told: else two would pass at once with a burst
//! of 1, and in a time T more than rate T + burst. No locks.

use std::time::{Duration, Instant};

use super::plan::Hold;

/// A second in nanoseconds.
pub(super) const SECOND: u64 = 1_000_000_000;

/// So much a second, and so much at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) each_second: u64,
    pub(super) burst: u64,
}

/// The place of the last that a rate let through, in nanoseconds times the rate, so that nothing is
/// rounded away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached(u128);

impl Rate {
    /// When what costs so much and comes at `now` is due. Nanoseconds; beyond centuries the last there is.
    pub(super) fn take(self, place: &mut Reached, now: u64, cost: u64) -> u64 {
        let rate = u128::from(self.each_second);
        let second = u128::from(SECOND);
        let begins = place.0.max(u128::from(now) * rate);
        place.0 = begins.saturating_add(u128::from(cost) * second);
        let due = place.0.saturating_sub(u128::from(self.burst) * second).div_ceil(rate);
        u64::try_from(due).unwrap_or(u64::MAX).max(now)
    }

    /// Whether nothing is left of what it let through: a new place would serve as well.
    pub(super) fn is_rested(self, place: Reached, now: u64) -> bool {
        place.0 <= u128::from(now) * u128::from(self.each_second)
    }
}

/// Nanoseconds since the first moment that it was asked about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock(Option<Instant>);

impl Clock {
    /// How long after the first that moment is; one before it counts as the first.
    pub(super) fn ns(&mut self, at: Instant) -> u64 {
        let begun = *self.0.get_or_insert(at);
        u64::try_from(at.saturating_duration_since(begun).as_nanos()).unwrap_or(u64::MAX)
    }

    /// How long what arrived at `arrived` waits until it is due.
    pub(super) fn hold(&mut self, arrived: Instant, due: u64) -> Hold {
        let (now, begun) = (self.ns(arrived), self.0.unwrap_or(arrived));
        match due {
            u64::MAX => Hold::UntilCleared,
            due if due <= now => Hold::No,
            due => Hold::for_time(begun, Duration::from_nanos(due)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rest_earns_a_burst_and_no_more() {
        let rate = Rate { each_second: 10, burst: 3 };
        let mut place = Reached::default();
        let mut due = |now, cost| rate.take(&mut place, now, cost) / 1_000_000;
        assert_eq!([due(0, 1), due(0, 1), due(0, 1)], [0; 3]);
        assert_eq!([due(0, 1), due(0, 2), due(0, 1)], [100, 300, 400]);
        let later = 60 * SECOND;
        assert_eq!([1, 1, 1, 1].map(|cost| due(later, cost)), [60_000, 60_000, 60_000, 60_100]);
        assert_eq!(rate.take(&mut place, 0, u64::MAX), u64::MAX);
    }

    #[test]
    fn a_place_is_rested_when_a_new_one_would_serve_as_well() {
        let rate = Rate { each_second: 1000, burst: 1 };
        let mut place = Reached::default();
        rate.take(&mut place, 0, 5);
        assert!(!rate.is_rested(place, 4_999_999) && rate.is_rested(place, 5_000_000));
    }

    #[test]
    fn moments_are_counted_from_the_first_and_what_is_due_does_not_wait() {
        let first = Instant::now();
        let ms = Duration::from_millis;
        let mut clock = Clock::default();
        assert_eq!(clock.ns(first), 0);
        assert_eq!((clock.ns(first - ms(1)), clock.ns(first + ms(1))), (0, 1_000_000));
        assert_eq!(clock.hold(first - ms(1), 0), Hold::No);
        assert_eq!(clock.hold(first + ms(3), 2_000_000), Hold::No);
        assert_eq!(clock.hold(first + ms(1), 2_000_000), Hold::Until(first + ms(2)));
        assert_eq!(clock.hold(first, u64::MAX), Hold::UntilCleared);
    }

    proptest! {
        /// In any time T no more than rate T + burst is let through, to the nanosecond.
        #[test]
        fn no_more_than_its_rate_is_let_through(
            each_second in 1u64..5000, burst in 1u64..50,
            steps in prop::collection::vec((0u64..9_000_000, 0u64..50), 1..60),
        ) {
            let rate = Rate { each_second, burst };
            let (mut place, mut now, mut due) = (Reached::default(), 0, Vec::new());
            for (wait, cost) in steps {
                now += wait;
                let cost = 1 + cost % burst;
                let at = rate.take(&mut place, now, cost);
                prop_assert!(at >= now);
                due.push((at, cost));
            }
            for (first, (from, _)) in due.iter().enumerate() {
                let mut sum = 0;
                for (at, cost) in &due[first..] {
                    sum += cost;
                    prop_assert!(sum * SECOND <= (at - from + 1) * each_second + burst * SECOND);
                }
            }
        }
    }
}
