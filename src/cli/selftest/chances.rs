//! Chances: how often a fault fires that is to fire now and then, and whether a seed repeats it.

use std::fs::File;
use std::time::Duration;

use super::place::Place;
use super::row::{Bar, Row, Unit, Verdict};
use crate::cli::trial::Mirror;
use crate::fault::words;
use crate::measure::{Interval, central};

/// Each chance in percent, with how often it is tried, and how often if it has to be quick.
pub(super) const STEPS: [(u32, usize, usize); 2] = [(1, 10_000, 2_000), (50, 4_000, 1_000)];

const WITHIN: Duration = Duration::from_secs(5);

/// Fair dice are outside of their bar in as many of all runs.
const UNFAIR: f64 = 1e-4;

/// What fsync(2) met on one of the mirrors.
struct Run {
    failed: Vec<bool>,
    /// As slowfs counted.
    fired: i64,
}

pub(super) struct Measured {
    percent: u32,
    /// On two mirrors whose seed is the same.
    runs: [Run; 2],
}

pub(super) fn measure(
    place: &mut Place<'_>,
    percent: u32,
    tries: usize,
) -> anyhow::Result<Measured> {
    let (mirror, twin) = (place.mirror, place.twin);
    let first = run(place, mirror, percent, (tries, WITHIN))?;
    // As often, however long it takes.
    let second = run(place, twin, percent, (first.failed.len(), Duration::MAX))?;
    Ok(Measured { percent, runs: [first, second] })
}

fn run(
    place: &mut Place<'_>,
    mirror: &Mirror,
    percent: u32,
    (tries, within): (usize, Duration),
) -> anyhow::Result<Run> {
    let mut client = mirror.client()?;
    let file = File::create(mirror.mnt.join("dice"))?;
    // The name goes into the draw.
    let fault = format!("error EIO -m fsync -r '.*/dice' -p {percent}% --name chance-{percent}");
    client.put_fault(&words::line(&fault)?.0, false)?;
    let mut failed = Vec::new();
    place.rounds(&format!("chances of {percent}%"), tries, within, |_, _| {
        failed.push(file.sync_all().is_err());
        Ok(())
    })?;
    let fired = client.list_faults()?.first().map(|fault| fault.fired).unwrap_or_default();
    client.clear_all_faults()?;
    Ok(Run { failed, fired })
}

impl Run {
    fn hits(&self) -> usize {
        self.failed.iter().filter(|failed| **failed).count()
    }
}

#[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
impl Measured {
    /// How often it fired.
    pub(super) fn row(&self) -> Row {
        let [run, _] = &self.runs;
        let (n, hits, chance) = (run.failed.len(), run.hits(), f64::from(self.percent) / 100.0);
        let fair = central(n as u64, chance, UNFAIR);
        let share = |count: u64| count as f64 / n.max(1) as f64;
        let got = share(hits as u64);
        let around = central(n as u64, got, 0.05);
        let miscounted = usize::try_from(run.fired) != Ok(hits);
        let broken = if miscounted {
            Some(format!("{hits} were met and {} counted", run.fired))
        } else if n == 0 || !(fair.0..=fair.1).contains(&(hits as u64)) {
            Some(format!("fired {hits} times of {n}: fair dice, {} to {}", fair.0, fair.1))
        } else {
            None
        };
        Row {
            test: "chances",
            what: format!("{}%", self.percent),
            unit: Unit::Share,
            asked: chance,
            got: Interval { at: got, low: share(around.0), high: share(around.1) },
            p99: None,
            floor: None,
            bar: Bar { from: Some(share(fair.0)), to: Some(share(fair.1)) },
            n,
            verdict: Verdict::of_promise(broken),
        }
    }

    /// Whether the other mirror did the same.
    pub(super) fn seed_row(&self) -> Row {
        let [one, other] = &self.runs;
        let n = one.failed.len();
        let same = one.failed.iter().zip(&other.failed).filter(|(one, other)| one == other).count();
        let differs = same != n || other.failed.len() != n;
        let differs = differs.then(|| format!("{} of {n} came out otherwise", n - same));
        Row {
            test: "seed",
            what: format!("{}%, repeated", self.percent),
            unit: Unit::Count,
            asked: n as f64,
            got: Interval { at: same as f64, low: same as f64, high: same as f64 },
            p99: None,
            floor: None,
            bar: Bar::at_least(n as f64),
            n,
            verdict: Verdict::of_promise(differs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same twice: so many of 10,000 at 1%.
    fn measured(hits: usize) -> Measured {
        let run = || Run { failed: (0..10_000).map(|n| n < hits).collect(), fired: hits as i64 };
        Measured { percent: 1, runs: [run(), run()] }
    }

    #[test]
    fn dice_that_are_not_fair_fail() {
        for fair in [64, 100, 141] {
            assert_eq!(measured(fair).row().verdict, Verdict::Ok, "{fair}");
        }
        for unfair in [0, 63, 142, 10_000] {
            assert!(measured(unfair).row().verdict.has_failed(), "{unfair}");
        }
        let none =
            Measured { runs: [(); 2].map(|()| Run { failed: vec![], fired: 0 }), percent: 1 };
        assert!(none.row().verdict.has_failed());
    }

    #[test]
    fn a_count_that_is_not_what_was_met_fails() {
        let mut counted = measured(100);
        counted.runs[0].fired = 101;
        assert!(counted.row().verdict.has_failed());
    }

    #[test]
    fn a_seed_that_does_not_repeat_fails() {
        let mut twice = measured(100);
        assert_eq!(twice.seed_row().verdict, Verdict::Ok);
        twice.runs[1].failed.swap(99, 100);
        let verdict = twice.seed_row().verdict;
        assert_eq!(verdict, Verdict::Failed("2 of 10000 came out otherwise".to_owned()));
        twice.runs[1].failed.truncate(9_000);
        assert!(twice.seed_row().verdict.has_failed());
    }
}
