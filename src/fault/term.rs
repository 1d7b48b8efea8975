//! When a fault is in force: from when, for how long, in which phases, and how it grows. No locks.

use std::time::Duration;

use super::error::SpecError;
use super::ramp::Ramp;

/// When a fault is in force, counted from when it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Term {
    /// Not before so long.
    pub starts: Duration,
    /// Lifted by itself so long after it started.
    pub lasts: Option<Duration>,
    /// On and off in turns.
    pub phases: Option<Phases>,
    /// How what it holds is held longer and longer.
    pub ramp: Option<Ramp>,
}

/// How long a fault is on, and then off, over and over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// On for so long first.
    pub on: Duration,
    /// Then off for so long.
    pub off: Duration,
    /// Whether these are the means of lengths that are drawn.
    pub random: bool,
}

impl Term {
    /// Refuses what cannot be: no time at all.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        if self.lasts.is_some_and(|lasts| lasts.is_zero()) {
            return Err(SpecError::NoLifetime);
        }
        match self.phases {
            Some(Phases { on: Duration::ZERO, off: Duration::ZERO, random: true }) => {
                Err(SpecError::RandomPhases)
            }
            Some(phases) if phases.on.is_zero() || phases.off.is_zero() => Err(SpecError::Phases),
            _ => Ok(()),
        }
    }

    /// Whether the fault is neither on nor off by the time of arrival.
    #[must_use]
    pub(crate) fn is_always_on(&self) -> bool {
        self.starts.is_zero() && self.phases.is_none()
    }

    /// Whether what it does depends on when a request arrives.
    #[must_use]
    pub(super) fn is_paced(&self) -> bool {
        self.phases.is_some() || self.ramp.is_some()
    }

    /// At which age it ends, if it does.
    #[must_use]
    pub(crate) fn end(&self) -> Option<Duration> {
        self.lasts.map(|lasts| self.starts.saturating_add(lasts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_lifetime_counts_from_the_start() {
        let term = Term { starts: ms(100), lasts: Some(ms(50)), ..Term::default() };
        assert_eq!(term.end(), Some(ms(150)));
        assert!(Term::default().is_always_on() && !Term::default().is_paced());
    }

    #[test]
    fn no_time_at_all_is_refused() {
        let lasts = Term { lasts: Some(Duration::ZERO), ..Term::default() };
        assert_eq!(lasts.check(), Err(SpecError::NoLifetime));
        let refused = |on, off, random| {
            let phases = Some(Phases { on, off, random });
            Term { phases, ..Term::default() }.check().err()
        };
        let none = Duration::ZERO;
        for (on, off) in [(ms(1), none), (none, ms(1))] {
            assert_eq!(refused(on, off, false), Some(SpecError::Phases));
            assert_eq!(refused(on, off, true), Some(SpecError::Phases));
        }
        assert_eq!(refused(none, none, true), Some(SpecError::RandomPhases));
        assert_eq!(refused(ms(1), ms(1), true), None);
    }
}
