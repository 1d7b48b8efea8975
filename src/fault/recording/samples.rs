//! Single times by method and size, and the quantiles that they come to. No locks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Measured, Recording, Times};
use crate::fault::distributions::{Class, Table, nearer};
use crate::ops::Method;

/// The quantiles that are told, in percent.
const QUANTILES: [f64; 27] = [
    0.0, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0,
    75.0, 80.0, 85.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99, 100.0,
];

/// Sizes are told apart by powers of two from this
const SMALLEST: u64 = 4 << 10;
/// to this, the largest that the kernel asks at once.
const LARGEST: u64 = 1 << 20;

/// More of one class are not kept: each later one takes the place of any, by chance.
const MOST: usize = 1_000_000;

/// Times, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<Class, Kept>);

#[derive(Debug, Default)]
struct Kept {
    n: u64,
    times: Vec<u64>,
}

impl Samples {
    /// A request of that method that moved so many bytes took so long.
    pub(crate) fn add(&mut self, method: Method, len: u64, ns: u64) {
        let method = Class::method(method);
        let size = Class::has_sizes(method).then(|| size_of(len));
        let kept = self.0.entry(Class { method, size }).or_default();
        kept.n += 1;
        if kept.times.len() < MOST {
            kept.times.push(ns);
        } else if let Ok(place) = usize::try_from(rand::random_range(0..kept.n))
            && let Some(other) = kept.times.get_mut(place)
        {
            *other = ns;
        }
    }

    /// How many there are.
    #[must_use]
    pub(crate) fn len(&self) -> u64 {
        self.0.values().map(|kept| kept.n).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their quantiles.
    #[must_use]
    pub(crate) fn recording(self) -> Recording {
        let measured = |(class, mut kept): (Class, Kept)| {
            kept.times.sort_unstable();
            let point = |percent| (percent, Duration::from_nanos(at(&kept.times, percent)));
            // It never falls, and has both ends.
            let table = Table::of(told(&QUANTILES.map(point))).ok()?;
            Some((class, Measured { n: Some(kept.n), table }))
        };
        let each = self.0.into_iter().filter_map(measured).collect();
        Recording { figures: Vec::new(), times: Times::Each(each) }
    }
}

/// Without those between two of the same time.
fn told(points: &[(f64, Duration)]) -> Vec<(f64, Duration)> {
    let mut told: Vec<(f64, Duration)> = Vec::new();
    for point in points {
        if let [.., before, last] = &told[..]
            && before.1 == point.1
            && last.1 == point.1
        {
            told.pop();
        }
        told.push(*point);
    }
    told
}

/// The power of two that a size is told as: the nearest, as so many times, of two the larger.
fn size_of(len: u64) -> u64 {
    let above = len.clamp(SMALLEST, LARGEST).next_power_of_two();
    let sizes = [above, (above / 2).max(SMALLEST)];
    sizes.into_iter().min_by(|a, b| nearer(len, *a, *b)).unwrap_or(above)
}

/// A quantile of what is sorted, straight between two of them, to the nearest nanosecond.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among them, and a share of their distance"
)]
fn at(sorted: &[u64], percent: f64) -> u64 {
    let place = (sorted.len().saturating_sub(1)) as f64 * percent / 100.0;
    let below = place.floor();
    let get =
        |place: f64| sorted.get(place as usize).or(sorted.last()).copied().unwrap_or_default();
    let (low, high) = (get(below), get(below + 1.0));
    low + ((place - below) * (high - low) as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_as_powers_of_two_and_drawn_as_they_were_told() {
        const KIB: u64 = 1 << 10;
        for (len, size) in [
            (0, 4 * KIB),
            (4096, 4 * KIB),
            (5792, 4 * KIB),
            (5793, 8 * KIB),
            (8 * KIB, 8 * KIB),
            (12 * KIB, 16 * KIB),
            (1 << 20, 1 << 20),
            (u64::MAX, 1 << 20),
        ] {
            assert_eq!(size_of(len), size, "{len}");
        }
        let sizes = || (12..=20).map(|power| 1u64 << power);
        for len in (0..4_000).map(|n| n * 331) {
            let drawn = sizes().min_by(|a, b| nearer(len, *a, *b));
            assert_eq!(drawn, Some(size_of(len)), "{len}");
        }
    }
}
