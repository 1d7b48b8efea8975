//! What a crowd costs: who works beside threads that are delayed briefly or held for long, and how late a
//! burst of delayed operations ends. Each is measured in turns with the same without the fault, and held
//! against a bar. `--slowfs PROGRAM` measures another build. `--bench` is Cargo's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench may fail by panic, and its numbers are small"
)]

mod bars;
#[path = "../tests/common/mod.rs"]
mod common;

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use bars::Bars;
use common::{Mount, delaying, hanging, stdout_of, wait_for};
use rustix::process::{Resource, getrlimit, setrlimit};
use slowfs::fault::FaultWords;
use slowfs::measure::{Interval, Sample};

/// Whose operations the faults concern.
const CROWD: &str = ".*/crowd-[0-9]+";

/// How long who works beside a crowd is looked at, each time.
const SPAN: Duration = Duration::from_millis(150);

/// A bystander of delays may take so much of what it takes beside threads that sleep by themselves, and
/// who works beside operations that are held so much of what it takes beside none.
const BYSTANDER: f64 = 1.3;
const BESIDE_HELD: f64 = 1.05;

/// A burst may be so much later than one without a delay, and by so many milliseconds more.
const LATER: f64 = 1.2;
const LATER_MS: f64 = 1.0;

/// How long it takes at most to start the threads of a burst.
const STARTING: Duration = Duration::from_secs(1);

/// How long the operations of a burst are delayed.
const DELAY: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let program = match words[..] {
        ["stranger", file] => {
            be_the_stranger(Path::new(file));
            return ExitCode::SUCCESS;
        }
        ["--slowfs", program, ..] => program,
        _ => env!("CARGO_BIN_EXE_slowfs"),
    };
    let mut descriptors = getrlimit(Resource::Nofile);
    descriptors.current = descriptors.maximum;
    setrlimit(Resource::Nofile, descriptors).unwrap();
    let mount = Mount::by(Command::new(program));
    let bars = Bars::default();
    println!(
        "a write beside threads that are delayed, to one beside threads that sleep by themselves"
    );
    for n in [16, 64] {
        for micros in [10, 50, 100, 200, 1_000] {
            bystander(&mount, n, Duration::from_micros(micros), &bars);
        }
    }
    println!("how late a burst ends that is delayed {DELAY:?}, to one that is not, milliseconds");
    [1_000, 4_000].into_iter().for_each(|n| bursts(&mount, n, &bars));
    println!("what a write and a read take beside operations that are held, to none held");
    [1_000, 4_000].into_iter().for_each(|n| beside_held(&mount, n, &bars));
    bars.end()
}

/// The median decides; the interval says how sure it is.
fn row(bars: &Bars, what: &str, Interval { at, low, high, .. }: Interval, bar: f64) {
    let verdict = bars.verdict(at <= bar);
    println!("  {what:<34} {at:7.2} ({low:.2} to {high:.2}); bar {bar:.2}: {verdict}");
}

fn on_the_crowd(fault: FaultWords) -> FaultWords {
    FaultWords { pattern: CROWD.to_owned(), ..fault }
}

fn file(mount: &Mount, name: &str) -> File {
    open(&mount.mnt().join(name))
}

fn open(path: &Path) -> File {
    // A read from the page cache would ask nobody.
    let direct = libc::O_DIRECT;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).custom_flags(direct);
    options.open(path).unwrap()
}

/// A call that is measured: how long it took.
type Call = fn(&File) -> Duration;

fn write(file: &File) -> Duration {
    let began = Instant::now();
    file.write_all_at(&[0x5a; 4096], 0).unwrap();
    began.elapsed()
}

fn read(file: &File) -> Duration {
    let began = Instant::now();
    file.read_exact_at(&mut [0; 4096], 0).unwrap();
    began.elapsed()
}

/// The median of a call that is made again and again, nanoseconds.
fn median_of(file: &File, call: Call) -> f64 {
    let began = Instant::now();
    let mut took = Sample::default();
    while began.elapsed() < SPAN {
        took.add(call(file));
    }
    took.median()
}

fn bystander(mount: &Mount, n: usize, delay: Duration, bars: &Bars) {
    let stranger = file(mount, "stranger");
    let files =
        |name: &str| (0..n).map(|k| file(mount, &format!("{name}-{k}"))).collect::<Vec<_>>();
    let (sleepers, crowd) = (files("sleeper"), files("crowd"));
    mount.add(&on_the_crowd(delaying(&["write"], delay)));
    let asleep = |file: &File| {
        write(file);
        thread::sleep(delay);
    };
    let delayed = |file: &File| {
        let took = write(file);
        assert!(took >= delay, "a write delayed {delay:?} took {took:?}");
    };
    let ratios: Sample = (0..11)
        .map(|_| {
            let beside = while_all(&sleepers, asleep, || median_of(&stranger, write));
            while_all(&crowd, delayed, || median_of(&stranger, write)) / beside
        })
        .collect();
    row(bars, &format!("beside {n} delayed {delay:?}"), ratios.interval(), BYSTANDER);
    mount.clear();
}

