//! The cost of being armed: how fast operations are while faults are set that match nothing.

use std::fs::File;
use std::time::{Duration, Instant};

use super::isolation::write;
use super::place::Place;
use super::row::{Bar, Row, Unit, Verdict};
use crate::measure::{Interval, Sample};

/// How long the rounds of an operation may take, and how long if it has to be quick.
pub(super) const WITHIN: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(2));

/// What is to be left of the speed.
const LEFT: f64 = 0.95;

/// How far the same twice may lie apart, or its interval reach, where a twentieth is judged.
const SCATTER: f64 = 0.05;

/// How many faults are set in each turn. The first and the last are the same.
const TURNS: [usize; 4] = [0, 1, 100, 0];

/// What is done, with how often in each turn, and how often if it has to be quick.
pub(super) struct Operation {
    what: &'static str,
    usual: usize,
    quick: usize,
    run: fn(&Place<'_>, &File) -> anyhow::Result<Duration>,
}

pub(super) const OPERATIONS: [Operation; 2] = [
    Operation { what: "write", usual: 1_000, quick: 300, run: |_, file| write(file) },
    Operation { what: "create, unlink", usual: 200, quick: 25, run: |place, _| name(place) },
];

fn name(place: &Place<'_>) -> anyhow::Result<Duration> {
    let path = place.mirror.mnt.join("name");
    let began = Instant::now();
    drop(File::create(&path)?);
    std::fs::remove_file(&path)?;
    Ok(began.elapsed())
}

pub(super) struct Measured {
    what: &'static str,
    /// The median of each turn, round by round.
    turns: Vec<[f64; TURNS.len()]>,
}

pub(super) fn measure(place: &mut Place<'_>, operation: &Operation) -> anyhow::Result<Measured> {
    let file = place.file("hot")?;
    let mut measured = Measured { what: operation.what, turns: Vec::new() };
    let (rounds, within) = (place.or_quick(11, 7), place.or_quick(WITHIN.0, WITHIN.1));
    let times = place.or_quick(operation.usual, operation.quick);
    place.rounds(&format!("cost for {}", operation.what), rounds, within, |place, round| {
        let mut medians = [0.0; TURNS.len()];
        let mut turns: Vec<_> = TURNS.into_iter().zip(&mut medians).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (faults, median) in turns {
            let absent = |n| format!("error EIO -m all -r '(^|.*/)absent{n}/.*' --add");
            place.set_all(&(0..faults).map(absent).collect::<Vec<_>>())?;
            let mut took = Sample::default();
            for _ in 0..times {
                took.add((operation.run)(place, &file)?);
            }
            *median = took.median();
        }
        measured.turns.push(medians);
        Ok(())
    })?;
    place.set_all(&[])?;
    Ok(measured)
}

impl Measured {
    /// One for each number of faults.
    pub(super) fn rows(&self, noise: &Option<String>) -> Vec<Row> {
        // Of the turns without a fault: the speed of the second as a share of the first's.
        let twice: Sample = self.turns.iter().map(|[first, .., last]| first / last).collect();
        let twice = twice.interval();
        let noise = noise.clone().or_else(|| scatter(twice));
        let row = |faults: usize, armed: &dyn Fn(&[f64; TURNS.len()]) -> f64| {
            let unarmed = |[first, .., last]: &[f64; TURNS.len()]| f64::midpoint(*first, *last);
            let ratios = self.turns.iter().map(|turns| unarmed(turns) / armed(turns));
            let (got, bar) = (ratios.collect::<Sample>().interval(), Bar::at_least(LEFT));
            let s = if faults == 1 { "" } else { "s" };
            Row {
                test: "cost",
                what: format!("{} beside {faults} fault{s}", self.what),
                unit: Unit::Ratio,
                asked: 1.0,
                got,
                p99: None,
                floor: Some(twice.at),
                over: None,
                bar,
                verdict: Verdict::of_speed(got, bar, noise.clone()),
            }
        };
        let [_, one, hundred, _] = TURNS;
        vec![row(one, &|[_, armed, ..]| *armed), row(hundred, &|[_, _, armed, _]| *armed)]
    }
}

fn scatter(twice: Interval) -> Option<String> {
    let apart = (twice.at - 1.0).abs();
    let reach = (twice.high - twice.low) / 2.0;
    let by = 100.0 * apart.max(reach);
    (by > 100.0 * SCATTER).then(|| format!("the same twice is {by:.0}% apart"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_cost_speed_are_told() {
        let verdicts = |turns: [f64; 4]| {
            let measured = Measured { what: "write", turns: vec![turns; 9] };
            let rows = measured.rows(&None);
            rows.iter().map(|row| row.verdict.word()).collect::<Vec<_>>()
        };
        assert_eq!(verdicts([50.0, 50.0, 51.0, 50.0]), ["ok", "ok"]);
        assert_eq!(verdicts([50.0, 51.0, 100.0, 50.0]), ["ok", "failed"]);
        assert_eq!(verdicts([50.0, 55.0, 100.0, 51.0]), ["failed", "failed"]);
        assert_eq!(verdicts([50.0, 50.0, 100.0, 60.0]), ["noisy", "noisy"]);
    }
}
