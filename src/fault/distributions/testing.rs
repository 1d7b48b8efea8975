//! What tests of distributions share.

use super::read;
use crate::fault::chance::{Dice, Draw, Purpose};

/// Draws a million times and holds the times against the share of all that are to be so short at
/// most, by Kolmogorov and Smirnov.
pub(super) fn fits(by: &str, share: impl Fn(f64) -> f64) {
    const DRAWS: u64 = 1_000_000;
    const BINS: usize = 4096;
    let (by, dice) = (read(by).unwrap(), Dice::new(42, 1));
    let mut bins = vec![0u64; BINS];
    for n in 0..DRAWS {
        let time = by.at(|| Draw::new(dice, n).unit(Purpose::Delay)).unwrap();
        let place = share(time.as_nanos() as f64) * BINS as f64;
        bins[(place as usize).min(BINS - 1)] += 1;
    }
    // Of draws that fit one set in a thousand is further off than 1.95 / sqrt n.
    let most = 1.95 / (DRAWS as f64).sqrt();
    let mut sum = 0;
    for (place, bin) in bins.iter().enumerate() {
        sum += bin;
        let (got, expected) = (sum as f64 / DRAWS as f64, (place + 1) as f64 / BINS as f64);
        assert!((got - expected).abs() < most, "{by:?}: {got} at {expected}");
    }
}

/// What it asks at `u`, to a nanosecond.
pub(super) fn near(by: &str, u: f64, ns: u128) {
    let asked = read(by).unwrap().at(|| u).unwrap().as_nanos();
    assert!(asked.abs_diff(ns) <= 1, "{by} at {u}: {asked} for {ns}");
}

/// The share of a standard normal distribution below `z`, to 1e-7: Abramowitz and Stegun 7.1.26.
pub(super) fn normal(z: f64) -> f64 {
    const A: [f64; 5] =
        [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let beyond = A.iter().rev().fold(0.0, |sum, a| (sum + a) * t) * (-x * x).exp() / 2.0;
    if z < 0.0 { beyond } else { 1.0 - beyond }
}
