//! How often a fault fires: its probability, which matches pass first, and the dice.
//!
//! The n-th match of a fault has the same outcome in every run with the same seed, whatever the
//! threads did: each decision is drawn from seed, fault, n and purpose alone. [`Draw`] has the
//! formula. No locks.

use std::fmt;
use std::num::NonZeroU64;

use super::error::SpecError;

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
    pub(crate) fn from_contract(
        value: i32,
        scale: ProbabilityScale,
        only_delays: bool,
    ) -> Probability {
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
        unit(draw) < self.0
    }
}

/// Which of its matches a fault fires on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// How often it fires on those that `after` and `nth` leave.
    pub probability: Probability,
    /// How many matches pass first.
    pub after: u64,
    /// Of the rest each so-manyth only.
    pub nth: Option<NonZeroU64>,
    /// How often it may fire; the last firing retires it.
    pub count: Option<NonZeroU64>,
    /// Whether a match is drawn for by its place, not by how many there were before.
    pub stable: bool,
}

impl Default for Chance {
    /// Always.
    fn default() -> Chance {
        let probability = Probability::ALWAYS;
        Chance { probability, after: 0, nth: None, count: None, stable: false }
    }
}

impl Chance {
    /// Whether it fires on its n-th match, counted from 0, for the draw of that match.
    #[must_use]
    pub(crate) fn hits(&self, n: u64, draw: Draw) -> bool {
        let Some(rest) = n.checked_sub(self.after) else { return false };
        let taken = self.nth.is_none_or(|nth| (rest + 1).is_multiple_of(nth.get()));
        let always = self.probability == Probability::ALWAYS;
        taken && (always || self.probability.hit_by(draw.bits(Purpose::Fire)))
    }
}

/// What a number is drawn for. Each has a sequence of its own, so that a new kind of decision
/// changes no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Purpose {
    /// Whether the fault fires.
    Fire = 0,
    /// Which errno.
    Errno = 1,
    /// How long.
    Delay = 2,
    /// Where in a request.
    Position = 3,
    /// Which bits.
    Bits = 4,
    /// How long a phase is.
    Phase = 5,
    /// Whether a unit of a file is bad.
    Sector = 6,
}

/// The numbers of one match of one fault.
///
/// With `mix` the finalizer of SplitMix64 (Steele, Lea, Flood 2014), `G` its constant
/// 0x9e3779b97f4a7c15, all modulo 2^64, the first match being n = 0:
///
/// ```text
/// draw(seed, key, n, purpose) = mix(mix(mix(seed ^ mix(key)) + purpose * G) + (n + 1) * G)
/// u                           = ((draw >> 12) + 0.5) / 2^52
/// ```
///
/// `key` is the fault's number, or the FNV-1a hash (64 bits) of its name if it has one. With 53
/// bits the highest u would round to 1. Ten values are in this file's tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    dice: Dice,
    n: u64,
}

impl Draw {
    /// Of the n-th match, counted from 0, of the fault with these dice.
    pub(super) fn new(dice: Dice, n: u64) -> Draw {
        Draw { dice, n }
    }

    /// The numbers of the same fault for another n: of what is no match, as a file.
    #[must_use]
    pub(super) fn at(self, n: u64) -> Draw {
        Draw { n, ..self }
    }

    /// Of what is done once, by no fault, with that seed.
    #[must_use]
    pub(crate) fn once(seed: u64, what: &str) -> Draw {
        Draw::new(Dice::new(seed, key(what)), 0)
    }

