//! What a fault is: where it applies, how often, and what it does.
//!
//! Invariant: a [`Fault`] that exists makes sense. Whatever comes from users is checked on the way
//! in, and each refusal is one line.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use super::errno::Errno;
use super::pattern::{MAX_PATTERN, Pattern};
use crate::ops::MethodSet;

/// Why a fault, or a part of one, was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// No method.
    #[error("a fault needs at least one method")]
    NoMethod,
    /// An errno outside what the kernel takes in a reply.
    #[error("errno {0} is not within 1..={max}", max = Errno::MAX)]
    ErrnoRange(i32),
    /// ENOSYS, which the kernel would remember for the life of the mount.
    #[error(
        "ENOSYS makes the kernel stop asking for the life of the mount; EOPNOTSUPP says the same \
         and does not"
    )]
    Enosys,
    /// A name that errno.h does not have.
    #[error("unknown errno {name}{}", near.map(|n| format!(" (did you mean {n}?)")).unwrap_or_default())]
    UnknownErrno {
        /// The name.
        name: String,
        /// The name that was probably meant.
        near: Option<&'static str>,
    },
    /// A probability outside 0..=1.
    #[error("probability {0} is not within 0..=1")]
    Probability(f64),
    /// A pattern that does not compile.
    #[error("invalid pattern {pattern}: {reason}")]
    Pattern {
        /// The pattern, shortened.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern beyond [`MAX_PATTERN`] bytes.
    #[error("a pattern of {0} bytes is longer than {MAX_PATTERN}")]
    PatternLength(usize),
    /// A lifetime of no time at all.
    #[error("a lifetime must be longer than 0")]
    NoLifetime,
}

/// How often a fault fires on the operations it matches.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Probability(f64);

/// How to read the contract's probability numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProbabilityScale {
    /// Per mille for 1..=1000 of a fault that only delays, else out of 100,000.
    #[default]
    Auto,
    /// Out of 100,000.
    PerHundredThousand,
    /// Out of 1,000.
    PerMille,
}

impl fmt::Display for ProbabilityScale {
    /// As `--probability-scale` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ProbabilityScale::Auto => "auto",
            ProbabilityScale::PerHundredThousand => "100000",
            ProbabilityScale::PerMille => "1000",
        })
    }
}

impl Probability {
    /// On every one.
    pub const ALWAYS: Probability = Probability(1.0);
    /// On none.
    pub const NEVER: Probability = Probability(0.0);

    /// A fraction, 0 to 1.
    ///
    /// # Errors
    /// If it is outside, or not a number.
    pub fn from_fraction(fraction: f64) -> Result<Probability, SpecError> {
        if (0.0..=1.0).contains(&fraction) {
            Ok(Probability(fraction))
        } else {
            Err(SpecError::Probability(fraction))
        }
    }

    /// The contract's number (charybdefs-contract, section 2): 0 is always, a negative one never,
    /// others are parts of the scale, above it always. `only_delays` says that the fault has a
    /// delay and neither errno nor random nor kill.
    #[must_use]
    pub fn from_contract(value: i32, scale: ProbabilityScale, only_delays: bool) -> Probability {
        let out_of = match scale {
            ProbabilityScale::PerMille => 1_000,
            ProbabilityScale::Auto if only_delays && (1..=1_000).contains(&value) => 1_000,
            ProbabilityScale::Auto | ProbabilityScale::PerHundredThousand => 100_000,
        };
        match value {
            i32::MIN..0 => Self::NEVER,
            0 => Self::ALWAYS,
            _ => Probability((f64::from(value) / f64::from(out_of)).min(1.0)),
        }
    }

    /// The fraction, 0 to 1.
    #[must_use]
    pub fn as_fraction(self) -> f64 {
        self.0
    }

    /// Whether an even draw hits.
    pub(super) fn hit_by(self, draw: u64) -> bool {
        // 53 bits fill a double exactly, and stay below 1.
        #[allow(clippy::cast_precision_loss, reason = "53 bits")]
        let fraction = (draw >> 11) as f64 / (1u64 << 53) as f64;
        fraction < self.0
    }
}

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
    fn contract_probability_is_read_as_section_2_says() {
        use ProbabilityScale::{Auto, PerHundredThousand, PerMille};
        for (value, scale, only_delays, expected) in [
            (0, Auto, true, 1.0),
            (0, PerMille, false, 1.0),
            (-1, Auto, true, 0.0),
            (i32::MIN, PerHundredThousand, false, 0.0),
            (1000, Auto, true, 1.0),
            (1, Auto, true, 0.001),
            (1001, Auto, true, 0.01001),
            (1000, Auto, false, 0.01),
            (1000, PerHundredThousand, true, 0.01),
            (1000, PerMille, false, 1.0),
            (500, PerMille, true, 0.5),
            (5000, PerMille, true, 1.0),
            (100_000, Auto, false, 1.0),
            (50_000, Auto, true, 0.5),
            (i32::MAX, PerHundredThousand, false, 1.0),
        ] {
            let read = Probability::from_contract(value, scale, only_delays);
            assert_eq!(read.as_fraction(), expected, "{value} {scale:?} {only_delays}");
        }
    }

    #[test]
    fn fractions_outside_are_refused() {
        for fraction in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Probability::from_fraction(fraction).is_err(), "{fraction}");
        }
    }

    #[test]
    fn always_and_never_hold_for_every_draw() {
        for draw in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(Probability::ALWAYS.hit_by(draw));
            assert!(!Probability::NEVER.hit_by(draw));
        }
    }

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
        fn probability_is_always_a_fraction(value in any::<i32>(), only_delays in any::<bool>()) {
            for scale in [
                ProbabilityScale::Auto,
                ProbabilityScale::PerMille,
                ProbabilityScale::PerHundredThousand,
            ] {
                let read = Probability::from_contract(value, scale, only_delays).as_fraction();
                prop_assert!((0.0..=1.0).contains(&read));
            }
        }

        #[test]
        fn pick_never_leaves_the_list(draw in any::<u64>(), n in 1usize..20) {
            let list = (1..=n as i32).map(|n| Errno::new(n).unwrap()).collect();
            prop_assert!(Errnos::OneOf(list).pick(draw).is_some());
        }
    }
}
