//! When a fault is in force: from when, for how long, and in which phases. No locks.

use std::time::Duration;

use super::error::SpecError;

/// When a fault is in force, counted from when it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Term {
    /// Not before so long.
    pub starts: Duration,
    /// Lifted by itself so long after it started.
    pub lasts: Option<Duration>,
    /// On and off in turns.
    pub phases: Option<Phases>,
}

/// How long a fault is on, and then off, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// On for so long first.
    pub on: Duration,
    /// Then off for so long.
    pub off: Duration,
}

impl Term {
    /// Refuses what cannot be: no time at all.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.lasts.is_some_and(|lasts| lasts.is_zero()) {
            return Err(SpecError::NoLifetime);
        }
        match self.phases {
            Some(phases) if phases.on.is_zero() || phases.off.is_zero() => Err(SpecError::Phases),
            _ => Ok(()),
        }
    }

    /// Whether the fault is on or off at all by the time of arrival.
    #[must_use]
    pub(crate) fn is_always_on(&self) -> bool {
        self.starts.is_zero() && self.phases.is_none()
    }

    /// Whether it is on at this age.
    #[must_use]
    pub(crate) fn is_on(&self, age: Duration) -> bool {
        let Some(age) = age.checked_sub(self.starts) else { return false };
        self.phases.is_none_or(|phases| phases.within(age) < phases.on.as_nanos())
    }

    /// How much of its on phase is left at this age, if it has phases and is on.
    #[must_use]
    pub(crate) fn left_of_phase(&self, age: Duration) -> Option<Duration> {
        let phases = self.phases?;
        let age = age.checked_sub(self.starts)?;
        let left = phases.on.as_nanos().checked_sub(phases.within(age))?;
        Some(Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX)))
    }

    /// At which age it ends, if it does.
    #[must_use]
    pub(crate) fn end(&self) -> Option<Duration> {
        self.lasts.map(|lasts| self.starts.saturating_add(lasts))
    }
}

impl Phases {
    /// How far into a round an age is, in nanoseconds.
    fn within(self, age: Duration) -> u128 {
        age.as_nanos() % (self.on.as_nanos() + self.off.as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn phases_follow_each_other_from_the_start() {
        let phases = Some(Phases { on: ms(10), off: ms(20) });
        let term = Term { starts: ms(100), lasts: Some(ms(50)), phases };
        for (age, on) in
            [(0, false), (99, false), (100, true), (109, true), (110, false), (129, false)]
        {
            assert_eq!(term.is_on(ms(age)), on, "{age}");
        }
        assert!(term.is_on(ms(130)));
        assert_eq!(term.left_of_phase(ms(133)), Some(ms(7)));
        assert_eq!(term.end(), Some(ms(150)));
        assert_eq!(Term::default().left_of_phase(ms(1)), None);
        assert!(Term::default().is_on(Duration::ZERO) && Term::default().is_always_on());
    }

    #[test]
    fn no_time_at_all_is_refused() {
        let lasts = Term { lasts: Some(Duration::ZERO), ..Term::default() };
        assert_eq!(lasts.check(), Err(SpecError::NoLifetime));
        let phases = Some(Phases { on: ms(1), off: Duration::ZERO });
        assert_eq!(Term { phases, ..Term::default() }.check(), Err(SpecError::Phases));
    }
}
