//! Isolation: what somebody whose operations no fault concerns feels of others that are delayed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::delays::{Shortest, sync};
use super::place::{Place, in_turns};
use super::row::{Bar, Row, Unit, Verdict};
use crate::measure::{Pairs, Sample};

const CALLERS: usize = 16;
const DELAY: Duration = Duration::from_micros(200);

/// How long the rounds may take, and how long if it has to be quick.
pub(super) const WITHIN: (Duration, Duration) = (Duration::from_secs(7), Duration::from_secs(2));

/// How long the stranger is looked at, each time.
const SPAN: Duration = Duration::from_millis(100);

/// What its write may take of what it takes beside threads that sleep by themselves.
const ALLOWED: f64 = 1.3;

#[derive(Default)]
pub(super) struct Measured {
    /// The median of the stranger's writes, each round: beside sleeping and beside delayed threads.
    writes: Pairs,
    /// How long the delayed ones took.
    took: Sample,
}

pub(super) fn measure(place: &mut Place<'_>) -> anyhow::Result<Measured> {
    let files = |place: &Place<'_>, name: &str| {
        (0..CALLERS).map(|n| place.file(&format!("{name}{n}"))).collect::<anyhow::Result<Vec<_>>>()
    };
    let (free, delayed) = (files(place, "free")?, files(place, "delayed")?);
    let stranger = place.file("stranger")?;
    place.set("delay 200us -m fsync -r '.*/delayed[0-9]+'")?;
    let mut measured = Measured::default();
    let (rounds, within) = (place.or_quick(15, 6), place.or_quick(WITHIN.0, WITHIN.1));
    place.rounds("isolation", rounds, within, |_, round| {
        let sleeping = |file: &File| sync(file).inspect(|_| thread::sleep(DELAY));
        let beside_sleeping = || beside(&stranger, &free, sleeping);
        let beside_delayed = || beside(&stranger, &delayed, sync);
        let ((without, _), (with, took)) = in_turns(round, beside_sleeping, beside_delayed)?;
        measured.writes.without.push(without.median());
        measured.writes.with.push(with.median());
        took.figures().for_each(|took| measured.took.push(took));
        Ok(())
    })?;
    Ok(measured)
}

/// How long the stranger's writes took while a thread for each of these files did `work` over and over,
/// and how long that said it took.
fn beside(
    stranger: &File,
    files: &[File],
    work: impl Fn(&File) -> anyhow::Result<Duration> + Sync,
) -> anyhow::Result<(Sample, Sample)> {
    let over = AtomicBool::new(false);
    let repeat = |file: &File| {
        let mut took = Sample::default();
        while !over.load(Ordering::Relaxed) {
            took.add(work(file)?);
        }
        anyhow::Ok(took)
    };
    thread::scope(|scope| {
        let repeat = &repeat;
        let crowd: Vec<_> = files.iter().map(|file| scope.spawn(move || repeat(file))).collect();
        let writes = write_for(SPAN, stranger);
        over.store(true, Ordering::Relaxed);
        let mut all = Sample::default();
        for caller in crowd {
            let took = caller.join().unwrap_or_else(|_| bail!("a caller panicked"))?;
            took.figures().for_each(|took| all.push(took));
        }
        Ok((writes?, all))
    })
}

fn write_for(span: Duration, file: &File) -> anyhow::Result<Sample> {
    let mut took = Sample::default();
    let end = Instant::now() + span;
    while Instant::now() < end {
        took.add(write(file)?);
    }
    Ok(took)
}

/// How long it takes to write a page.
pub(super) fn write(file: &File) -> anyhow::Result<Duration> {
    let began = Instant::now();
    file.write_all_at(&[0x5a; 4096], 0)?;
    Ok(began.elapsed())
}

impl Measured {
    pub(super) fn count(&self, shortest: &mut Shortest) {
        shortest.count(DELAY, self.took.figures());
    }

    pub(super) fn row(&self, noise: Option<String>) -> Row {
        let (with, without) = (self.writes.with.figures(), self.writes.without.figures());
        let ratios: Sample = with.zip(without).map(|(with, without)| with / without).collect();
        let (got, bar) = (ratios.interval(), Bar::at_most(ALLOWED));
        Row {
            test: "isolation",
            what: format!("a write beside {CALLERS} delayed"),
            unit: Unit::Ratio,
            asked: 1.0,
            got,
            p99: None,
            floor: None,
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
    fn a_stranger_who_feels_the_delays_of_others_is_told() {
        let measured = |with: f64| Measured {
            writes: Pairs {
                without: [50e3; 9].into_iter().collect(),
                with: [with; 9].into_iter().collect(),
            },
            took: Sample::default(),
        };
        assert_eq!(measured(55e3).row(None).verdict, Verdict::Ok);
        assert!(measured(250e3).row(None).verdict.has_failed());
        assert_eq!(measured(250e3).row(Some("busy".to_owned())).verdict.word(), "noisy");
    }
}
