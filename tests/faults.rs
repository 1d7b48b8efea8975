//! What a fault does to system calls: when it fires, how often, and at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use common::{Mount, errno_of, failing, hanging, wait_for};
use slowfs::fault::{FaultWords, PlainFault};
use slowfs::fault::{MAX_FAULTS, MOST_ENDED};

/// Outcomes of `n` attempts to make a directory: true for those that failed.
fn attempts(mnt: &Path, n: usize) -> Vec<bool> {
    (0..n)
        .map(|i| {
            let dir = mnt.join(format!("attempt{i}"));
            let failed = fs::create_dir(&dir).is_err();
            if !failed {
                fs::remove_dir(dir).unwrap();
            }
            failed
        })
        .collect()
}

fn failures(outcomes: &[bool]) -> usize {
    outcomes.iter().filter(|failed| **failed).count()
}

#[test]
fn count_and_after_are_exact() {
    let mount = Mount::new();
    mount.add(&failing(&["mkdir"], "EIO").with("count", "3").with("after", "5"));
    let outcomes = attempts(&mount.mnt(), 12);
    let wanted: Vec<_> = (0..12).map(|n| (5..8).contains(&n)).collect();
    assert_eq!(outcomes, wanted);
}

#[test]
fn a_spent_fault_goes_at_once_and_is_told_with_its_counts() {
    let mount = Mount::new();
    let mut client = mount.client();
    let id = mount.add(&failing(&["mkdir"], "EIO").with("count", "2").with("after", "1"));
    assert_eq!(attempts(&mount.mnt(), 3), [false, true, true]);
    assert!(client.list_faults().unwrap().is_empty());
    assert_eq!(client.info().unwrap().faults, 0);
    let ended = client.list_ended().unwrap();
    assert_eq!((ended.len(), ended[0].id, ended[0].why.as_deref()), (1, id, Some("spent")));
    assert_eq!((ended[0].matched, ended[0].fired, ended[0].held), (3, 2, 0));
    assert_eq!(ended[0].fault.methods, ["mkdir"]);
    assert!(ended[0].ended_unix_ns.is_some());
    // Nor does it count among the most that there may be.
    for _ in 0..MAX_FAULTS + 1 {
        mount.add(&failing(&["statfs"], "EIO").with("count", "1"));
        assert!(rustix::fs::statfs(mount.mnt()).is_err());
    }
    assert_eq!(client.list_ended().unwrap().len(), MOST_ENDED);
}

#[test]
fn what_a_spent_fault_holds_stays_held_until_it_is_due_or_cleared() {
    let mount = Mount::new();
    let _cleared = mount.clear_on_drop();
    let id = mount.add(&hanging(&["mkdir"]).with("count", "1"));
    let mnt = mount.mnt();
    thread::scope(|scope| {
        let held = scope.spawn(|| fs::create_dir(mnt.join("held")));
        let ended = || mount.client().list_ended().unwrap();
        wait_for("it to be held", || ended().first().is_some_and(|f| f.held == 1).then_some(()));
        assert!(mount.client().list_faults().unwrap().is_empty());
        // The directory is locked by what is held; another is free.
        mount.add(&failing(&["rmdir"], "EIO"));
        mount.client().clear_methods(&["rmdir".to_owned()]).unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(!held.is_finished());
        assert!(mount.client().remove_fault(&id.to_string()).unwrap());
        held.join().unwrap().unwrap();
        let spent = ended().into_iter().find(|fault| fault.id == id).unwrap();
        assert_eq!((spent.why.as_deref(), spent.held), (Some("spent"), 0));
    });
    let began = Instant::now();
    let delay = Duration::from_millis(100);
    mount.add(&common::delaying(&["mkdir"], delay).with("count", "1"));
    fs::create_dir(mount.mnt().join("due")).unwrap();
    assert!(began.elapsed() >= delay, "it keeps its delay");
}

/// A file stays as it was opened; how many is told, also when the fault has gone.
#[test]
fn files_that_stay_past_the_page_cache_are_counted() {
    let mount = Mount::new();
    let path = mount.mnt().join("file");
    fs::write(&path, "x").unwrap();
    let before = File::open(&path).unwrap();
    let id = mount.add(&FaultWords { pattern: ".*/file".into(), ..failing(&["read"], "EIO") });
    let files: Vec<_> = (0..3).map(|_| File::open(&path).unwrap()).collect();
    let other = File::create(mount.mnt().join("other")).unwrap();
    assert_eq!(mount.listed(id).past_cache, 3);
    mount.clear();
    let ended = || mount.client().list_ended().unwrap()[0].past_cache;
    assert_eq!(ended(), 3);
    drop((before, other, files));
    wait_for("every file to be closed", || (ended() == 0).then_some(()));
}

#[test]
fn a_lifetime_lifts_the_fault_and_releases_what_it_holds() {
    let mount = Mount::new();
    let lifetime = Duration::from_millis(300);
    let started = Instant::now();
    mount.add(&hanging(&["mkdir"]).with("lasts", "300ms"));
    fs::create_dir(mount.mnt().join("held")).unwrap();
    assert!(started.elapsed() >= lifetime);
    wait_for("the fault to go", || mount.client().list_faults().unwrap().is_empty().then_some(()));
    fs::create_dir(mount.mnt().join("free")).unwrap();
}

