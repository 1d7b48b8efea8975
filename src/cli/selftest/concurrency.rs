//! Concurrency: delays of as many callers at once, which must not wait for each other.

use std::fs::File;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::delays::{Shortest, nanoseconds, sync};
use super::place::{Place, in_turns};
use super::row::{Bar, Row, Unit, Verdict};
use crate::measure::Sample;

const CALLERS: usize = 64;
const DELAY: Duration = Duration::from_millis(100);

/// How long the rounds may take, and how long if it has to be quick.
pub(super) const WITHIN: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(2));

/// How much later than threads that wait by themselves they may end: a fifth, and that.
const SLACK_NS: f64 = 1e6;

#[derive(Default)]
pub(super) struct Measured {
    /// When the last of them ended, counted from the first's begin.
    ended: Sample,
    /// The same of threads that wait by themselves after an fsync(2) without a delay.
    alone: Sample,
    /// How long each delayed one took.
    took: Sample,
}

pub(super) fn measure(place: &mut Place<'_>) -> anyhow::Result<Measured> {
    let files = |name: &str| (0..CALLERS).map(|n| place.file(&format!("{name}{n}"))).collect();
    let (free, delayed): (anyhow::Result<Vec<_>>, anyhow::Result<Vec<_>>) =
        (files("free"), files("delayed"));
    let (free, delayed) = (free?, delayed?);
    place.set("delay 100ms -m fsync -r '.*/delayed[0-9]+'")?;
    let mut measured = Measured::default();
    let (rounds, within) = (place.or_quick(7, 6), place.or_quick(WITHIN.0, WITHIN.1));
    place.rounds("concurrency", rounds, within, |_, round| {
        let waiting = |file: &File| sync(file).map(|_| thread::sleep(DELAY));
        let alone = || all_at_once(&free, waiting);
        let held = || all_at_once(&delayed, |file| sync(file).map(drop));
        let (alone, held) = in_turns(round, alone, held)?;
        measured.alone.add(span(&alone));
        measured.ended.add(span(&held));
        held.iter().for_each(|(began, ended)| measured.took.add(*ended - *began));
        Ok(())
    })?;
    Ok(measured)
}

/// When each began and ended what it does with its file.
type Times = Vec<(Instant, Instant)>;

fn all_at_once(
    files: &[File],
    work: impl Fn(&File) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Times> {
    let start = Barrier::new(files.len());
    let one = |file: &File| {
        start.wait();
        let began = Instant::now();
        work(file)?;
        anyhow::Ok((began, Instant::now()))
    };
    thread::scope(|scope| {
        let one = &one;
        let callers: Vec<_> = files.iter().map(|file| scope.spawn(move || one(file))).collect();
        let ends = callers.into_iter().map(|caller| caller.join());
        ends.map(|end| end.unwrap_or_else(|_| bail!("a caller panicked"))).collect()
    })
}

/// From the first's begin to the last's end.
fn span(times: &Times) -> Duration {
    let began = times.iter().map(|(began, _)| began).min();
    let ended = times.iter().map(|(_, ended)| ended).max();
    began.zip(ended).map(|(began, ended)| *ended - *began).unwrap_or_default()
}

impl Measured {
    pub(super) fn count(&self, shortest: &mut Shortest) {
        shortest.count(DELAY, self.took.figures());
    }

    pub(super) fn row(&self, noise: Option<String>) -> Row {
        let asked = nanoseconds(DELAY);
        let (got, floor) = (self.ended.interval(), self.alone.median());
        let bar = Bar::at_most(asked + 1.2 * (floor - asked) + SLACK_NS);
        Row {
            test: "concurrency",
            what: format!("{CALLERS} at once"),
            unit: Unit::Ns,
            asked,
            got,
            p99: None,
            floor: Some(floor),
            over: None,
            bar,
            verdict: Verdict::of_speed(got, bar, noise),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_that_wait_for_each_other_fail() {
        let measured = |ended: f64| Measured {
            ended: [ended; 7].into_iter().collect(),
            alone: [105e6; 7].into_iter().collect(),
            took: Sample::default(),
        };
        assert_eq!(measured(104e6).row(None).verdict, Verdict::Ok);
        // As by charybdefs, whose delays sleep one after the other.
        assert!(measured(6.4e9).row(None).verdict.has_failed());
        assert!(measured(115e6).row(None).verdict.has_failed());
    }
}
