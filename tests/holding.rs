//! Held operations: many at once, none in the way of anything else, all free again when told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use slowfs::fault::FaultWords;
mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::{Mount, PATIENCE, delaying, errno_of, failing, fault_on, hanging, wait_for};
use rustix::process::{Pid, Signal, kill_process};

/// How long something quick may take on a busy machine.
const QUICK: Duration = Duration::from_secs(5);

fn on_path(fault: FaultWords, pattern: &str) -> FaultWords {
    FaultWords { pattern: pattern.to_owned(), ..fault }
}

fn wait_until_held(mount: &Mount, id: i64, wanted: i64) {
    wait_for(&format!("{wanted} to be held"), || {
        let held = mount.listed(id).held;
        assert!(held <= wanted, "{held} held");
        (held == wanted).then_some(())
    });
}

fn joined<T>(threads: Vec<JoinHandle<T>>) -> Vec<T> {
    let started = Instant::now();
    wait_for("the callers to come back", || {
        threads.iter().all(JoinHandle::is_finished).then_some(())
    });
    assert!(started.elapsed() < PATIENCE);
    threads.into_iter().map(|t| t.join().unwrap()).collect()
}

#[test]
fn a_thousand_held_operations_hold_up_nothing_else() {
    const MANY: usize = 1_000;
    let mount = Mount::new();
    let mnt = mount.mnt();
    let files: Vec<_> =
        (0..MANY).map(|n| File::create(mnt.join(format!("held{n}"))).unwrap()).collect();
    let id = mount.add(&on_path(hanging(&["fsync"]), ".*/held[0-9]+"));
    let threads: Vec<_> = files
        .into_iter()
        .map(|f| thread::Builder::new().stack_size(64 << 10).spawn(move || f.sync_all()).unwrap())
        .collect();
    wait_until_held(&mount, id, MANY as i64);

    let started = Instant::now();
    let other = File::create(mnt.join("unrelated")).unwrap();
    for block in 0..100 {
        other.write_all_at(&[1; 4096], block * 4096).unwrap();
        other.sync_all().unwrap();
    }
    assert_eq!(fs::read(mnt.join("unrelated")).unwrap().len(), 409_600);
    assert!(started.elapsed() < QUICK, "unrelated work took {:?}", started.elapsed());

    let started = Instant::now();
    mount.clear();
    assert!(started.elapsed() < Duration::from_secs(2), "clear took {:?}", started.elapsed());
    assert!(joined(threads).iter().all(Result::is_ok), "released operations run and succeed");
}

/// Arms, clears and unmounts while operations of several kinds are held.
#[test]
fn arming_clearing_and_unmounting_while_held_never_deadlocks() {
    let mut mount = Mount::new();
    let mnt = mount.mnt();
    fs::write(mnt.join("read"), vec![9; 1 << 20]).unwrap();
    fs::read(mnt.join("read")).unwrap();
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let mut threads = Vec::new();
    for worker in 0..3 {
        let dir = mnt.clone();
        threads.push(thread::spawn(move || {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let path = dir.join(format!("created{worker}-{n}"));
                let Ok(file) = File::create(&path) else { break };
                let _ = file.write_all_at(b"x", 0);
                n += 1;
            }
        }));
        let dir = mnt.clone();
        threads.push(thread::spawn(move || {
            let Ok(file) = File::open(dir.join("read")) else { return };
            while !stop.load(Ordering::Relaxed) {
                let _ = file.read_at(&mut [0; 4096], 4096 * worker);
                let _ = fs::metadata(dir.join("read"));
            }
        }));
    }
    let methods = ["create", "write", "read", "getattr"];
    let mut client = mount.client();
    let deadline = Instant::now() + Duration::from_secs(4);
    let mut slowest = Duration::ZERO;
    while Instant::now() < deadline {
        for (round, method) in methods.iter().enumerate() {
            let started = Instant::now();
            let fault = match round % 2 {
                0 => hanging(&[method]),
                _ => delaying(&[method], Duration::from_millis(20)),
            };
            client.put_fault(&fault, true).unwrap();
            thread::sleep(Duration::from_millis(3));
            client.clear_all_faults().unwrap();
            slowest = slowest.max(started.elapsed());
        }
    }
    assert!(slowest < Duration::from_secs(2), "a control call took {slowest:?}");
    // End it with everything held at once.
    for method in methods {
        client.put_fault(&hanging(&[method]), true).unwrap();
    }
    wait_for("something to be held", || {
        client.list_faults().unwrap().iter().any(|f| f.held > 0).then_some(())
    });
    stop.store(true, Ordering::Relaxed);
    mount.signal(Signal::TERM);
    assert!(mount.wait().success(), "{}", mount.log_text());
    joined(threads);
}

#[test]
fn sixteen_delays_pass_side_by_side() {
    let mount = Mount::new();
    let delay = Duration::from_millis(300);
    let files: Vec<_> =
        (0..16).map(|n| File::create(mount.mnt().join(format!("f{n}"))).unwrap()).collect();
    mount.add(&delaying(&["fsync"], delay));
    let started = Instant::now();
    let threads: Vec<_> = files
        .into_iter()
        .map(|f| {
            thread::spawn(move || {
                let started = Instant::now();
                f.sync_all().unwrap();
                started.elapsed()
            })
        })
        .collect();
    let took = joined(threads);
    assert!(took.iter().all(|t| *t >= delay), "a delay is a lower bound: {took:?}");
    // One after the other they would take sixteen times as long as one.
    assert!(started.elapsed() < delay * 8, "{:?}", started.elapsed());
}

