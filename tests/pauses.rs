//! Nobody pauses for a change, however many files the kernel knows; each of them meets it all the
//! same, and nothing stays of a fault that was cleared.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use common::{Mount, failing};
use slowfs::fault::FaultWords;

/// More than there are notes while a fault is armed.
const FILES: usize = 4_000;

fn on(pattern: &str) -> FaultWords {
    FaultWords { pattern: pattern.to_owned(), ..failing(&["getattr"], "EIO") }
}

/// A directory of many files, made in the backing.
fn many(mount: &Mount) -> PathBuf {
    let dir = mount.raw().join("dir");
    fs::create_dir(&dir).unwrap();
    (0..FILES).for_each(|n| fs::write(dir.join(n.to_string()), "x").unwrap());
    mount.mnt().join("dir")
}

/// Has the kernel trust the attributes of as many as it may.
fn learn(dir: &Path) {
    (0..FILES).for_each(|n| assert!(fs::metadata(dir.join(n.to_string())).is_ok()));
}

/// How many of those that were learnt last, before the kernel would ask anyway, fail to be told of.
fn failing_of_the_last(dir: &Path) -> (usize, usize) {
    let began = Instant::now();
    let last = (0..FILES).rev().take_while(|_| began.elapsed() < Duration::from_millis(500));
    let met: Vec<_> = last.map(|n| fs::metadata(dir.join(n.to_string())).is_err()).collect();
    (met.iter().filter(|met| **met).count(), met.len())
}

#[test]
fn each_of_many_files_meets_a_change_at_once() {
    let mount = Mount::new();
    let dir = many(&mount);
    let inside = mount.mnt().join("wal");
    mount.add(&on(".*/elsewhere"));
    for round in 0..2 {
        learn(&dir);
        let id = mount.add(&on(".*/dir/[0-9]+"));
        let (failed, of) = failing_of_the_last(&dir);
        assert_eq!(failed, of, "round {round}: a fault was set");
        assert!(mount.client().remove_fault(&id.to_string()).unwrap());
        let id = mount.add(&on(".*/wal/[0-9]+"));
        learn(&dir);
        fs::rename(&dir, &inside).unwrap();
        let (failed, of) = failing_of_the_last(&inside);
        assert_eq!(failed, of, "round {round}: the directory was renamed");
        fs::rename(&inside, &dir).unwrap();
        assert_eq!(failing_of_the_last(&dir).0, 0, "round {round}: it was renamed back");
        assert!(mount.client().remove_fault(&id.to_string()).unwrap());
    }
}

/// How long the daemon's threads run meanwhile: no other program's work counts.
fn run_for(mount: &Mount, change: impl FnOnce()) -> Duration {
    let before = mount.ran();
    change();
    mount.ran() - before
}

/// The bars are in benches/pauses.rs; here, that the work of a change does not grow with the files.
#[test]
fn a_change_takes_no_longer_with_many_files_and_faults() {
    const MOST: Duration = Duration::from_millis(40);
    let mount = Mount::new();
    let dir = many(&mount);
    let mut client = mount.client();
    (0..100).for_each(|n| drop(client.put_fault(&on(&format!(".*/elsewhere/{n}")), true)));
    let moved = mount.mnt().join("moved");
    let mut least = [Duration::MAX; 2];
    for n in 0..3 {
        learn(&dir);
        let fault = on(&format!(".*/elsewhere/of-round-{n}"));
        let set = run_for(&mount, || drop(client.put_fault(&fault, true).unwrap()));
        learn(&dir);
        let renamed = run_for(&mount, || fs::rename(&dir, &moved).unwrap());
        fs::rename(&moved, &dir).unwrap();
        least = [least[0].min(set), least[1].min(renamed)];
    }
    println!("a fault set: {:?}, a directory renamed: {:?}", least[0], least[1]);
    assert!(least.iter().all(|ran| *ran < MOST), "{least:?} of work, {MOST:?} at most");
}

type Call = fn(&Path, &File);

/// What the kernel answers by itself if it may.
const CALLS: [(&str, Call); 3] = [
    ("pread", |_, file| drop(file.read_at(&mut [0; 512], 0))),
    ("stat", |path, _| drop(fs::metadata(path))),
    ("open", |path, _| drop(File::open(path))),
];

/// Counted and not timed: what the kernel answers by itself sends no request. Each on a mount of its own, at once,
/// as each waits for a second.
#[test]
fn what_was_cleared_sends_no_requests_any_more() {
    thread::scope(|scope| {
        for method in ["read", "getattr"] {
            for (name, call) in CALLS {
                scope.spawn(move || sends_none_once_cleared(method, name, call));
            }
        }
    });
}

fn sends_none_once_cleared(method: &str, name: &str, call: Call) {
    const TIMES: i64 = 500;
    let mount = Mount::new();
    let path = mount.mnt().join("file");
    fs::write(&path, vec![1; 1 << 16]).unwrap();
    let file = File::open(&path).unwrap();
    let mut client = mount.client();
    let mut asked = || {
        let began = Instant::now();
        let mut answered = || {
            let of = ["getattr", "fgetattr", "read"];
            let methods = client.stats().unwrap().methods;
            let calls = methods.iter().filter(|m| of.contains(&m.name.as_str())).map(|m| m.calls);
            calls.sum::<i64>()
        };
        let before = answered();
        (0..TIMES).for_each(|_| call(&path, &file));
        let asked = answered() - before;
        // Of the file and of the root, once a second.
        (asked, 2 + 2 * i64::try_from(began.elapsed().as_secs()).unwrap())
    };
    let (before, few) = asked();
    assert!(before <= few, "{name}: {before} requests with nothing armed");
    mount.add(&failing(&[method], "EIO").with("probability", "0"));
    let (beside, _) = asked();
    mount.clear();
    assert!(beside >= TIMES, "{name} beside a fault on {method}: {beside} requests");
    thread::sleep(Duration::from_secs(1));
    let (after, few) = asked();
    assert!(after <= few, "{name}: {after} requests after a fault on {method}");
}
