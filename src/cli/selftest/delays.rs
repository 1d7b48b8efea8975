//! Delays: what they add beyond what was asked, beside what this machine takes to wait at all.
//!
//! Of each delay fsync(2) of a file that the fault matches and of one that it does not take turns, and with
//! them a wait by another thread without slowfs, which is the floor. What a delay exceeds it by, pair by pair, is
//! judged.

use std::fs::File;
use std::time::{Duration, Instant};

use super::place::Place;
use super::row::{Bar, Row, Unit, Verdict};
use crate::cli::output::short_time;
use crate::fault::words::time_text;
use crate::measure::{Echo, Interval, Pairs};

/// Each delay, in microseconds, with its pairs and how many they are if it has to be quick.
pub(super) const STEPS: [(u64, usize, usize); 6] = [
    (30, 1_000, 150),
    (50, 1_000, 150),
    (100, 1_000, 150),
    (1_000, 1_000, 150),
    (10_000, 200, 30),
    (100_000, 50, 6),
];

/// What is measured too if there is time, likewise.
pub(super) const LONG: (u64, usize) = (1_000_000, 20);

/// How long the pairs of one delay may take together, beside a fifth more than the waits that they ask for.
const SPARE: Duration = Duration::from_secs(1);

/// What the excess over the floor may be; of more than a millisecond a quarter of the floor's own lateness, if that
/// is more.
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
    // Two pairs each.
    place.rounds(&what, pairs / 2, within(asked, pairs), |_, _| {
        synced.both_ways(|| sync(&free), || sync(&delayed))?;
        echoed.both_ways(|| echo.after(Duration::ZERO), || echo.after(asked))?;
        Ok(())
    })?;
    Ok(Measured { asked, synced, echoed, fired: place.fired()? })
}

/// How long so many pairs may take.
pub(super) fn within(asked: Duration, pairs: usize) -> Duration {
    // Each waits twice, the floor as well.
    let waits = asked.saturating_mul(u32::try_from(pairs).unwrap_or(u32::MAX)).saturating_mul(2);
    SPARE + waits + waits / 5
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
        // The floor has been measured no more exactly than the rest: so it is not taken as a figure, but pair by pair.
        let over = added.beyond(&floor).interval();
        let late = floor.median() - asked;
        let allowed = if asked > 1e6 { ALLOWED_NS.max(late / 4.0) } else { ALLOWED_NS };
        let bar = Bar::at_most(allowed);
        let scatter = floor.quantile(0.9) - floor.median();
        let scattered = || {
            #[allow(clippy::cast_possible_truncation, reason = "three digits are shown")]
            let by = short_time(scatter as i64);
            (scatter > SCATTER_NS).then(|| format!("waits without slowfs scatter by {by}"))
        };
        let n = self.synced.with.len();
        let verdict = match usize::try_from(self.fired) {
            Ok(fired) if fired == n => Verdict::of_excess(over, bar, noise.or_else(scattered)),
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
            over: Some(over),
            bar,
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
            got: Interval { at: least, low: least, high: least, n: self.n },
            p99: None,
            floor: None,
            over: None,
            bar: Bar::at_least(0.0),
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

    /// A hundred pairs of which each takes so much longer than asked, on a machine whose own waits are late by
    /// 2 to 4 us and `own`, but for the last ones.
    fn measured(micros: u32, late: f64, (own, last): (f64, f64)) -> Measured {
        let (mut synced, mut echoed) = (Pairs::default(), Pairs::default());
        let asked = f64::from(micros) * 1e3;
        for n in 0..100 {
            let own = own + f64::from(2_000 + n * 20);
            synced.without.push(30_000.0);
            synced.with.push(30_000.0 + asked + late + own);
            echoed.without.push(10_000.0);
            echoed.with.push(10_000.0 + asked + if n < 85 { own } else { last });
        }
        Measured { asked: Duration::from_micros(micros.into()), synced, echoed, fired: 100 }
    }

    #[test]
    fn a_delay_is_held_to_the_floor_of_the_machine() {
        let verdict = |late, last| measured(100, late, (0.0, last)).row(None).verdict;
        assert_eq!(verdict(2_000.0, 5_000.0), Verdict::Ok);
        assert!(verdict(9_000.0, 5_000.0).has_failed());
        assert_eq!(verdict(9_000.0, 2e6).word(), "noisy");
        let busy = measured(100, 2_000.0, (0.0, 5_000.0)).row(Some("busy".to_owned()));
        assert_eq!(busy.verdict.word(), "noisy");
        let row = measured(100, 2_000.0, (0.0, 5_000.0)).row(None);
        assert_eq!((row.got.at, row.floor), (104_980.0, Some(102_980.0)));
        assert_eq!((row.over.unwrap().at, row.bar.to), (2_000.0, Some(3_000.0)));
    }

    /// Where the second wait ends early against the first, the floor lies below what was asked.
    #[test]
    fn a_floor_below_the_asked_counts_as_it_is() {
        let verdict = |late| measured(100, late, (-23_000.0, -20_000.0)).row(None).verdict;
        assert_eq!(verdict(2_900.0), Verdict::Ok);
        assert!(verdict(3_100.0).has_failed());
    }

    #[test]
    fn a_long_delay_may_be_later_by_a_quarter_of_the_floor() {
        let row = |micros, late| measured(micros, late, (37_000.0, 40_000.0)).row(None);
        let [to_1_ms, above] = [1_000, 10_000].map(|micros| row(micros, 9_000.0));
        assert!(to_1_ms.verdict.has_failed() && above.verdict == Verdict::Ok, "{above:?}");
        assert_eq!(above.bar.to, Some((37_000.0 + 2_980.0) / 4.0));
        assert!(row(10_000, 11_000.0).verdict.has_failed());
    }

    /// Its median is beyond the bar, but it cannot be told from one that is not.
    #[test]
    fn a_delay_is_held_to_the_lower_end_of_its_interval() {
        let mut scattered = measured(100, 0.0, (0.0, 5_000.0));
        let late = (0..100).map(|n| 131_900.0 + f64::from(n % 10) * 1_000.0);
        scattered.synced.with = late.collect();
        let row = scattered.row(None);
        let over = row.over.unwrap();
        assert!(over.low < 3_000.0 && over.at > 3_000.0, "{over:?}");
        assert_eq!(row.verdict, Verdict::Ok);
    }

    #[test]
    fn an_engine_that_delays_too_few_fails() {
        let few = Measured { fired: 99, ..measured(100, 0.0, (0.0, 5_000.0)) };
        let row = few.row(Some("busy".to_owned()));
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
        assert_eq!((row.got.at, row.got.n), (-1.0, 3));
    }
}
