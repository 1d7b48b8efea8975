//! What a fault is: where it applies, how often, and what it does.
//!
//! Invariant: a [`Fault`] that exists makes sense. Whatever comes from users is checked on the way
//! in, and each refusal is one line.

use std::num::NonZeroU64;
use std::time::Duration;

use super::chance::Probability;
use super::error::SpecError;
use super::words::{Errno, Pattern};
use crate::ops::MethodSet;

/// How long a fault holds an operation before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// For this long, from the operation's arrival. Any duration will do: one that the clock
    /// cannot add up (beyond centuries) holds until the fault is cleared.
    For(Duration),
    /// Until the fault is cleared or replaced.
    UntilCleared,
}

/// Which error an operation fails with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errnos {
    /// None: it goes on.
    None,
    /// One of these, each equally likely.
    OneOf(Box<[Errno]>),
    /// One of the contract's range: E2BIG to EXFULL without ENOSYS.
    Random,
}

impl Errnos {
    /// The choice an even draw makes.
    pub(super) fn pick(&self, draw: u64) -> Option<Errno> {
        match self {
            Errnos::None => None,
            Errnos::OneOf(list) => {
                let place = (u128::from(draw) * list.len() as u128) >> 64;
                list.get(usize::try_from(place).ok()?).copied()
            }
            Errnos::Random => Some(Errno::from_draw(draw)),
        }
    }
}

/// A fault: on these methods and paths, so often, this. It always fires and does nothing until
/// told more with the `with_` functions.
#[derive(Debug)]
pub struct Fault {
    methods: MethodSet,
    pattern: Pattern,
    probability: Probability,
    delay: Option<Delay>,
    errnos: Errnos,
    kill: bool,
    count: Option<NonZeroU64>,
    after: u64,
    lifetime: Option<Duration>,
}

impl Fault {
    /// A fault on these methods, every path.
    ///
    /// # Errors
    /// If there is no method.
    pub fn on(methods: MethodSet) -> Result<Fault, SpecError> {
        if methods.is_empty() {
            return Err(SpecError::NoMethod);
        }
        Ok(Fault {
            methods,
            pattern: Pattern::any(),
            probability: Probability::ALWAYS,
            delay: None,
            errnos: Errnos::None,
            kill: false,
            count: None,
            after: 0,
            lifetime: None,
        })
    }

    /// Only where the path matches.
    #[must_use]
    pub fn with_pattern(self, pattern: Pattern) -> Fault {
        Fault { pattern, ..self }
    }

    /// Only so often.
    #[must_use]
    pub fn with_probability(self, probability: Probability) -> Fault {
        Fault { probability, ..self }
    }

    /// Holding operations; a delay of no time is none.
    #[must_use]
    pub fn with_delay(self, delay: Delay) -> Fault {
        Fault { delay: Some(delay).filter(|d| *d != Delay::For(Duration::ZERO)), ..self }
    }

    /// Failing operations; an empty list is [`Errnos::None`].
    #[must_use]
    pub fn with_errnos(self, errnos: Errnos) -> Fault {
        let empty = matches!(&errnos, Errnos::OneOf(list) if list.is_empty());
        Fault { errnos: if empty { Errnos::None } else { errnos }, ..self }
    }

    /// Killing the caller.
    #[must_use]
    pub fn with_kill(self, kill: bool) -> Fault {
        Fault { kill, ..self }
    }

    /// Firing so often at most.
    #[must_use]
    pub fn with_count(self, count: NonZeroU64) -> Fault {
        Fault { count: Some(count), ..self }
    }

    /// Letting the first `after` matching operations pass.
    #[must_use]
    pub fn with_after(self, after: u64) -> Fault {
        Fault { after, ..self }
    }

    /// Lifted by itself so long after it was set.
    ///
    /// # Errors
    /// If that is no time at all.
    pub fn with_lifetime(self, lifetime: Duration) -> Result<Fault, SpecError> {
        if lifetime.is_zero() {
            return Err(SpecError::NoLifetime);
        }
        Ok(Fault { lifetime: Some(lifetime), ..self })
    }

    /// The methods it was made for; a table may have taken some away since.
    #[must_use]
    pub fn methods(&self) -> MethodSet {
        self.methods
    }

    /// The paths.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The same to be told of: it matches nothing any more.
    pub(super) fn told(&self) -> Fault {
        Fault { pattern: self.pattern.told(), errnos: self.errnos.clone(), ..*self }
    }

    /// How often it fires on what it matches.
    #[must_use]
    pub fn probability(&self) -> Probability {
        self.probability
    }

    /// How long it holds, if it does; never a zero duration.
    #[must_use]
    pub fn delay(&self) -> Option<Delay> {
        self.delay
    }

    /// What operations fail with; never an empty list.
    #[must_use]
    pub fn errnos(&self) -> &Errnos {
        &self.errnos
    }

    /// Whether it kills the caller.
    #[must_use]
    pub fn kill(&self) -> bool {
        self.kill
    }

    /// How often it may fire.
    #[must_use]
    pub fn count(&self) -> Option<NonZeroU64> {
        self.count
    }

    /// How many matching operations pass first.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.after
    }

    /// How long it stays, from when it is put in force.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn list_is_drawn_evenly_and_wholly() {
        let list: Box<[Errno]> = [5, 28, 122].into_iter().map(|n| Errno::new(n).unwrap()).collect();
        let errnos = Errnos::OneOf(list.clone());
        for (place, errno) in list.iter().enumerate() {
            let third = u64::MAX / 3;
            assert_eq!(errnos.pick(place as u64 * third + third / 2), Some(*errno));
        }
        assert_eq!(errnos.pick(u64::MAX).unwrap().raw(), 122);
    }

    #[test]
    fn nonsense_is_refused_or_straightened() {
        assert_eq!(Fault::on(MethodSet::EMPTY).unwrap_err(), SpecError::NoMethod);
        let fault = Fault::on(MethodSet::ALL).unwrap();
        let fault = fault.with_delay(Delay::For(Duration::ZERO));
        let fault = fault.with_errnos(Errnos::OneOf(Box::new([])));
        assert_eq!((fault.delay(), fault.errnos()), (None, &Errnos::None));
        assert_eq!(fault.with_lifetime(Duration::ZERO).unwrap_err(), SpecError::NoLifetime);
    }

    proptest! {
        #[test]
        fn pick_never_leaves_the_list(draw in any::<u64>(), n in 1usize..20) {
            let list = (1..=n as i32).map(|n| Errno::new(n).unwrap()).collect();
            prop_assert!(Errnos::OneOf(list).pick(draw).is_some());
        }
    }
}
