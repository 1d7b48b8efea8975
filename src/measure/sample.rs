//! Figures of one thing measured over and over, and what they say. No locks.

use std::time::Duration;

use super::binomial::central;

/// What was measured, in the order in which it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample(Vec<f64>);

/// A median, and between what it lies with 95% confidence, unless it is of too few figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// The median.
    pub at: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Of how many figures.
    pub n: usize,
}

impl Interval {
    /// Of fewer figures not even the least and the greatest enclose it with 95%: of five with 94%.
    pub const FEWEST: usize = 6;

    /// Whether there are too few figures to say between what it lies.
    #[must_use]
    pub fn is_of_few(&self) -> bool {
        self.n < Interval::FEWEST
    }
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
            n: sorted.len(),
        }
    }

    /// What each exceeds the one by that was measured with it.
    #[must_use]
    pub fn beyond(&self, others: &Sample) -> Sample {
        self.figures().zip(others.figures()).map(|(one, other)| one - other).collect()
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
        self.with.beyond(&self.without)
    }

    /// Measures two pairs, the second the other way round. What comes after a long wait takes longer than what does
    /// not: so of each pair both come after a short one, or both after a long one.
    ///
    /// # Errors
    /// The first that one of them reports.
    pub fn both_ways<E>(
        &mut self,
        mut without: impl FnMut() -> Result<Duration, E>,
        mut with: impl FnMut() -> Result<Duration, E>,
    ) -> Result<(), E> {
        self.without.add(without()?);
        self.with.add(with()?);
        self.with.add(with()?);
        self.without.add(without()?);
        Ok(())
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
    use std::cell::Cell;

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
        assert_eq!(of(5), Interval { at: 3.0, low: 1.0, high: 5.0, n: 5 });
        // By the table of the sign test: the 2nd of 9, the 40th and the 61st of 100.
        assert_eq!(of(9), Interval { at: 5.0, low: 2.0, high: 8.0, n: 9 });
        assert_eq!(of(100), Interval { at: 50.0, low: 40.0, high: 61.0, n: 100 });
        assert_eq!(of(1), Interval { at: 1.0, low: 1.0, high: 1.0, n: 1 });
        assert_eq!(of(0), Interval::default());
    }

    #[test]
    fn five_are_too_few_for_an_interval() {
        let of = |n: u32| (1..=n).map(f64::from).collect::<Sample>().interval();
        assert!(of(5).is_of_few() && !of(6).is_of_few());
        // All of n figures lie on one side of the median in so many of all series.
        let beyond = |n: usize| 2.0 * 0.5_f64.powi(n.try_into().unwrap());
        assert!(beyond(Interval::FEWEST) <= 0.05 && beyond(Interval::FEWEST - 1) > 0.05);
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

    /// Whatever comes after a long wait takes 10 us more here, which is neither of the pair's doing.
    #[test]
    fn what_comes_after_a_long_wait_falls_on_both_of_a_pair() {
        let is_cold = Cell::new(false);
        let one = |asked: u64| {
            let cold = if is_cold.replace(asked > 0) { 10 } else { 0 };
            Ok::<_, ()>(Duration::from_micros(30 + asked + cold))
        };
        let (mut synced, mut echoed) = (Pairs::default(), Pairs::default());
        for _ in 0..5 {
            for pairs in [&mut synced, &mut echoed] {
                pairs.both_ways(|| one(0), || one(1_000)).unwrap();
            }
        }
        for pairs in [synced, echoed] {
            assert_eq!(pairs.differences(), [1e6; 10].into_iter().collect());
        }
    }
}