/// What `look` finds while a thread for each file does `work` again and again.
fn while_all(files: &[File], work: impl Fn(&File) + Sync, look: impl FnOnce() -> f64) -> f64 {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for file in files {
            let (over, work) = (&over, &work);
            start(scope, move || {
                while !over.load(Ordering::Relaxed) {
                    work(file);
                }
            });
        }
        let found = look();
        over.store(true, Ordering::Relaxed);
        found
    })
}

/// Thousands of threads need little stacks.
fn start<'scope>(scope: &'scope Scope<'scope, '_>, life: impl FnOnce() + Send + 'scope) {
    thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, life).unwrap();
}

fn bursts(mount: &Mount, n: usize, bars: &Bars) {
    let files: Vec<File> = (0..n).map(|k| file(mount, &format!("crowd-{k}"))).collect();
    let mut late = <[[Sample; 2]; 2]>::default();
    for _ in 0..7 {
        for (delay, [p50, p99]) in [Duration::ZERO, DELAY].into_iter().zip(&mut late) {
            if !delay.is_zero() {
                mount.add(&on_the_crowd(delaying(&["write"], delay)));
            }
            let burst = burst(&files, delay);
            p50.push(burst.quantile(0.5) / 1e6);
            p99.push(burst.quantile(0.99) / 1e6);
            mount.clear();
        }
    }
    let [plain, delayed] = late;
    for (what, (plain, delayed)) in ["p50", "p99"].iter().zip(plain.iter().zip(&delayed)) {
        let bar = LATER * plain.median() + LATER_MS;
        row(bars, &format!("{n} at once, {what}"), delayed.interval(), bar);
    }
}

/// How much longer than `delay` each of as many writes takes that begin at one moment.
fn burst(files: &[File], delay: Duration) -> Sample {
    let begin = Instant::now() + STARTING;
    let (tell, told) = channel();
    thread::scope(|scope| {
        for file in files {
            let tell = tell.clone();
            start(scope, move || {
                thread::sleep(begin.checked_duration_since(Instant::now()).expect("enough time"));
                tell.send(write(file)).unwrap();
            });
        }
    });
    drop(tell);
    let mut late = Sample::default();
    told.iter().for_each(|took| late.add(took.checked_sub(delay).expect("no delay is short")));
    late
}

/// What one call of a stranger takes, by its name.
const CALLS: [(&str, Call); 2] = [("write", write), ("read", read)];

fn beside_held(mount: &Mount, n: usize, bars: &Bars) {
    let files: Vec<File> = (0..n).map(|k| file(mount, &format!("crowd-{k}"))).collect();
    let bystander = mount.mnt().join("bystander");
    write(&open(&bystander));
    let mut ratios = <[Sample; 2]>::default();
    for _ in 0..21 {
        let hang = mount.add(&on_the_crowd(hanging(&["write"])));
        let before = stranger(&bystander);
        thread::scope(|scope| {
            files.iter().for_each(|file| start(scope, move || _ = write(file)));
            let all = || (mount.listed(hang).held == n as i64).then_some(());
            wait_for("all to be held", all);
            let beside = stranger(&bystander);
            mount.clear();
            for ((beside, before), ratios) in beside.into_iter().zip(before).zip(&mut ratios) {
                ratios.push(beside / before);
            }
        });
    }
    for ((name, _), ratios) in CALLS.iter().zip(&ratios) {
        row(bars, &format!("a {name} beside {n} held"), ratios.interval(), BESIDE_HELD);
    }
}

/// What the calls of a process of its own take: in one of thousands of threads each call would take longer,
/// whatever these do.
fn stranger(file: &Path) -> [f64; 2] {
    let program = std::env::current_exe().unwrap();
    let told = stdout_of(Command::new(program).arg("stranger").arg(file));
    let mut figures = told.split_whitespace().map(|figure| figure.parse().unwrap());
    [(); 2].map(|()| figures.next().unwrap())
}

/// The part of that process.
fn be_the_stranger(file: &Path) {
    let file = open(file);
    CALLS.iter().for_each(|(_, call)| println!("{}", median_of(&file, *call)));
}
