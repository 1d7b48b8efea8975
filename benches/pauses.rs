//! Who waits for a change: how long setting a fault takes, and renaming a directory above many files,
//! and what others feel meanwhile; and what stays of a fault once it is cleared. `--slowfs PROGRAM`
//! measures another build, `--files N` another tree. `--bench` is Cargo's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench may fail by panic, and its numbers are small"
)]

mod bars;
#[path = "../tests/common/mod.rs"]
mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bars::Bars;
use common::{Mount, failing};
use slowfs::fault::FaultWords;
use slowfs::measure::Sample;
use slowfs::rpc::Client;

const DIRECTORIES: usize = 100;
const ROUNDS: usize = 5;
/// What a change may take, and what others may wait longer for it, in milliseconds.
const RENAME: f64 = 5.0;
const FIRST: f64 = 50.0;
const NEXT: f64 = 5.0;
const OTHERS: f64 = 1.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)
    };
    let files = after("--files").map_or(100_000, |n| n.parse().unwrap());
    let program = after("--slowfs").map_or(env!("CARGO_BIN_EXE_slowfs"), String::as_str);
    let mount = Mount::by(Command::new(program));
    let bars = Bars::default();
    pauses(&mount, files, &bars);
    traces(&mount, &bars);
    bars.end()
}

/// A fault on attributes of nothing that there is.
fn elsewhere(n: usize) -> FaultWords {
    let pattern = format!(".*/elsewhere-{n}/.*");
    FaultWords { pattern, ..failing(&["getattr", "read"], "EIO") }
}

fn pauses(mount: &Mount, files: usize, bars: &Bars) {
    let tree = mount.mnt().join("tree");
    for d in 0..DIRECTORIES {
        let dir = mount.raw().join(format!("tree/d{d}"));
        fs::create_dir_all(&dir).unwrap();
        (0..files / DIRECTORIES).for_each(|n| fs::write(dir.join(format!("f{n}")), "x").unwrap());
    }
    fs::write(mount.raw().join("bystander"), [0; 4096]).unwrap();
    let mut found = Found::default();
    let others = Others::default();
    thread::scope(|scope| {
        scope.spawn(|| others.work(&mount.mnt().join("bystander")));
        let _over = Over(&others);
        (0..ROUNDS).for_each(|_| round(mount, &tree, &others, &mut found));
    });
    println!("{files} files, milliseconds: the median, and the daemon's own time on a processor");
    row(bars, "rename above them, unarmed", &found.rename_unarmed, None);
    row(bars, "the first fault", &found.first, Some(FIRST));
    row(bars, "the next one", &found.next, Some(NEXT));
    row(bars, "one more after a walk", &found.walked, Some(NEXT));
    row(bars, "one beside a hundred", &found.beside, Some(NEXT));
    row(bars, "rename above them, one fault", &found.rename, Some(RENAME));
    row(bars, "rename above them, a hundred", &found.rename_beside, Some(RENAME));
    others.report(bars);
}

/// What changes took: time, and the daemon's time on a processor.
#[derive(Default)]
struct Found {
    rename_unarmed: Vec<(f64, f64)>,
    rename: Vec<(f64, f64)>,
    rename_beside: Vec<(f64, f64)>,
    first: Vec<(f64, f64)>,
    next: Vec<(f64, f64)>,
    walked: Vec<(f64, f64)>,
    beside: Vec<(f64, f64)>,
}

fn round(mount: &Mount, tree: &Path, others: &Others, found: &mut Found) {
    let mut client = Client::connect(&mount.addr, Duration::from_secs(60)).unwrap();
    let moved = tree.with_file_name("moved");
    let back_and_forth = |into: &mut Vec<(f64, f64)>, beside| {
        others.during(beside, || {
            into.push(timed(mount, || fs::rename(tree, &moved).unwrap()));
            into.push(timed(mount, || fs::rename(&moved, tree).unwrap()));
        });
    };
    let set = |client: &mut Client, n: usize, beside, into: &mut Vec<(f64, f64)>| {
        let fault = elsewhere(n);
        others.during(beside, || {
            into.push(timed(mount, || drop(client.put_fault(&fault, true).unwrap())));
        });
    };
    walk(tree);
    others.during(0, || thread::sleep(Duration::from_millis(500)));
    back_and_forth(&mut found.rename_unarmed, 0);
    walk(tree);
    set(&mut client, 0, 1, &mut found.first);
    set(&mut client, 1, 2, &mut found.next);
    walk(tree);
    set(&mut client, 2, 3, &mut found.walked);
    walk(tree);
    back_and_forth(&mut found.rename, 4);
    for n in 3..100 {
        client.put_fault(&elsewhere(n), true).unwrap();
    }
    walk(tree);
    set(&mut client, 100, 3, &mut found.beside);
    walk(tree);
    back_and_forth(&mut found.rename_beside, 4);
    client.clear_all_faults().unwrap();
}

fn walk(at: &Path) {
    for entry in fs::read_dir(at).unwrap() {
        let entry = entry.unwrap();
        if entry.metadata().unwrap().is_dir() {
            walk(&entry.path());
        }
    }
}