    /// 64 even bits.
    #[must_use]
    pub(crate) fn bits(self, purpose: Purpose) -> u64 {
        mix(self.dice.stream(purpose).wrapping_add(self.n.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// The k-th of several, counted from 0, where a purpose takes more than one:
    /// `mix(draw + (k + 1) * G)`.
    #[must_use]
    pub(crate) fn each(self, purpose: Purpose, k: u64) -> u64 {
        mix(self.bits(purpose).wrapping_add(k.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// The same as an even number between 0 and 1, never either.
    #[must_use]
    pub(super) fn each_unit(self, purpose: Purpose, k: u64) -> f64 {
        unit(self.each(purpose, k))
    }

    /// An even number between 0 and 1, never either.
    #[must_use]
    pub(crate) fn unit(self, purpose: Purpose) -> f64 {
        unit(self.bits(purpose))
    }
}

/// The number of 64 bits that a seed is.
pub(crate) fn seed_of(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "seed: write a number of 64 bits".to_owned())
}

/// The n-th number, counted from 0, of what is no fault but is drawn by a seed too.
#[must_use]
pub(crate) fn drawn(seed: u64, key: &str, n: u64) -> u64 {
    Draw::new(Dice::new(seed, self::key(key)), n).bits(Purpose::Position)
}

/// The dice of a fault: what its seed and key come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dice {
    own: u64,
    /// The stream that is drawn from at every match.
    fire: u64,
}

impl Dice {
    pub(super) fn new(seed: u64, key: u64) -> Dice {
        let own = mix(seed ^ mix(key));
        Dice { own, fire: stream(own, Purpose::Fire) }
    }

    fn stream(self, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::Fire => self.fire,
            other => stream(self.own, other),
        }
    }
}

fn stream(dice: u64, purpose: Purpose) -> u64 {
    mix(dice.wrapping_add((purpose as u64).wrapping_mul(GOLDEN)))
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finalizer: every bit of the input moves half the bits of the output.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[allow(clippy::cast_precision_loss, reason = "52 bits")]
fn unit(draw: u64) -> f64 {
    ((draw >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

/// What stands for n where matches are drawn for by their place: the path below the mount, where in the
/// file, and how many there were there before. With `key` of a name, of 63 bits:
///
/// ```text
/// n = mix(mix(key(path) ^ mix(offset)) + (k + 1) * G) >> 1
/// ```
#[must_use]
pub(super) fn place(path: &[u8], offset: u64) -> u64 {
    mix(key_of(path) ^ mix(offset))
}

/// The same of the k-th there, counted from 0.
#[must_use]
pub(super) fn nth_at(place: u64, k: u64) -> u64 {
    mix(place.wrapping_add(k.wrapping_add(1).wrapping_mul(GOLDEN))) >> 1
}

/// The FNV-1a hash of a name, 64 bits: the key of a fault that has one.
#[must_use]
pub(super) fn key(name: &str) -> u64 {
    key_of(name.as_bytes())
}

fn key_of(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
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
    fn nth_takes_each_so_manyth_of_what_after_leaves() {
        let nth = NonZeroU64::new(3);
        let chance = Chance { after: 2, nth, ..Chance::default() };
        let hits = |n| chance.hits(n, Draw::new(Dice::new(1, 1), n));
        let taken: Vec<u64> = (0..12).filter(|n| hits(*n)).collect();
        assert_eq!(taken, [4, 7, 10]);
    }

    #[test]
    fn an_even_number_is_never_0_nor_1() {
        assert!(unit(0) > 0.0);
        assert!(unit(u64::MAX) < 1.0);
    }

    /// As anybody can compute them from the formula.
    #[test]
    fn draws_are_those_of_the_formula() {
        let draw = |seed, key, n, purpose| Draw::new(Dice::new(seed, key), n).bits(purpose);
        for (seed, key, n, purpose, expected) in [
            (0, 1, 0, Purpose::Fire, 0x1a2a_6990_3431_e5b4),
            (1, 1, 0, Purpose::Fire, 0x568b_6056_8922_57b5),
            (1, 1, 1, Purpose::Fire, 0xf551_d3fe_89a6_6bcd),
            (1, 2, 0, Purpose::Fire, 0xca3b_28ee_d1d2_67e4),
            (1, 1, 0, Purpose::Errno, 0x2f68_8137_afcf_78d5),
            (1, 1, 0, Purpose::Delay, 0x7a7b_c556_5bec_8021),
            (1, 1, 0, Purpose::Position, 0x84fb_eb9d_c603_bd8e),
            (1, 1, 0, Purpose::Bits, 0xea1d_193a_3f91_ff21),
            (7, key("slow"), 99, Purpose::Fire, 0xfe3e_2c1a_df29_6893),
            (u64::MAX, u64::MAX, u64::MAX, Purpose::Bits, 0xbdcb_d2fe_4cd9_fc36),
        ] {
            assert_eq!(draw(seed, key, n, purpose), expected, "{seed} {key} {n} {purpose:?}");
        }
        assert_eq!(key("slow"), 0x6a77_1318_f6fe_2cb8);
    }

    #[test]
    fn a_place_stands_for_a_number_as_the_formula_says() {
        for (path, offset, k) in [("a/b", 0, 0), ("a/b", 4096, 0), ("a/b", 4096, 1), ("", 7, 2)] {
            let expected =
                mix(mix(key(path) ^ mix(offset)).wrapping_add((k + 1u64).wrapping_mul(GOLDEN)));
            assert_eq!(nth_at(place(path.as_bytes(), offset), k), expected >> 1, "{path}");
        }
        assert_eq!(nth_at(place(b"wal/0.wal", 4096), 3), 0x33b1_c7b8_f812_ca3c);
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
    }
}
