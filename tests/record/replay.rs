//! A mount whose backing is another mount under known delays is recorded, and replayed on a third.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use slowfs::rpc::TraceEvent;

use super::common::disk::Disk;
use super::common::trace::drain;
use super::common::{Mount, scratch, slowfs, stdout_of, text_of, wait_for};
use super::{class, json, recording};

const THREADS: usize = 16;
/// Of each of them; 2,000 of a class.
const ROUNDS: usize = 125;

const SMALL: usize = 4 << 10;
const LARGE: usize = 64 << 10;

/// What the backing is asked to take: by the methods, the p50 and the p99 in ms, and per byte in ns.
const WRITE: (f64, f64, f64) = (4.0, 8.0, 40.0);
const FSYNC: (f64, f64, f64) = (5.0, 9.0, 0.0);

/// Q of 0.5, 0.9, 0.99, and how far off that quantile may be.
const JUDGED: [(f64, &str, f64, f64); 3] = [
    (0.5, "p50_ns", 0.0, 0.05),
    (0.9, "p90_ns", 1.281_551_565_544_6, 0.05),
    (0.99, "p99_ns", 2.326_347_874_040_8, 0.25),
];

/// A quantile of a lognormal distribution of these, for so many bytes, in ns.
fn known((p50, p99, per_byte): (f64, f64, f64), q: f64, len: usize) -> f64 {
    p50 * 1e6 * ((p99 / p50).ln() / 2.326_348 * q).exp() + per_byte * len as f64
}

