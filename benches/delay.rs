//! How late delayed operations run: one at a time on an idle machine, and many at once. Prints a
//! table; lateness is the time from when an operation was due to when its job began.

#![allow(clippy::unwrap_used, reason = "a bench may fail by panic")]

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use slowfs::fault::Plain;
use slowfs::fault::{Caller, Operation};
use slowfs::fault::{DelayLine, Fault, FaultTable, Gate, Memo, Placement, Subject};
use slowfs::measure::Sample;
use slowfs::ops::{Call, MethodSet};

struct File;

impl Subject for File {
    fn methods(&self) -> MethodSet {
        Call::Fsync.methods()
    }

    fn memo(&self) -> Option<&Memo> {
        None
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(b"");
    }
}

/// Holds `at_once` operations, `rounds` times one after the other; how late each was.
fn lateness(delay: Duration, at_once: usize, rounds: usize) -> Sample {
    let line = DelayLine::new().unwrap();
    let table = FaultTable::new(Arc::clone(&line), None);
    let gate = Gate::new(Arc::clone(&table));
    let plain = Plain { delay: Some(delay), ..Plain::default() };
    let fault = Fault::on(Call::Fsync.methods()).unwrap();
    table.put(plain.done_by(fault).unwrap(), Placement::Add).unwrap();
    let (tell, told) = channel();
    let mut late = Sample::default();
    for _ in 0..rounds {
        for _ in 0..at_once {
            let arrived = Instant::now();
            let op = Operation::new(Call::Fsync, Caller::default(), 7).arrived_at(arrived);
            let Some(hit) = gate.decide(&[&File], &op) else { continue };
            let tell = tell.clone();
            let job = move |_, _| tell.send(arrived.elapsed() - delay).unwrap();
            line.hold(hit, arrived, false, Box::new(job));
        }
        told.iter().take(at_once).for_each(|by| late.add(by));
    }
    late
}

fn main() {
    println!("{:>9} {:>8} {:>10} {:>10} {:>10}", "delay", "at once", "median", "p99", "max");
    for (micros, at_once, rounds) in [
        (100, 1, 5_000),
        (1_000, 1, 2_000),
        (10_000, 1, 300),
        (1_000, 16, 300),
        (100_000, 16, 20),
        (100_000, 1_000, 5),
    ] {
        let delay = Duration::from_micros(micros);
        let late = lateness(delay, at_once, rounds);
        let [median, p99, max] =
            [0.5, 0.99, 1.0].map(|share| Duration::from_nanos(late.quantile(share) as u64));
        println!("{delay:>9?} {at_once:>8} {median:>10.1?} {p99:>10.1?} {max:>10.1?}");
    }
}
