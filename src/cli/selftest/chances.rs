//! Chances: how often a fault fires that is to fire now and then, and whether a seed repeats it.

use std::fs::File;
use std::io;
use std::time::Duration;

use anyhow::Context;
use rustix::io::Errno;

use super::place::Place;
use super::row::{Bar, Row, Unit, Verdict};
use crate::cli::trial::Mirror;
use crate::fault::words;
use crate::measure::{Interval, central};

/// Each chance in percent, with how often it is tried, and how often if it has to be quick.
pub(super) const STEPS: [(u32, usize, usize); 2] = [(1, 10_000, 2_000), (50, 4_000, 1_000)];

/// How long the tries of a chance may take on each of the mirrors, and how long if it has to be quick.
pub(super) const WITHIN: (Duration, Duration) =
    (Duration::from_millis(1_500), Duration::from_millis(500));

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
    let mut on = |mirror| {
        run(place, mirror, percent, tries)
            .with_context(|| format!("chances of {percent}% could not be measured"))
    };
    Ok(Measured { percent, runs: [on(mirror)?, on(twin)?] })
}

fn run(place: &mut Place<'_>, mirror: &Mirror, percent: u32, tries: usize) -> anyhow::Result<Run> {
    let mut client = mirror.client()?;
    let file = File::create(mirror.mnt.join("dice"))?;
    // The name goes into the draw.
    let fault = format!("error EIO -m fsync -r '.*/dice' -p {percent}% --name chance-{percent}");
    client.put_fault(&words::line(&fault)?.0, false)?;
    let mut failed = Vec::new();
    let within = place.or_quick(WITHIN.0, WITHIN.1);
    place.rounds(&format!("chances of {percent}%"), tries, within, |_, _| {
        failed.push(is_hit(file.sync_all())?);
        Ok(())
    })?;
    let fired = client.list_faults()?.first().map(|fault| fault.fired).unwrap_or_default();
    client.clear_all_faults()?;
    Ok(Run { failed, fired })
}

/// Whether the fault has fired; what fails otherwise is none of its doing.
fn is_hit(synced: io::Result<()>) -> anyhow::Result<bool> {
    match synced {
        Ok(()) => Ok(false),
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(true),
        Err(error) => Err(error).context("fsync(2) fails, and not with the fault's EIO"),
    }
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
        let fair = fair(n, self.percent);
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
            got: Interval { at: got, low: share(around.0), high: share(around.1), n },
            p99: None,
            floor: None,
            over: None,
            bar: Bar { from: Some(share(fair.0)), to: Some(share(fair.1)) },
            verdict: self.verdict(n, broken),
        }
    }

    /// Whether the other mirror did the same.
    pub(super) fn seed_row(&self) -> Row {
        let [one, other] = &self.runs;
        // One may have had more time.
        let n = one.failed.len().min(other.failed.len());
        let same = one.failed.iter().zip(&other.failed).filter(|(one, other)| one == other).count();
        let differs = (same != n).then(|| format!("{} of {n} came out otherwise", n - same));
        Row {
            test: "seed",
            what: format!("{}%, repeated", self.percent),
            unit: Unit::Count,
            asked: n as f64,
            got: Interval { at: same as f64, low: same as f64, high: same as f64, n },
            p99: None,
            floor: None,
            over: None,
            bar: Bar::at_least(n as f64),
            verdict: self.verdict(n, differs),
        }
    }

    /// So few that dice that never fall, or always, may be fair say nothing, unless something is broken.
    fn verdict(&self, n: usize, broken: Option<String>) -> Verdict {
        let fair = fair(n, self.percent);
        match broken {
            None if fair.0 == 0 || fair.1 == n as u64 => Verdict::of_few(n),
            broken => Verdict::of_promise(broken),
        }
    }
}

/// Between how many times of n fair dice fall.
fn fair(n: usize, percent: u32) -> (u64, u64) {
    central(n as u64, f64::from(percent) / 100.0, UNFAIR)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same twice: so many of 10,000 at 1%.
    fn measured(hits: usize) -> Measured {
        of(hits, 10_000)
    }

    fn of(hits: usize, tries: usize) -> Measured {
        let run = || Run { failed: (0..tries).map(|n| n < hits).collect(), fired: hits as i64 };
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
        let row = twice.seed_row();
        assert!(row.verdict.has_failed() && row.got.n == 9_000, "{row:?}");
    }

    #[test]
    fn too_few_tries_say_nothing_of_a_chance_or_a_seed() {
        // None of 985 is what fair dice do in more than one of 20,000 series: 0.99^985 = 5.02e-5.
        for rows in [of(5, 985), of(0, 10)].map(|few| [few.row(), few.seed_row()]) {
            assert!(rows.iter().all(|row| row.verdict.word() == "noisy"), "{rows:?}");
        }
        assert_eq!(of(0, 1).row().verdict, Verdict::Noisy("only 1 try".to_owned()));
        assert_eq!(of(5, 986).row().verdict, Verdict::Ok);
        // More than fair dice fall, however few: 9 of 10.
        assert!(of(9, 10).row().verdict.has_failed());
    }

    #[test]
    fn only_the_error_of_the_fault_is_a_hit() {
        let of = |errno: Errno| is_hit(Err(errno.into()));
        assert!(!is_hit(Ok(())).unwrap() && of(Errno::IO).unwrap());
        let why = format!("{:#}", of(Errno::NOSPC).unwrap_err());
        assert!(why.starts_with("fsync(2) fails, and not with the fault's EIO: No space"), "{why}");
    }
}
