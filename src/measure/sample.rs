//! Figures of one thing measured over and over, and what they say. No locks.

use std::time::Duration;

use super::binomial::central;

/// What was measured, in the order in which it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample(Vec<f64>);

/// A median, and between what it lies with 95% confidence. Few figures give less: of five it is 94%
/// from the least to the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// The median.
    pub at: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Sample {
    /// Adds a time, in nanoseconds.
    #[allow(clippy::cast_precision_loss, reason = "whole up to 104 days")]
    pub fn add(&mut self, took: Duration) {
        self.0.push(took.as_nanos() as f64);
    }

    /// Adds a figure.
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// How many figures there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The figures, in the order in which they were measured.
    pub fn figures(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    /// The least one; 0 of none.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.figures().reduce(f64::min).unwrap_or_default()
    }

    /// The least figure that so great a share of all does not exceed; 0 of none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        at(&self.sorted(), rank(self.len(), share))
    }

    /// The median, one of the figures.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The median with its interval, which supposes nothing of how the figures are distributed.
    #[must_use]
    pub fn interval(&self) -> Interval {
        let sorted = self.sorted();
        let last = sorted.len().saturating_sub(1);
        let (below, _) = central(sorted.len() as u64, 0.5, 0.05);
        let left_out = usize::try_from(below).unwrap_or_default().saturating_sub(1);
        Interval {
            at: at(&sorted, rank(sorted.len(), 0.5)),
            low: at(&sorted, left_out),
            high: at(&sorted, last.saturating_sub(left_out)),
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<T: IntoIterator<Item = f64>>(figures: T) -> Sample {
        Sample(figures.into_iter().collect())
    }
}

/// Measured in turns without and with something, so that a drift of the machine falls on both.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// Without it.
    pub without: Sample,
    /// With it.
    pub with: Sample,
}

impl Pairs {
    /// What a quantile with it exceeds the median without it by.
    #[must_use]
    pub fn added(&self, quantile: f64) -> f64 {
        self.with.quantile(quantile) - self.without.median()
    }

    /// What each with it exceeds the one without it by that was measured in its turn.
    #[must_use]
    pub fn differences(&self) -> Sample {
        self.with
            .figures()
            .zip(self.without.figures())
            .map(|(with, without)| with - without)
            .collect()
    }
}

/// The place, among so many in order, of the least that such a share does not exceed.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
#[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn rank(len: usize, share: f64) -> usize {
    ((share * len as f64).ceil() as usize).saturating_sub(1)
}

fn at(sorted: &[f64], place: usize) -> f64 {
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_those_measured() {
        let sample: Sample = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| sample.quantile(share)), [50.0, 99.0, 100.0]);
        assert_eq!((sample.least(), Sample::default().median()), (1.0, 0.0));
    }

    #[test]
    fn the_interval_encloses_the_median_and_narrows_with_more_figures() {
        let of = |n: u32| (1..=n).map(f64::from).collect::<Sample>().interval();
        assert_eq!(of(5), Interval { at: 3.0, low: 1.0, high: 5.0 });
        // By the table of the sign test: the 2nd of 9, the 40th and the 61st of 100.
        assert_eq!(of(9), Interval { at: 5.0, low: 2.0, high: 8.0 });
        assert_eq!(of(100), Interval { at: 50.0, low: 40.0, high: 61.0 });
        assert_eq!(of(1), Interval { at: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(of(0), Interval::default());
    }

    #[test]
    fn pairs_are_compared_one_by_one() {
        let mut pairs = Pairs::default();
        for (without, with) in [(10.0, 15.0), (100.0, 104.0), (11.0, 17.0)] {
            pairs.without.push(without);
            pairs.with.push(with);
        }
        assert_eq!(pairs.differences(), [5.0, 4.0, 6.0].into_iter().collect());
        assert_eq!((pairs.added(0.5), pairs.added(1.0)), (6.0, 93.0));
    }
}
