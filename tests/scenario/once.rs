//! Steps at a firing: done before its request is answered, and met by the next one.

use std::fs::{self, File};
use std::sync::Barrier;
use std::thread;

use super::common::{Mount, errno_of, wait_for};
use super::{begin, names, state};

fn waiting(mount: &Mount, text: &str, first: &str) -> super::Running {
    let command = begin(mount, text);
    wait_for("the step", || (names(&mut mount.client()) == [first]).then_some(()));
    command
}

#[test]
fn the_next_request_meets_it() {
    let mount = Mount::new();
    let text = "0s error EIO -m mkdir --name first\n\
                once first fired 3: error ENOSPC -m mkdir --name second\n\
                once second fired 2: clear second\n30s end";
    let _command = waiting(&mount, text, "first");
    let made = [0; 5].map(|_| errno_of(fs::create_dir(mount.mnt().join("a"))));
    assert_eq!(made, [libc::EIO, libc::EIO, libc::EIO, libc::ENOSPC, libc::ENOSPC]);
    fs::create_dir(mount.mnt().join("a")).unwrap();
    let mut client = mount.client();
    let events = wait_for("all to be told", || {
        let events = client.run_read(0).unwrap().events;
        (events.len() == 4).then_some(events)
    });
    let lines: Vec<_> = events.iter().map(|event| event.line).collect();
    assert_eq!(lines, [0, 1, 2, 3]);
    assert!(events.iter().all(|event| event.planned_ns.is_none() || event.line == 1));
}

/// With as many requests under way as may be, no more than that many meet the first fault, and all others
/// the second.
#[test]
fn exactly_the_nth_firing_does_it() {
    const CALLERS: usize = 24;
    let mount = Mount::with(&["--threads", "8"]);
    let files: Vec<File> =
        (0..CALLERS).map(|n| File::create(mount.mnt().join(n.to_string())).unwrap()).collect();
    for n in [1, 5, 17, CALLERS] {
        for _ in 0..10 {
            let text = format!(
                "0s delay 20ms -m fsync --name slow\n\
                 once slow fired {n}: error EIO -m fsync --name broken\n30s end"
            );
            let _command = waiting(&mount, &text, "slow");
            let start = Barrier::new(CALLERS);
            let done: Vec<bool> = thread::scope(|scope| {
                let sync = |file| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        File::sync_all(file).is_ok()
                    })
                };
                let all: Vec<_> = files.iter().map(sync).collect();
                all.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(done.iter().filter(|done| **done).count(), n);
            let mut client = mount.client();
            let gone = client.list_ended().unwrap();
            assert_eq!(gone.last().unwrap().fired, i64::try_from(n).unwrap());
            let left = client.list_faults().unwrap();
            assert_eq!(left[0].fired, i64::try_from(CALLERS - n).unwrap());
            client.clear(&[]).unwrap();
        }
    }
}

/// What the kernel would answer from its caches it has forgotten by then.
#[test]
fn what_the_kernel_knows_is_forgotten_before_the_answer() {
    let mount = Mount::new();
    let file = mount.mnt().join("file");
    fs::write(&file, "x").unwrap();
    for _ in 0..20 {
        let text = "0s error EIO -m mkdir --name first\n\
                    once first fired 1: error EACCES -m getattr -r '.*/file' --name second\n30s end";
        let mut command = waiting(&mount, text, "first");
        fs::metadata(&file).unwrap();
        assert_eq!(errno_of(fs::create_dir(mount.mnt().join("a"))), libc::EIO);
        assert_eq!(errno_of(fs::metadata(&file)), libc::EACCES);
        command.0.kill().unwrap();
        wait_for("its end", || (state(&mut mount.client()) == "ended").then_some(()));
        fs::metadata(&file).unwrap();
    }
}

/// A fault that stood before has its count from when it was set.
#[test]
fn what_has_fired_so_often_before_does_it_at_once() {
    let mount = Mount::new();
    let fault = super::common::failing(&["mkdir"], "EIO");
    mount.add(&slowfs::fault::FaultWords { name: Some("old".to_owned()), ..fault });
    for _ in 0..3 {
        assert_eq!(errno_of(fs::create_dir(mount.mnt().join("a"))), libc::EIO);
    }
    let text = "0s delay 1ms -m fsync --name other\nonce old fired 3: error ENOSPC -m mkdir --name new\n30s end";
    let _command = begin(&mount, text);
    let mut client = mount.client();
    wait_for("both", || {
        let names = names(&mut client);
        (names.len() == 2 && names.contains(&"new".to_owned())).then_some(())
    });
}

#[test]
fn a_firing_can_end_it() {
    let mount = Mount::new();
    let text = "0s error EIO -m mkdir --name first\nonce first fired 2: end\n30s end";
    let mut command = waiting(&mount, text, "first");
    for _ in 0..2 {
        assert_eq!(errno_of(fs::create_dir(mount.mnt().join("a"))), libc::EIO);
    }
    fs::create_dir(mount.mnt().join("a")).unwrap();
    assert_eq!(command.wait().code(), Some(0));
}
