//! `delay`: never short, drawn from its distribution.

use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use super::common::wait_for;
use super::{mount_with, open, persisted};

#[test]
fn a_delay_is_drawn_from_its_distribution_and_never_short() {
    let mount = mount_with("delay uniform:20ms..60ms -m fsync", 10);
    let file = open(&mount, 0);
    let mut times = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        file.sync_all().unwrap();
        times.push(begun.elapsed());
    }
    assert!(times.iter().all(|time| *time >= Duration::from_millis(20)), "{times:?}");
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*most - *least > Duration::from_millis(10), "not all the same: {times:?}");
}

#[test]
fn an_answer_that_is_late_tells_of_what_was_done_at_once() {
    let mount = mount_with("delay 1s --when after -m write", 10);
    let file = open(&mount, 0);
    let begun = Instant::now();
    thread::scope(|scope| {
        let writer = scope.spawn(|| file.write_at(b"bbb", 0).unwrap());
        wait_for("the write behind the mount", || {
            persisted(&mount).starts_with(b"bbb").then_some(())
        });
        assert!(!writer.is_finished() || begun.elapsed() >= Duration::from_secs(1));
        assert_eq!(writer.join().unwrap(), 3);
    });
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let mount = mount_with("delay 1h --when after -m write", 10);
    let file = open(&mount, 0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| file.write_at(b"ccc", 0).unwrap());
        wait_for("its answer to be held", || {
            (mount.client().list_faults().unwrap()[0].held == 1).then_some(())
        });
        mount.clear();
        assert_eq!(writer.join().unwrap(), 3, "its true result");
    });
}
