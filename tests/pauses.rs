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
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use common::{Mount, failing, hanging, scratch, wait_for};
use rustix::fs::{CWD, FileType, Mode};
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

type Make = fn(&Path) -> io::Result<()>;

/// What tells the kernel of an inode that it did not know.
const TELLS: [(&str, Make); 6] = [
    ("create", |path| File::create_new(path).map(drop)),
    ("mkdir", |path| fs::create_dir(path)),
    ("mknod", |path| Ok(rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0)?)),
    ("symlink", |path| symlink("to", path)),
    ("getattr", |path| fs::symlink_metadata(path).map(drop)),
    ("readdir", |path| fs::read_dir(path.parent().unwrap())?.try_for_each(|entry| entry.map(drop))),
];

/// A mount that holds the answers of a method on such paths, and the id of what does so.
fn holding_answers(method: &str, pattern: &str) -> (Mount, i64) {
    let fault = format!("delay 1h --when after -m {method} -r {pattern}");
    let mount = Mount::with(&["--fault", &fault]);
    let id = mount.client().list_faults().unwrap()[0].id;
    (mount, id)
}

fn is_met(error: io::Error) -> io::Result<()> {
    if error.raw_os_error() == Some(libc::EIO) { Ok(()) } else { Err(error) }
}

fn meets(path: &Path) {
    let met = fs::symlink_metadata(path).map(drop).map_err(|error| error.raw_os_error());
    assert_eq!(met, Err(Some(libc::EIO)), "{}", path.display());
}

/// The kernel hears of a fault by inode, and does not know one whose answer is held.
#[test]
fn what_is_answered_late_meets_what_was_set_meanwhile() {
    for (method, make) in TELLS {
        let pattern = if method == "readdir" { ".*/dir" } else { ".*/new" };
        let (mount, holds) = holding_answers(method, pattern);
        let new = mount.mnt().join("dir/new");
        fs::create_dir(mount.raw().join("dir")).unwrap();
        if ["getattr", "readdir"].contains(&method) {
            fs::write(mount.raw().join("dir/new"), "").unwrap();
        }
        thread::scope(|scope| {
            let _free = mount.clear_on_drop();
            let made = scope.spawn(|| make(&new));
            wait_for("the answer to be held", || (mount.listed(holds).held == 1).then_some(()));
            mount.add(&on(".*/new"));
            assert!(mount.client().remove_fault(&holds.to_string()).unwrap());
            // The kernel may ask for the attributes within the same system call.
            let made = made.join().unwrap().or_else(is_met);
            made.unwrap_or_else(|error| panic!("{method}: {error}"));
            meets(&new);
        });
        let log = mount.log_text();
        assert!(!log.contains("new to callers"), "{method}: nobody waits for it\n{log}");
    }
}

/// The same where a directory is renamed meanwhile, below which the fault concerns it.
#[test]
fn what_is_answered_late_meets_its_new_path() {
    let (mount, holds) = holding_answers("create", ".*/new");
    let [dir, moved] = ["dir", "moved"].map(|name| mount.mnt().join(name));
    fs::create_dir(&dir).unwrap();
    mount.add(&on(".*/moved/new"));
    thread::scope(|scope| {
        let _free = mount.clear_on_drop();
        let made = scope.spawn(|| File::create_new(dir.join("new")).map(drop));
        wait_for("the answer to be held", || (mount.listed(holds).held == 1).then_some(()));
        fs::rename(&dir, &moved).unwrap();
        assert!(mount.client().remove_fault(&holds.to_string()).unwrap());
        made.join().unwrap().or_else(is_met).unwrap();
        meets(&moved.join("new"));
    });
}

/// A listing tells of all its entries at once, when the backing has told of the last. Its caller then learns
/// within a moment of a fault that was set meanwhile.
#[test]
fn a_listing_on_its_way_for_long_is_told_behind() {
    let inner = Mount::new();
    let scratch = scratch();
    symlink(inner.mnt(), scratch.path().join("raw")).unwrap();
    (0..4).for_each(|n| fs::write(inner.raw().join(format!("f{n}")), "").unwrap());
    let outer = Mount::over(scratch, &[] as &[&str]);
    // One of them takes long, whichever is the last.
    let stuck = inner.add(&FaultWords {
        pattern: ".*/f[0-9]".to_owned(),
        ..hanging(&["getattr"]).with("after", "3")
    });
    thread::scope(|scope| {
        let _free = inner.clear_on_drop();
        let listed = scope.spawn(|| fs::read_dir(outer.mnt()).map(Iterator::count));
        wait_for("the listing to be held", || (inner.listed(stuck).held == 1).then_some(()));
        outer.add(&on(".*/f[0-9]"));
        outer.wait_until_logged("whose next call may miss what was set: 3");
        assert!(inner.client().remove_fault(&stuck.to_string()).unwrap());
        assert_eq!(listed.join().unwrap().unwrap(), 4);
        let ended = Instant::now();
        let missed = || (0..4).filter(|n| fs::metadata(outer.mnt().join(format!("f{n}"))).is_ok());
        wait_for("all to be told", || (missed().count() == 0).then_some(()));
        // What nobody tells is trusted for a second.
        assert!(ended.elapsed() < Duration::from_millis(900), "{:?}", ended.elapsed());
    });
}