/// Method, size, bytes, and what the backing is asked to take.
type Class = (&'static str, Option<u64>, usize, (f64, f64, f64));

const CLASSES: [Class; 3] = [
    ("write", Some(SMALL as u64), SMALL, WRITE),
    ("write", Some(LARGE as u64), LARGE, WRITE),
    ("fsync", None, 0, FSYNC),
];

/// 2,000 requests of each class; how long each took whoever asked, in order.
fn work(mount: &Mount) -> [Vec<f64>; 3] {
    let each = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || asker(mount, n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    [0, 1, 2].map(|class| {
        let mut all: Vec<f64> = each.iter().flat_map(|of| of[class].iter().copied()).collect();
        all.sort_by(f64::total_cmp);
        all
    })
}

fn asker(mount: &Mount, n: usize) -> [Vec<f64>; 3] {
    let file = File::create(mount.mnt().join(format!("file{n}"))).unwrap();
    let bytes = vec![b'x'; LARGE];
    let mut all = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let mut timed = |class: usize, act: &dyn Fn() -> std::io::Result<()>| {
            let began = Instant::now();
            act().unwrap();
            all[class].push(began.elapsed().as_nanos() as f64);
        };
        timed(0, &|| file.write_all_at(&bytes[..SMALL], 0));
        timed(1, &|| file.write_all_at(&bytes, 0));
        timed(2, &|| file.sync_all());
    }
    all
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[(sorted.len() as f64 * share) as usize]
}

/// A mount that is slow, and one whose backing it is; in memory, as a disk has times of its own.
fn slow() -> (Disk, Mount, Mount) {
    let disk = Disk::tmpfs();
    let lengths = |(p50, p99, per_byte): (f64, f64, f64)| {
        format!("delay lognormal:p50={p50}ms,p99={p99}ms --per-byte {per_byte}ns")
    };
    let write = format!("{} -m write", lengths(WRITE));
    let fsync = format!("{} -m fsync", lengths(FSYNC).replace(" --per-byte 0ns", ""));
    let inner =
        Mount::over(disk.directory(), &["--seed", "7", "--fault", &write, "--fault", &fsync]);
    let scratch = scratch();
    std::os::unix::fs::symlink(inner.mnt(), scratch.path().join("raw")).unwrap();
    let outer = Mount::over(scratch, &[] as &[&str]);
    (disk, inner, outer)
}

/// What a recording of that work tells, and how long it took those who asked.
fn recorded(mount: &Mount, file: &Path) -> (Value, [Vec<f64>; 3]) {
    let mut command = recording(&[mount.mnt().to_str().unwrap()], file);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("it to record", || mount.log_text().contains("trace_start").then_some(()));
    let took = work(mount);
    kill_process(Pid::from_child(&command), Signal::INT).unwrap();
    let output = command.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    (json(&text_of(&output)), took)
}

/// The file is TOML to others, too.
const TOML: &str = "import sys, tomllib
told = tomllib.load(open(sys.argv[1], 'rb'))
print(told['fsync']['n'], len(told['write']), told['channels'])";

/// A recorded time is not below what the backing was asked to take, nor above what it took those who asked.
/// Between these nothing is left but what this machine adds: on an idle one the bounds of [`JUDGED`] hold.
#[test]
fn what_is_recorded_is_what_the_backing_took() {
    let (_disk, _inner, mount) = slow();
    let file = mount.scratch().join("disk.toml");
    let (summary, took) = recorded(&mount, &file);
    assert_eq!(summary["dropped"], 0, "{summary}");
    for ((method, size, len, of), took) in CLASSES.into_iter().zip(&took) {
        let class = class(&summary, method, size);
        assert_eq!(class["n"], THREADS * ROUNDS, "{summary}");
        for (share, name, q, bound) in JUDGED {
            let (got, known) = (class[name].as_f64().unwrap(), known(of, q, len));
            let most = quantile(took, share) * 1.01;
            assert!(
                got > known * (1.0 - bound) && got <= most,
                "{method} {size:?} {name}: {got}, for {known} to {most}"
            );
            println!("{method} {len} {name}: {:+.1}%", (got / known - 1.0) * 100.0);
        }
    }
    let read = Command::new("python3").args(["-c", TOML]).arg(&file).output().unwrap();
    assert_eq!(text_of(&read), "2000 2 64\n");
}

/// How long that fault asked each class to wait, from its arrival on, in order.
fn replayed(fault: &[&str]) -> [Vec<f64>; 3] {
    let mount = Mount::with(&["--seed", "8"]);
    let mut set = slowfs();
    stdout_of(set.args(fault).args(["--addr", &mount.addr]));
    let mut client = mount.client();
    client.trace_start(&["write".to_owned(), "fsync".to_owned()], "", true).unwrap();
    work(&mount);
    let (events, dropped) = drain(&mut client);
    assert_eq!(dropped, 0);
    let asked = |event: &TraceEvent| {
        let [hit] = &event.hits[..] else { panic!("{event:?}") };
        let (asked, due) = (hit.asked_ns.unwrap(), hit.due_ns.unwrap());
        assert!(event.done_ns >= due, "none is early");
        assert!((due - event.t_ns).abs_diff(asked) <= 1, "{event:?}");
        asked as f64
    };
    CLASSES.map(|(method, _, len, _)| {
        let is_own = |event: &&TraceEvent| {
            event.method == method && event.len.unwrap_or_default() == len as i64
        };
        let mut times: Vec<f64> = events.iter().filter(is_own).map(asked).collect();
        assert_eq!(times.len(), THREADS * ROUNDS);
        times.sort_by(f64::total_cmp);
        times
    })
}

/// 2,000 times of each class, spread as the known distribution is, in the rows of another program: what
/// is asked is that, however busy this machine is.
#[test]
fn what_is_in_a_file_is_asked_again() {
    let scratch = scratch();
    let file = scratch.path().join("rows.csv");
    let python = format!(
        "from math import exp, log\nfrom statistics import NormalDist\n\
         for method, size, p50, p99, each in {:?}:\n\
         \x20   for k in range(2000):\n\
         \x20       q = NormalDist().inv_cdf((k + 0.5) / 2000)\n\
         \x20       ns = p50 * 1e6 * exp(log(p99 / p50) / 2.326348 * q) + each * size\n\
         \x20       print(method, size, round(ns), sep=',')",
        CLASSES.map(|(method, _, len, (p50, p99, each))| (method, len, p50, p99, each)),
    );
    fs::write(&file, stdout_of(Command::new("python3").args(["-c", &python]))).unwrap();
    let path = file.to_str().unwrap();
    let delay = format!("file:{path}");
    for fault in [["delay", &delay, "-m", "write,fsync"], ["device", path, "-m", "write,fsync"]] {
        for ((method, size, len, of), asked) in CLASSES.into_iter().zip(replayed(&fault)) {
            for (share, name, q, bound) in JUDGED {
                let off = quantile(&asked, share) / known(of, q, len) - 1.0;
                println!("{} {method} {len} {name}: {:+.1}%", fault[0], off * 100.0);
                assert!(off.abs() < bound, "{} {method} {size:?} {name}: {off}", fault[0]);
            }
        }
    }
}