#[test]
fn a_caller_killed_while_held_is_free_within_a_moment_and_did_nothing() {
    let mount = Mount::new();
    let id = mount.add(&hanging(&["mkdir"]));
    let victim = mount.mnt().join("never");
    let mut caller = Command::new("mkdir").arg(&victim).stderr(Stdio::null()).spawn().unwrap();
    wait_until_held(&mount, id, 1);
    let started = Instant::now();
    kill_process(Pid::from_child(&caller), Signal::KILL).unwrap();
    wait_for("the caller to end", || caller.try_wait().unwrap());
    // The bound is 200 ms; a loaded machine gets more.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    wait_until_held(&mount, id, 0);
    mount.clear();
    assert!(!mount.raw().join("never").exists(), "the operation must not run");
}

/// Each descriptor of a dying process is flushed, one after the other: none of them waits.
#[test]
fn a_killed_process_with_many_open_files_is_free_within_a_moment() {
    const FILES: usize = 60;
    let mount = Mount::new();
    let script = "import os, sys, threading\n\
        for n in range(int(sys.argv[2])):\n    \
            fd = os.open(f'{sys.argv[1]}/f{n}', os.O_CREAT | os.O_WRONLY)\n    \
            threading.Thread(target=os.fsync, args=(fd,)).start()\n";
    // Files first, so that only their syncs and flushes are held.
    for n in 0..FILES {
        File::create(mount.mnt().join(format!("f{n}"))).unwrap();
    }
    let id = mount.add(&hanging(&["fsync", "flush"]));
    let mut caller = Command::new("python3");
    caller.args(["-c", script]).arg(mount.mnt()).arg(FILES.to_string());
    let mut caller = caller.spawn().unwrap();
    wait_until_held(&mount, id, FILES as i64);
    let started = Instant::now();
    kill_process(Pid::from_child(&caller), Signal::KILL).unwrap();
    wait_for("the process to end", || caller.try_wait().unwrap());
    // Held for a round of the watch each, its files would take 5 s.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn clearing_one_method_releases_its_operations_only() {
    let mount = Mount::new();
    let file = File::create(mount.mnt().join("f")).unwrap();
    let id = mount.add(&hanging(&["fsync", "mkdir"]));
    let dir = mount.mnt().join("dir");
    let sync = thread::spawn(move || file.sync_all());
    let make = thread::spawn(move || fs::create_dir(dir));
    wait_until_held(&mount, id, 2);
    mount.client().clear_fault("fsync").unwrap();
    joined(vec![sync]).remove(0).unwrap();
    assert_eq!(mount.listed(id).held, 1, "mkdir is still held");
    assert!(!make.is_finished());
    mount.clear();
    joined(vec![make]).remove(0).unwrap();
}

#[test]
fn a_released_operation_meets_neither_kill_nor_errno() {
    let mount = Mount::new();
    let fault = hanging(&["mkdir"]).and("error", "EIO").and("kill", "");
    let id = mount.add(&fault);
    let dir = mount.mnt().join("dir");
    let make = thread::spawn(move || fs::create_dir(dir));
    wait_until_held(&mount, id, 1);
    mount.clear();
    joined(vec![make]).remove(0).unwrap();
    assert!(mount.raw().join("dir").is_dir());
}

#[test]
fn kill_ends_the_caller_and_the_operation_goes_on() {
    let mount = Mount::new();
    mount.add(&fault_on(&["mkdir"]).and("kill", ""));
    let status = Command::new("mkdir").arg(mount.mnt().join("dir")).status().unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    wait_for("the operation to go on", || mount.raw().join("dir").is_dir().then_some(()));
}

#[test]
fn a_delay_comes_before_its_error() {
    let mount = Mount::new();
    let delay = Duration::from_millis(50);
    let fault = failing(&["mkdir"], "ENOSPC").and("delay", "50ms");
    mount.add(&fault);
    let started = Instant::now();
    let errno = errno_of(fs::create_dir(mount.mnt().join("dir")));
    assert_eq!(errno, libc::ENOSPC);
    assert!(started.elapsed() >= delay);
    assert!(!mount.raw().join("dir").exists());
}

#[test]
fn a_slow_pattern_stalls_only_its_own_operations() {
    let mount = Mount::new();
    let long = "a".repeat(200);
    // Catastrophic for a backtracking engine; the lookahead sends it to one.
    mount.add(&on_path(failing(&["mkdir"], "EIO"), "(?=.*)(.*/)(a+)+$"));
    mount.add(&on_path(failing(&["mkdir"], "EIO"), "(a+)+$"));
    let started = Instant::now();
    fs::create_dir(mount.mnt().join(format!("{long}b"))).unwrap();
    assert!(started.elapsed() < QUICK, "{:?}", started.elapsed());
    let started = Instant::now();
    fs::write(mount.mnt().join("other"), "x").unwrap();
    mount.client().info().unwrap();
    assert!(started.elapsed() < QUICK, "{:?}", started.elapsed());
}