fn timed(mount: &Mount, change: impl FnOnce()) -> (f64, f64) {
    let (ran, began) = (mount.ran(), Instant::now());
    change();
    (ms(began.elapsed()), ms(mount.ran() - ran))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn row(bars: &Bars, what: &str, found: &[(f64, f64)], bar: Option<f64>) {
    let of = |pick: fn(&(f64, f64)) -> f64| found.iter().map(pick).collect::<Sample>().median();
    let (took, cpu) = (of(|f| f.0), of(|f| f.1));
    let bar =
        bar.map_or(String::new(), |bar| format!("; bar {bar}: {}", bars.verdict(took <= bar)));
    println!("  {what:<30} {took:8.2} ({cpu:.2}){bar}");
}

/// What others work beside; the first is no change.
const BESIDE: [&str; 5] = [
    "nothing, or a rename, unarmed",
    "the first fault",
    "the next one",
    "one after a walk, or many",
    "a rename, armed",
];

/// Somebody who works on a file of its own all the time.
#[derive(Default)]
struct Others {
    over: AtomicBool,
    noting: AtomicBool,
    beside: AtomicUsize,
    /// What calls took beside each.
    took: [Mutex<Sample>; BESIDE.len()],
}

impl Others {
    fn work(&self, path: &Path) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        while !self.over.load(Ordering::Relaxed) {
            let (noting, beside) = (self.noting(), self.beside.load(Ordering::Relaxed));
            let began = Instant::now();
            file.write_all_at(&[1; 512], 0).unwrap();
            fs::metadata(path).unwrap();
            let took = began.elapsed();
            if noting || self.noting() {
                self.took[beside].lock().unwrap().add(took);
            }
        }
    }

    fn noting(&self) -> bool {
        self.noting.load(Ordering::Relaxed)
    }

    /// Notes what calls take that overlap with this, or come within 50 ms of it.
    fn during<T>(&self, beside: usize, what: impl FnOnce() -> T) -> T {
        self.beside.store(beside, Ordering::Relaxed);
        self.noting.store(true, Ordering::Relaxed);
        let done = what();
        thread::sleep(Duration::from_millis(50));
        self.noting.store(false, Ordering::Relaxed);
        done
    }

    fn report(&self, bars: &Bars) {
        println!("others' write + stat, milliseconds: p50, p99.9, most, of how many");
        let took = self.took.each_ref().map(|took| took.lock().unwrap().clone());
        let row = |what: &str, took: &Sample| {
            let [p50, p999, most] = [0.5, 0.999, 1.0].map(|share| took.quantile(share) / 1e6);
            println!("  beside {what:<30} {p50:8.3} {p999:8.2} {most:8.2} {}", took.len());
            p999
        };
        let each: Vec<f64> = BESIDE.iter().zip(&took).map(|(what, took)| row(what, took)).collect();
        let changes = took[1..].iter().flat_map(Sample::figures).collect();
        let longer = row("all changes", &changes) - each[0];
        let verdict = bars.verdict(longer <= OTHERS);
        println!("  p99.9 longer by {longer:.2}; bar {OTHERS}: {verdict}");
    }
}

struct Over<'a>(&'a Others);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

type Call = fn(&Path, &File);

/// What is called on one file, beside faults on it and one second after.
const CALLS: [(&str, Call); 3] = [
    ("pread", |_, file| file.read_exact_at(&mut [0; 512], 0).unwrap()),
    ("stat", |path, _| assert!(fs::metadata(path).is_ok())),
    ("open", |path, _| drop(File::open(path).unwrap())),
];

fn traces(mount: &Mount, bars: &Bars) {
    let path: PathBuf = mount.mnt().join("cached");
    fs::write(&path, vec![1; 1 << 16]).unwrap();
    let mut client = mount.client();
    println!("one file, microseconds: without a fault, beside one that never fires, 1 s after it");
    for method in ["read", "getattr"] {
        for (name, call) in CALLS {
            let file = File::open(&path).unwrap();
            let mut took = <[Sample; 3]>::default();
            for _ in 0..ROUNDS {
                took[0].push(each(&path, &file, call));
                let fault = failing(&[method], "EIO").with("probability", "0");
                client.put_fault(&fault, true).unwrap();
                took[1].push(each(&path, &file, call));
                client.clear_all_faults().unwrap();
                thread::sleep(Duration::from_secs(1));
                took[2].push(each(&path, &file, call));
            }
            let [before, beside, after] = took.map(|took| took.median());
            let met = bars.verdict(after <= before * 1.05);
            println!(
                "  {name:<5} beside {method:<8} {before:8.2} {beside:8.2} {after:8.2}; \
                 bar {:.2}: {met}",
                before * 1.05
            );
        }
    }
}

/// Microseconds of one call, the median of many.
fn each(path: &Path, file: &File, call: Call) -> f64 {
    let mut took = Sample::default();
    for _ in 0..5_000 {
        let began = Instant::now();
        call(path, file);
        took.add(began.elapsed());
    }
    took.median() / 1e3
}
