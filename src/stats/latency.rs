//! How long operations took, counted in buckets. No locks.

use std::array;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long the operations took that were timed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many took up to so many nanoseconds, and longer than the bucket before.
    pub buckets: BTreeMap<u64, u64>,
    /// The longest, in nanoseconds.
    pub max: u64,
}

impl Latency {
    /// How many operations were timed.
    #[must_use]
    pub fn timed(&self) -> u64 {
        self.buckets.values().sum()
    }

    /// The time, in nanoseconds, that this fraction of them did not exceed; a sixteenth too long
    /// at most. 0 if none was timed.
    #[must_use]
    pub fn quantile(&self, fraction: f64) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        #[allow(clippy::cast_precision_loss, reason = "far fewer operations than 2^52")]
        let rank = ((self.timed() as f64 * fraction).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.buckets.iter().find(|(_, n)| {
            seen += **n;
            seen >= rank
        });
        reached.map_or(0, |(edge, _)| (*edge).min(self.max))
    }

    /// Those timed after `earlier` was taken of the same operations.
    #[must_use]
    pub fn since(&self, earlier: &Latency) -> Latency {
        let left = |(edge, n): (&u64, &u64)| {
            let n = n.saturating_sub(earlier.buckets.get(edge).copied().unwrap_or_default());
            (n > 0).then_some((*edge, n))
        };
        let buckets: BTreeMap<_, _> = self.buckets.iter().filter_map(left).collect();
        let longest = buckets.last_key_value().map_or(0, |(edge, _)| *edge);
        Latency { buckets, max: longest.min(self.max) }
    }
}

/// Buckets per doubling.
const PER_OCTAVE: usize = 16;
const BUCKETS: usize = 61 * PER_OCTAVE;

/// Times by size, in buckets that are a sixteenth wide.
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    max: AtomicU64,
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        let zero = || AtomicU64::new(0);
        Histogram { buckets: array::from_fn(|_| zero()), max: zero(), sum: zero() }
    }
}

impl Histogram {
    pub(super) fn add(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(place(ns)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.max.fetch_max(ns, Ordering::Relaxed);
        self.sum.fetch_add(ns, Ordering::Relaxed);
    }

    /// All that was added, in nanoseconds.
    pub(super) fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    pub(super) fn add_to(&self, sum: &mut Latency) {
        for (place, bucket) in self.buckets.iter().enumerate() {
            let n = bucket.load(Ordering::Relaxed);
            if n > 0 {
                *sum.buckets.entry(edge(place)).or_default() += n;
            }
        }
        sum.max = sum.max.max(self.max.load(Ordering::Relaxed));
    }
}

/// The bucket of a time: below 16 ns one each, then its highest bit and the four below that.
fn place(ns: u64) -> usize {
    match ns.checked_ilog2() {
        Some(octave @ 4..) => {
            let within = (ns >> (octave - 4)) & 15;
            (octave as usize - 3) * PER_OCTAVE + within as usize
        }
        _ => ns as usize,
    }
}

/// The longest time of a bucket.
fn edge(place: usize) -> u64 {
    let (octave, within) = (place / PER_OCTAVE, (place % PER_OCTAVE) as u64);
    match octave {
        0 => within,
        octave => ((16 + within + 1) << (octave - 1)).wrapping_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_its_bucket() {
        let mut before = None;
        for place in 0..BUCKETS {
            let edge = edge(place);
            assert!(before.is_none_or(|before| before < edge), "{place}: {edge}");
            assert_eq!(super::place(edge), place);
            assert_eq!(super::place(before.map_or(0, |before| before + 1)), place);
            before = Some(edge);
        }
        assert_eq!(before, Some(u64::MAX));
    }
}
