//! `delay`: never short, drawn from its distribution.

use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use super::common::{Mount, scratch, wait_for};
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

/// A backing that is slow by itself, as another mirror is, N times over.
#[test]
fn a_factor_makes_an_operation_take_so_many_times_what_the_backing_takes() {
    let beneath = mount_with("delay 30ms -m fsync", 10);
    let scratch = scratch();
    std::os::unix::fs::symlink(beneath.mnt(), scratch.path().join("raw")).unwrap();
    let mount = Mount::over(scratch, &["--fault", "delay x4 -m fsync"]);
    let mut client = mount.client();
    client.trace_start(&["fsync".to_owned()], "", true).unwrap();
    let file = open(&mount, 0);
    let begun = Instant::now();
    file.sync_all().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(120), "{:?}", begun.elapsed());
    let event = client.trace_read(0, 9).unwrap().events.remove(0);
    let backing = event.backing_ns.unwrap();
    assert!(backing >= 30_000_000, "{event:?}");
    assert_eq!(event.hits[0].asked_ns, Some(3 * backing));
    assert!(event.done_ns - event.t_ns >= 4 * backing, "{event:?}");
}

#[test]
fn what_a_byte_costs_is_asked_of_each_read_past_the_cache() {
    let mount = mount_with("delay 0s --per-byte 1us -m read,write,fsync", 100_000);
    let mut client = mount.client();
    let file = open(&mount, 0);
    client.trace_start(&[], "", true).unwrap();
    let begun = Instant::now();
    let mut bytes = vec![0; 40_000];
    file.read_exact_at(&mut bytes, 10).unwrap();
    file.read_exact_at(&mut bytes[..7_000], 10).unwrap();
    file.write_all_at(&bytes[..10_000], 0).unwrap();
    file.sync_all().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(57), "{:?}", begun.elapsed());
    let events = client.trace_read(0, 99).unwrap().events;
    let asked = |method: &str| -> i64 {
        let of = events.iter().filter(|event| event.method == method);
        of.flat_map(|event| &event.hits).map(|hit| hit.asked_ns.unwrap()).sum()
    };
    assert_eq!(["read", "write", "fsync"].map(asked), [47_000_000, 10_000_000, 0]);
}

/// stat(2) of a path that the kernel does not know is a LOOKUP and a GETATTR: one delay, whether the
/// operation or the answer waits.
#[test]
fn a_system_call_whose_answer_is_late_is_delayed_once() {
    let mount = mount_with("delay 1500ms --when after -m getattr", 10);
    let begun = Instant::now();
    std::fs::metadata(mount.mnt().join("f")).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(1500));
    let fault = mount.client().list_faults().unwrap().remove(0);
    assert_eq!((fault.matched, fault.fired), (1, 1));
}
