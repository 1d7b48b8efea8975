//! How long an answer waits once its operation has run: plain data, a part of a plan. No locks.

use std::time::Duration;

/// How long an answer waits once its operation has run.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum After {
    /// Not at all.
    #[default]
    No,
    /// So long.
    For(Duration),
    /// As long as it takes by that.
    By(Box<Slower>),
}

impl After {
    /// Whether it does not wait at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == After::No
    }

    /// How long, of an operation that took so long on the backing; none if it did not run.
    #[must_use]
    pub fn wait(&self, took: Option<Duration>) -> Duration {
        match self {
            After::No => Duration::ZERO,
            After::For(time) => *time,
            After::By(slower) => took.map(|took| slower.wait(took)).unwrap_or_default(),
        }
    }

    /// Waits for the other one too, as far as that can be told before it has run: the longer of two
    /// times counts.
    pub fn add(&mut self, other: &After) {
        match (&mut *self, other) {
            (After::For(own), After::For(other)) => *own = (*own).max(*other),
            (After::By(_), _) | (_, After::No) => {}
            (After::No | After::For(_), other) => *self = other.clone(),
        }
    }

    /// Waits so many times as long.
    pub(super) fn stretch(&mut self, factor: f64) {
        match self {
            After::No => {}
            After::For(time) => *time = times(*time, factor),
            After::By(slower) => slower.stretch(factor),
        }
    }
}

/// An operation takes several times what the backing takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Slower {
    /// So many, 1 at least.
    pub times: f64,
    /// Its answer waits no longer than that,
    pub longest: Duration,
    /// and so much besides.
    pub plus: Duration,
}

impl Slower {
    fn wait(&self, took: Duration) -> Duration {
        times(took, self.times - 1.0).min(self.longest).saturating_add(self.plus)
    }

    /// Of a wait that grows all grows: what the backing's time adds, its longest, and the rest.
    fn stretch(&mut self, factor: f64) {
        self.times = 1.0 + (self.times - 1.0) * factor;
        self.longest = times(self.longest, factor);
        self.plus = times(self.plus, factor);
    }
}

/// A time so many times, to the nearest nanosecond.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "exact up to 104 days; no factor is negative"
)]
pub(super) fn times(time: Duration, factor: f64) -> Duration {
    Duration::from_nanos((time.as_nanos() as f64 * factor).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_waits_as_long_as_makes_its_operation_so_slow() {
        let ms = Duration::from_millis;
        let by = |times, longest, plus| After::By(Box::new(Slower { times, longest, plus }));
        for (after, took, wait) in [
            (by(10.0, ms(1000), ms(0)), Some(ms(3)), ms(27)),
            (by(10.0, ms(20), ms(1)), Some(ms(3)), ms(21)),
            (by(1.0, ms(20), ms(0)), Some(ms(3)), ms(0)),
            (by(1.5, ms(20), ms(0)), Some(Duration::from_nanos(3)), Duration::from_nanos(2)),
            (by(10.0, ms(20), ms(5)), None, ms(0)),
            (After::For(ms(4)), None, ms(4)),
        ] {
            assert_eq!(after.wait(took), wait, "{after:?} {took:?}");
        }
        let mut after = After::For(ms(4));
        after.add(&After::For(ms(2)));
        assert_eq!(after, After::For(ms(4)));
        after.add(&by(2.0, ms(1), ms(0)));
        assert!(!after.is_none() && After::default().is_none());
    }

    #[test]
    fn a_wait_that_is_stretched_is_so_many_times_as_long() {
        let ms = Duration::from_millis;
        let by = |longest| After::By(Box::new(Slower { times: 4.0, longest, plus: ms(2) }));
        for (after, factor, wait) in [
            (After::No, 3.0, ms(0)),
            (After::For(ms(4)), 2.5, ms(10)),
            (by(ms(1000)), 1.0, ms(11)),
            (by(ms(1000)), 3.0, ms(33)),
            (by(ms(5)), 3.0, ms(21)),
            (by(ms(1000)), 0.5, Duration::from_micros(5_500)),
            (by(ms(1000)), 0.0, ms(0)),
        ] {
            let mut stretched = after.clone();
            stretched.stretch(factor);
            assert_eq!(stretched.wait(Some(ms(3))), wait, "{after:?} {factor}");
        }
    }
}
