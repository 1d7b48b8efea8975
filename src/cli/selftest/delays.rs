//! Delays: what they add beyond what was asked, beside what this machine takes to wait at all.
//!
//! Of each delay fsync(2) of a file that the fault matches and of one that it does not take turns, and with
//! them a wait by another thread without slowfs, which is the floor.

use std::fs::File;
use std::time::{Duration, Instant};

use super::place::Place;
use super::row::{Bar, Row, Unit, Verdict};
use crate::cli::output::short_time;
use crate::fault::words::time_text;
use crate::measure::{Echo, Interval, Pairs};

/// Each delay, in microseconds, with its pairs and how many they are if it has to be quick.
pub(super) const STEPS: [(u64, usize, usize); 5] =
    [(30, 1_000, 150), (100, 1_000, 150), (1_000, 1_000, 150), (10_000, 200, 30), (100_000, 50, 5)];

/// What is measured too if there is time, likewise.
pub(super) const LONG: (u64, usize) = (1_000_000, 20);

/// How long the pairs of one delay may take together; those of the long one always come to their number.
const WITHIN: Duration = Duration::from_secs(12);
const LONG_WITHIN: Duration = Duration::from_secs(60);

/// What the median may exceed the floor by; of more than a millisecond a quarter of the floor's own.
const ALLOWED_NS: f64 = 3_000.0;

/// A machine whose own waits scatter as much, in one of ten, has no floor to judge by.
const SCATTER_NS: f64 = 500_000.0;

pub(super) struct Measured {
    pub(super) asked: Duration,
    /// fsync(2) without and with the delay.
    pub(super) synced: Pairs,
    /// An answer of another thread, at once and after the same time.
    pub(super) echoed: Pairs,
    /// As slowfs counted.
    pub(super) fired: i64,
}

pub(super) fn measure(
    place: &mut Place<'_>,
    asked: Duration,
    pairs: usize,
) -> anyhow::Result<Measured> {
    let (free, delayed) = (place.file("free")?, place.file("delayed")?);
    place.set(&format!("delay {} -m fsync -r '.*/delayed'", time_text(asked)))?;
    let echo = Echo::new()?;
    let (mut synced, mut echoed) = (Pairs::default(), Pairs::default());
    let what = format!("delays of {}", time_text(asked));
    let within = if asked < Duration::from_secs(1) { WITHIN } else { LONG_WITHIN };
    place.rounds(&what, pairs, within, |_, _| {
        synced.without.add(sync(&free)?);
        synced.with.add(sync(&delayed)?);
        echoed.without.add(echo.after(Duration::ZERO)?);
        echoed.with.add(echo.after(asked)?);
        Ok(())
    })?;
    Ok(Measured { asked, synced, echoed, fired: place.fired()? })
}

/// How long fsync(2) takes.
pub(super) fn sync(file: &File) -> anyhow::Result<Duration> {
    let began = Instant::now();
    file.sync_all()?;
    Ok(began.elapsed())
}

impl Measured {
    pub(super) fn row(&self, noise: Option<String>) -> Row {
        let asked = nanoseconds(self.asked);
        let (added, floor) = (self.synced.differences(), self.echoed.differences());
        let late = (floor.median() - asked).max(0.0);
        let allowed = if asked > 1e6 { ALLOWED_NS.max(late / 4.0) } else { ALLOWED_NS };
        let bar = Bar::at_most(asked + late + allowed);
        let scatter = floor.quantile(0.9) - floor.median();
        let scattered = || {
            #[allow(clippy::cast_possible_truncation, reason = "three digits are shown")]
            let by = short_time(scatter as i64);
            (scatter > SCATTER_NS).then(|| format!("waits without slowfs scatter by {by}"))
        };
        let n = self.synced.with.len();
        let verdict = match usize::try_from(self.fired) {
            Ok(fired) if fired == n => {
                Verdict::of_speed(added.interval(), bar, noise.or_else(scattered))
            }
            _ => Verdict::Failed(format!("{} of {n} were delayed", self.fired)),
        };
        Row {
            test: "delays",
            what: format!("fsync {}", time_text(self.asked)),
            unit: Unit::Ns,
            asked,
            got: added.interval(),
            p99: Some(added.quantile(0.99)),
            floor: Some(floor.median()),
            bar,
            n,
            verdict,
        }
    }
}

