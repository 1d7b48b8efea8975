//! `slowfs demo`: a write-ahead log under a delay, beside one that must not feel it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::output;
use crate::fault::words::PlainFault;
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

/// What `slowfs demo` is told: nothing.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {}

/// Runs the demonstration; everything it makes is gone afterwards.
///
/// # Errors
/// Something could not be set up, or a delay did not come as asked.
pub(super) fn run(_: &DemoArgs) -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let (raw, mnt) = (scratch.0.join("raw"), scratch.0.join("mnt"));
    fs::create_dir_all(raw.join("member/wal"))?;
    fs::create_dir(&mnt)?;
    let daemon = Daemon::start(&mnt, &raw)?;
    output::out(&format!("mounted   {} over {}", mnt.display(), raw.display()));
    output::out(&format!("control   Thrift on {}, any charybdefs client can connect", daemon.addr));
    output::out(&format!("delaying  fsync, fdatasync, fsyncdir of paths that match {WAL}\n"));
    let mut client = Client::connect(&daemon.addr, Duration::from_secs(5))?;
    let mut progress = Progress::default();
    let mut rows = Vec::new();
    for (delay_us, rounds, appends) in STEPS {
        let mut row = Row::new(delay_us);
        for round in 0..rounds {
            progress.show(&format!("{}: round {} of {rounds}", asked(delay_us), round + 1));
            row.round(&mut client, &mnt, appends)?;
        }
        rows.push(row);
    }
    progress.clear();
    print_table(&rows);
    daemon.stop()?;
    output::out(&format!("\nunmounted {}", mnt.display()));
    rows.iter().try_for_each(Row::check)
}

/// A temporary directory, in memory where there is such: a disk's own noise would hide the delay.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Scratch> {
        let name = format!("slowfs-demo-{:016x}", rand::random::<u64>());
        let make = |parent: &Path| {
            let path = parent.join(&name);
            DirBuilder::new().mode(0o700).create(&path).map(|()| Scratch(path))
        };
        make(Path::new("/dev/shm")).or_else(|_| make(&std::env::temp_dir()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The daemon has ended by now; if its mount is still there, what it mirrors is not to go.
        let _ = fs::remove_dir(self.0.join("mnt")).and_then(|()| fs::remove_dir_all(&self.0));
    }
}

/// A mount of this very program, in a process of its own.
struct Daemon {
    child: Child,
    addr: String,
}

impl Daemon {
    fn start(mnt: &Path, raw: &Path) -> anyhow::Result<Daemon> {
        let usual = "127.0.0.1:9090";
        let free = std::net::TcpListener::bind(usual).is_ok();
        let listen = if free { usual } else { "127.0.0.1:0" };
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("mount").arg(mnt).arg("--subdir").arg(raw).args(["--listen", listen]);
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let log = child.stderr.take().context("the daemon has no log")?;
        let mut lines = BufReader::new(log).lines();
        let mut last = String::new();
        let addr = loop {
            let Some(line) = lines.next().transpose()? else {
                child.wait()?;
                bail!("the mount did not start: {}", last.trim_start_matches("slowfs: "));
            };
            if let Some((_, addr)) = line.rsplit_once("served on ") {
                break addr.trim().to_owned();
            }
            last = line;
        };
        // The rest of the log is of no interest, but its pipe must not fill up.
        thread::spawn(move || lines.for_each(drop));
        Ok(Daemon { child, addr })
    }

    fn stop(mut self) -> anyhow::Result<()> {
        self.terminate();
        let status = self.child.wait()?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It has ended already: nothing to do.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.terminate();
        // Waited for already, or ending: either way nothing is left behind.
        let _ = self.child.wait();
    }
}

/// What was measured at one delay. Rounds without and with it alternate, so that a drift of the
/// machine falls on both.
struct Row {
    delay_us: i32,
    log: Pair,
    beside: Pair,
    matched: i64,
    fired: i64,
}

/// Latencies without and with the delay.
#[derive(Default)]
struct Pair {
    without: Latencies,
    with: Latencies,
}

impl Pair {
    /// What a quantile with the delay exceeds the median without it by, in nanoseconds.
    fn added(&self, quantile: f64) -> f64 {
        self.with.quantile(quantile) as f64 - self.without.quantile(0.5) as f64
    }
}

/// How long appends took, in nanoseconds.
#[derive(Default)]
struct Latencies(Vec<u64>);

impl Latencies {
    /// The shortest that so great a share of all is not longer than; 0 of none.
    fn quantile(&self, share: f64) -> u64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    fn least(&self) -> u64 {
        self.0.iter().copied().min().unwrap_or_default()
    }
}

impl Row {
    fn new(delay_us: i32) -> Row {
        Row { delay_us, log: Pair::default(), beside: Pair::default(), matched: 0, fired: 0 }
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
        let asked_ns = u64::try_from(self.delay_us)? * 1_000;
        let least = self.log.with.least();
        ensure!(least >= asked_ns, "{}: one append took {least} ns", asked(self.delay_us));
        let fired = usize::try_from(self.fired)?;
        ensure!(fired == self.log.with.0.len(), "{}: {fired} fired", asked(self.delay_us));
        Ok(())
    }
}

/// Appends to the log `appends` times while another file beside it is appended to.
fn write_both(
    mnt: &Path,
    appends: u32,
    log: &mut Latencies,
    beside: &mut Latencies,
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
fn append(mut file: &File, latencies: &mut Latencies) -> anyhow::Result<()> {
    let started = Instant::now();
    file.write_all(&[0x5a; BLOCK])?;
    file.sync_data()?;
    latencies.0.push(u64::try_from(started.elapsed().as_nanos())?);
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
        let us = |pair: &Pair, q| format_us(pair.added(q) / 1_000.0);
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
        "\nadded: against the median without a delay, measured in turns. No append to the log took\n\
         less than its delay; what comes after a wait may be quicker than without one.",
    );
}

/// One line that is written over on a terminal, and written once per step elsewhere.
#[derive(Default)]
struct Progress {
    last: String,
}

impl Progress {
    fn show(&mut self, text: &str) {
        let step = text.split(':').next().unwrap_or_default();
        if io::stderr().is_terminal() {
            output::progress(&format!("\r\x1b[K{text}"));
        } else if step != self.last {
            output::progress(&format!("measuring {step}\n"));
        }
        self.last = step.to_owned();
    }

    fn clear(&self) {
        if io::stderr().is_terminal() {
            output::progress("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_those_measured() {
        let latencies = Latencies((1..=100).rev().collect());
        assert_eq!([0.5, 0.99, 1.0].map(|share| latencies.quantile(share)), [50, 99, 100]);
        assert_eq!((latencies.least(), Latencies::default().quantile(0.5)), (1, 0));
    }
}