#[test]
fn one_errno_of_a_list_and_any_of_random_but_never_enosys() {
    let mount = Mount::new();
    mount.add(&failing(&["mkdir"], "EIO,ENOSPC"));
    let dir = mount.mnt().join("dir");
    let seen: BTreeSet<_> = (0..64).map(|_| errno_of(fs::create_dir(&dir))).collect();
    assert_eq!(seen, BTreeSet::from([libc::EIO, libc::ENOSPC]));
    mount.clear();
    mount.add(&failing(&["mkdir"], "random"));
    let seen: BTreeSet<_> = (0..2_000).map(|_| errno_of(fs::create_dir(&dir))).collect();
    assert!(!seen.contains(&libc::ENOSYS));
    let drawn: BTreeSet<_> = (libc::E2BIG..=libc::EXFULL).filter(|n| *n != libc::ENOSYS).collect();
    // 2,000 draws of 47: a miss of any has a chance below one in 10^16.
    assert_eq!(seen, drawn);
}

#[test]
fn half_asked_is_half_got_and_a_seed_repeats_it() {
    let outcomes: Vec<_> = (0..2)
        .map(|_| {
            let mount = Mount::with(&["--seed", "42"]);
            mount.add(&failing(&["mkdir"], "EIO").with("probability", "0.5"));
            attempts(&mount.mnt(), 1_000)
        })
        .collect();
    assert_eq!(outcomes[0], outcomes[1]);
    // Four standard deviations of 1,000 fair tosses are 63.
    let failed = failures(&outcomes[0]);
    assert!((437..=563).contains(&failed), "{failed} of 1000");
}

/// The plain interface: per mille where a fault only delays, per 100,000 otherwise.
#[test]
fn probability_is_read_as_its_client_means_it() {
    let mount = Mount::new();
    let mut client = mount.client();
    let methods = ["mkdir".to_owned()];
    let started = Instant::now();
    let delay = PlainFault { probability: 1000, delay_us: 30_000, ..PlainFault::default() };
    client.set_fault(Some(&methods), &delay).unwrap();
    fs::create_dir(mount.mnt().join("a")).unwrap();
    assert!(started.elapsed() >= Duration::from_millis(30), "1000 per mille is always");
    let error =
        PlainFault { probability: 1000, err_nos: vec![libc::EIO.into()], ..PlainFault::default() };
    client.set_fault(Some(&methods), &error).unwrap();
    let failed = failures(&attempts(&mount.mnt(), 1_000));
    // 1%: 10 expected, more than 40 has a chance below one in 10^12.
    assert!(failed <= 40, "{failed} of 1000 failed");
    let listed = client.list_faults().unwrap();
    assert!(
        (listed[0].fault.options.share("probability").unwrap() - 0.01).abs() < 1e-9,
        "{listed:?}"
    );
}

/// A write of a file opened with O_SYNC or O_DSYNC includes its sync, past the page cache too.
#[test]
fn synchronous_writes_meet_sync_faults_however_the_file_was_opened() {
    for (flag, method) in [(libc::O_DSYNC, "fdatasync"), (libc::O_SYNC, "fsync")] {
        for options in [&[][..], &["--direct-io"]] {
            let mount = Mount::with(options);
            let mut open = File::options();
            open.create(true).write(true).truncate(false).custom_flags(flag);
            let file = open.open(mount.mnt().join("file")).unwrap();
            file.write_at(b"x", 0).unwrap();
            mount.add(&failing(&[method], "EIO"));
            let met = file.write_at(b"x", 0);
            assert_eq!(errno_of(met), libc::EIO, "{method} with {options:?}");
        }
    }
}

#[test]
fn garbage_on_the_control_port_leaves_the_mount_and_its_clients_alone() {
    let mount = Mount::new();
    let mut client = mount.client();
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", mount.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = resident();
    let frames: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0xff; 4096],
        // A strict call whose name claims two billion bytes.
        &[0x80, 1, 0, 1, 0x7f, 0xff, 0xff, 0xff],
        // Half a frame.
        &[0x80, 1, 0, 1, 0, 0, 0, 9, b's', b'e', b't'],
        &[],
    ];
    let attackers: Vec<_> = (0..4)
        .map(|_| {
            let addr = mount.addr.clone();
            thread::spawn(move || {
                let deadline = Instant::now() + Duration::from_secs(2);
                while Instant::now() < deadline {
                    for frame in frames {
                        let Ok(mut stream) = TcpStream::connect(&addr) else { continue };
                        let _ = stream.write_all(frame);
                    }
                }
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    while attackers.iter().any(|a| !a.is_finished()) {
        let started = Instant::now();
        client.info().unwrap();
        fs::write(mount.mnt().join("file"), "x").unwrap();
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let grown = resident().saturating_sub(before);
    assert!(grown < 50_000, "resident memory grew by {grown} kB");
}