/// The delays that were the shortest against what was asked, wherever they were measured.
#[derive(Default)]
pub(super) struct Shortest {
    n: usize,
    short: usize,
    least: Option<f64>,
}

impl Shortest {
    /// Counts operations that were asked to take that long, and took so many nanoseconds.
    pub(super) fn count(&mut self, asked: Duration, took: impl Iterator<Item = f64>) {
        for excess in took.map(|took| took - nanoseconds(asked)) {
            self.n += 1;
            self.short += usize::from(excess < 0.0);
            self.least = Some(self.least.map_or(excess, |least| least.min(excess)));
        }
    }

    pub(super) fn row(&self) -> Row {
        let least = self.least.unwrap_or_default();
        let short = (self.short > 0).then(|| format!("{} of {} were short", self.short, self.n));
        let none = (self.n == 0).then(|| "nothing was delayed".to_owned());
        Row {
            test: "shortest",
            what: format!("all {} delays", self.n),
            unit: Unit::Ns,
            asked: 0.0,
            got: Interval { at: least, low: least, high: least },
            p99: None,
            floor: None,
            bar: Bar::at_least(0.0),
            n: self.n,
            verdict: Verdict::of_promise(short.or(none)),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "whole up to 104 days")]
pub(super) fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred pairs at 100 us of which each takes so much longer than asked, on a machine whose own
    /// waits are late by 2 to 4 us, but for the last ones.
    fn measured(late: f64, last: f64) -> Measured {
        let (mut synced, mut echoed) = (Pairs::default(), Pairs::default());
        for n in 0..100 {
            let own = f64::from(2_000 + n * 20);
            synced.without.push(30_000.0);
            synced.with.push(130_000.0 + late + own);
            echoed.without.push(10_000.0);
            echoed.with.push(110_000.0 + if n < 85 { own } else { last });
        }
        Measured { asked: Duration::from_micros(100), synced, echoed, fired: 100 }
    }

    #[test]
    fn a_delay_is_held_to_the_floor_of_the_machine() {
        let verdict = |late, last| measured(late, last).row(None).verdict;
        assert_eq!(verdict(2_000.0, 5_000.0), Verdict::Ok);
        assert!(verdict(9_000.0, 5_000.0).has_failed());
        assert_eq!(verdict(9_000.0, 2e6).word(), "noisy");
        let busy = measured(2_000.0, 5_000.0).row(Some("busy".to_owned()));
        assert_eq!(busy.verdict.word(), "noisy");
        let row = measured(2_000.0, 5_000.0).row(None);
        assert_eq!((row.got.at, row.floor), (104_980.0, Some(102_980.0)));
        assert_eq!(row.bar.to, Some(105_980.0));
    }

    #[test]
    fn an_engine_that_delays_too_few_fails() {
        let row = Measured { fired: 99, ..measured(0.0, 5_000.0) }.row(Some("busy".to_owned()));
        assert!(row.verdict.has_failed(), "{:?}", row.verdict);
    }

    #[test]
    fn one_short_delay_fails() {
        let mut shortest = Shortest::default();
        assert!(shortest.row().verdict.has_failed(), "nothing was measured");
        let asked = Duration::from_millis(1);
        shortest.count(asked, [1_000_000.0, 1_030_000.0].into_iter());
        assert_eq!(shortest.row().verdict, Verdict::Ok);
        shortest.count(asked, [999_999.0].into_iter());
        let row = shortest.row();
        assert_eq!(row.verdict, Verdict::Failed("1 of 3 were short".to_owned()));
        assert_eq!((row.got.at, row.n), (-1.0, 3));
    }
}
