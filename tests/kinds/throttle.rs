//! `throttle`: never more than its rate.

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::common::{Mount, wait_for};
use super::{mount_with, open};

/// How many writes sixteen threads end within that time.
fn writes_within(mount: &Mount, time: Duration) -> (u64, Duration) {
    let (file, ended, begun) = (open(mount, 0), AtomicU64::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while begun.elapsed() < time {
                    file.write_all_at(b"x", 0).unwrap();
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    (ended.into_inner(), begun.elapsed())
}

#[test]
fn a_throttle_lets_no_more_through_than_its_rate() {
    const IOPS: f64 = 200.0;
    let mount = mount_with("throttle --iops 200 -r .*/f", 4096);
    let (ended, took) = writes_within(&mount, Duration::from_secs(2));
    let most = took.as_secs_f64() * IOPS + 1.0;
    assert!(ended as f64 <= most, "{ended} in {took:?}");
    assert!(ended as f64 >= most / 2.0, "{ended} in {took:?}");
}

#[test]
fn what_is_throttled_is_free_when_that_is_cleared() {
    let mount = mount_with("throttle --iops 1 -r .*/f", 4096);
    let file = open(&mount, 0);
    let begun = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..30).map(|_| scope.spawn(|| file.write_all_at(b"x", 0).unwrap())).collect();
        wait_for("a queue", || {
            let held = mount.client().list_faults().unwrap()[0].held;
            (held > 0).then_some(())
        });
        mount.clear();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "of 29 seconds: {:?}", begun.elapsed());
}

#[test]
fn a_throttle_charges_what_arrives_and_never_changes_how_files_are_opened() {
    let mount = mount_with("throttle --iops 20 -r .*/f", 4096);
    let file = open(&mount, 0);
    let mut read = [0; 100];
    file.read_exact_at(&mut read, 0).unwrap();
    (0..100).for_each(|_| file.read_exact_at(&mut read, 0).unwrap());
    let matched = mount.client().list_faults().unwrap()[0].matched;
    assert_eq!(matched, 1, "one READ arrived");
}

/// What it lets through at once it has charged, and not fired on: neither in the counts nor the trace.
#[test]
fn a_throttle_fires_on_what_it_holds() {
    let mount = mount_with("throttle --iops 20 --burst 5 -r .*/f", 4096);
    let mut client = mount.client();
    client.trace_start(&[], "", false).unwrap();
    let file = open(&mount, 0);
    (0..12).for_each(|_| file.write_all_at(b"x", 0).unwrap());
    let fault = mount.client().list_faults().unwrap().remove(0);
    assert_eq!(fault.matched, 12);
    assert!((1..=7).contains(&fault.fired), "of 12 a burst of 5 passes: {}", fault.fired);
    let events = client.trace_read(0, 1_000).unwrap().events;
    let hits: Vec<_> = events.iter().flat_map(|event| &event.hits).collect();
    assert_eq!(hits.len() as i64, fault.fired);
    for hit in hits {
        assert!(hit.action == "held" && hit.asked_ns > Some(0) && hit.n >= 5, "{hit:?}");
    }
}
