//! A write-ahead log under a delay, beside one that must not feel it. No locks.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::super::output;
use super::super::progress::Progress;
use super::super::trial::Mirror;
use crate::fault::words::PlainFault;
use crate::measure::{Pairs, Sample};
use crate::rpc::Client;

/// The users' own pattern for etcd's log.
const WAL: &str = "(^|.*/)member/wal/.*";
/// What one append writes, bytes.
const BLOCK: usize = 4096;
/// Between two appends, so that the writers do not compete for the processors.
const PAUSE: Duration = Duration::from_micros(300);
/// Each delay asked for, in microseconds, with the rounds and the appends of each round.
const STEPS: [(i32, u32, u32); 6] =
    [(0, 30, 20), (1, 30, 20), (100, 30, 20), (1_000, 20, 15), (10_000, 6, 15), (100_000, 2, 10)];

/// Measures each delay and prints the table of them.
///
/// # Errors
/// Something could not be set up, or a delay did not come as asked.
pub(super) fn show(mirror: &Mirror) -> anyhow::Result<()> {
    let (raw, mnt) = (&mirror.raw, &mirror.mnt);
    fs::create_dir_all(raw.join("member/wal"))?;
    output::out(&format!(
        "Delays: fsync, fdatasync and fsyncdir of paths that match {WAL},\n\
         set through Thrift on {}, as any charybdefs client does\n",
        mirror.addr
    ));
    let mut client = mirror.client()?;
    let mut progress = Progress::default();
    let mut rows = Vec::new();
    for (delay_us, rounds, appends) in STEPS {
        let mut row = Row::new(delay_us);
        for round in 0..rounds {
            progress.show(&format!("{}: round {} of {rounds}", asked(delay_us), round + 1));
            row.round(&mut client, mnt, appends)?;
        }
        rows.push(row);
    }
    progress.clear();
    print_table(&rows);
    rows.iter().try_for_each(Row::check)
}

/// What was measured at one delay. Rounds without and with it alternate, so that a drift of the
/// machine falls on both.
struct Row {
    delay_us: i32,
    log: Pairs,
    beside: Pairs,
    matched: i64,
    fired: i64,
}

impl Row {
    fn new(delay_us: i32) -> Row {
        Row { delay_us, log: Pairs::default(), beside: Pairs::default(), matched: 0, fired: 0 }
    }

    fn round(&mut self, client: &mut Client, mnt: &Path, appends: u32) -> anyhow::Result<()> {
        client.clear_all_faults()?;
        write_both(mnt, appends, &mut self.log.without, &mut self.beside.without)?;
        let methods = ["fsync", "fdatasync", "fsyncdir"].map(str::to_owned);
        let fault = PlainFault {
            probability: 100_000,
            regexp: WAL.to_owned(),
            delay_us: self.delay_us.into(),
            ..PlainFault::default()
        };
        client.set_fault(Some(&methods), &fault)?;
        write_both(mnt, appends, &mut self.log.with, &mut self.beside.with)?;
        for fault in client.list_faults()? {
            self.matched += fault.matched;
            self.fired += fault.fired;
        }
        client.clear_all_faults()?;
        Ok(())
    }

    /// A delay is a lower bound: nothing on the log may be faster, and everything must have fired.
    fn check(&self) -> anyhow::Result<()> {
        let asked_ns = f64::from(self.delay_us) * 1_000.0;
        let least = self.log.with.least();
        ensure!(least >= asked_ns, "{}: one append took {least} ns", asked(self.delay_us));
        let fired = usize::try_from(self.fired)?;
        ensure!(fired == self.log.with.len(), "{}: {fired} fired", asked(self.delay_us));
        Ok(())
    }
}

/// Appends to the log `appends` times while another file beside it is appended to.
fn write_both(
    mnt: &Path,
    appends: u32,
    log: &mut Sample,
    beside: &mut Sample,
) -> anyhow::Result<()> {
    let done = AtomicBool::new(false);
    let open = |path: &str| OpenOptions::new().create(true).append(true).open(mnt.join(path));
    let (wal, other) = (open("member/wal/0.wal")?, open("member/other.log")?);
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                append(&other, beside)?;
            }
            anyhow::Ok(())
        });
        let first = (0..appends).try_for_each(|_| append(&wal, log));
        done.store(true, Ordering::Relaxed);
        let second = second.join().unwrap_or_else(|_| bail!("the second writer panicked"));
        first.and(second)
    })
}

/// One append and its fdatasync, timed together.
fn append(mut file: &File, latencies: &mut Sample) -> anyhow::Result<()> {
    let started = Instant::now();
    file.write_all(&[0x5a; BLOCK])?;
    file.sync_data()?;
    latencies.add(started.elapsed());
    thread::sleep(PAUSE);
    Ok(())
}

fn asked(delay_us: i32) -> String {
    format_us(f64::from(delay_us))
}

fn format_us(us: f64) -> String {
    match us.abs() {
        ..1_000.0 => format!("{us:.1} us"),
        _ => format!("{:.2} ms", us / 1_000.0),
    }
}

fn print_table(rows: &[Row]) {
    output::out(&format!(
        "{:>10}  {:>12} {:>12}  {:>12} {:>12}  {:>8} {:>8}",
        "delay", "log", "", "beside it", "", "log", "log"
    ));
    output::out(&format!(
        "{:>10}  {:>12} {:>12}  {:>12} {:>12}  {:>8} {:>8}",
        "asked", "added median", "added p99", "added median", "added p99", "matched", "fired"
    ));
    for row in rows {
        let us = |pair: &Pairs, q| format_us(pair.added(q) / 1_000.0);
        output::out(&format!(
            "{:>10}  {:>12} {:>12}  {:>12} {:>12}  {:>8} {:>8}",
            asked(row.delay_us),
            us(&row.log, 0.5),
            us(&row.log, 0.99),
            us(&row.beside, 0.5),
            us(&row.beside, 0.99),
            row.matched,
            row.fired
        ));
    }
    output::out(
        "\nadded: compared with the median without a delay, measured in turns. No append to the log\n\
         took less than its delay. What follows a wait may be faster than without one.",
    );
}
