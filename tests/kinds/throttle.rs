//! `throttle`: never more than its rate.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use slowfs::rpc::TraceEvent;

use super::common::{Mount, delaying, long_or, wait_for};
use super::{all_of, as_charged, mount_with, open};

const SECOND: i64 = 1_000_000_000;

/// Sixteen threads that write for so long, each to a file of its own as the kernel lets one write at a time
/// to each, and all that came of it.
fn written_by_sixteen(mount: &Mount, time: Duration) -> Vec<TraceEvent> {
    let mut client = mount.client();
    client.trace_start(&["write".to_owned()], "", false).unwrap();
    let files = (0..16).map(|n| File::create(mount.mnt().join(format!("f{n}"))).unwrap());
    let (files, begun) = (files.collect::<Vec<_>>(), Instant::now());
    thread::scope(|scope| {
        for file in files {
            scope.spawn(move || {
                while begun.elapsed() < time {
                    file.write_all_at(b"x", 0).unwrap();
                }
            });
        }
    });
    all_of(&mut client)
}

/// When each was due: when it came, if nothing held it.
fn due(event: &TraceEvent) -> i64 {
    event.hits.first().map_or(event.t_ns, |hit| hit.due_ns.unwrap())
}

/// The rule, with the cost added before the moment is told; in nanoseconds.
#[test]
fn a_throttle_lets_no_more_through_than_its_rate() {
    const IOPS: i64 = 500;
    let time = long_or(10, 2) * SECOND;
    let mount = mount_with("throttle --iops 500 -r .*/f.*", 4096);
    let events = as_charged(written_by_sixteen(&mount, Duration::from_nanos(time as u64)));
    assert!(events.iter().flat_map(|event| &event.hits).all(|hit| hit.kind == "throttle"));
    let begun = events[0].t_ns;
    let mut place = 0;
    for event in &events {
        let now = (event.t_ns - begun).max(0);
        place = i128::from(IOPS * now).max(place) + i128::from(SECOND);
        let ahead = place - i128::from(SECOND);
        let expected = i128::from(now).max((ahead + i128::from(IOPS) - 1) / i128::from(IOPS));
        assert_eq!(i128::from(due(event) - begun), expected, "{event:?}");
        assert!(event.done_ns >= due(event), "{event:?}");
    }
    let mut due: Vec<i64> = events.iter().map(due).collect();
    due.sort_unstable();
    for (first, from) in due.iter().enumerate() {
        for (more, until) in (1..).zip(&due[first..]) {
            // A moment is told to the nanosecond above.
            assert!(
                more * SECOND <= (until - from + 1) * IOPS + SECOND,
                "{more} in {}",
                until - from
            );
        }
    }
    let ended = due.iter().filter(|due| **due < begun + time).count() as i64;
    let most = IOPS * time / SECOND + 1;
    // A machine with other work brings them late.
    let least = long_or(most * 98 / 100, most / 2);
    assert!((least..=most).contains(&ended), "{ended}");
    if let (Some(last), true) = (due.last(), long_or(true, false)) {
        let rate = (due.len() - 1) as f64 / ((last - due[0]) as f64 / SECOND as f64);
        assert!((rate / IOPS as f64 - 1.0).abs() < 0.005, "{rate} a second");
        println!("{ended} of {IOPS} a second in {} s, {rate:.3} a second", time / SECOND);
    }
}

/// Of a delay and a throttle the later moment counts, whichever that is.
#[test]
fn a_throttle_and_a_delay_do_not_add_up() {
    let mount = mount_with("throttle --iops 10 -r .*/f.*", 4096);
    mount.add(&delaying(&["write"], Duration::from_millis(250)));
    let events = written_by_sixteen(&mount, Duration::from_millis(10));
    let mut kinds = HashSet::new();
    for event in &events {
        let due = |kind: &str| {
            let hit = event.hits.iter().find(|hit| hit.kind == kind);
            hit.map_or(event.t_ns, |hit| hit.due_ns.unwrap())
        };
        let (delay, throttle) = (due("delay"), due("throttle"));
        assert_eq!(delay - event.t_ns, 250_000_000);
        assert!(event.done_ns >= delay.max(throttle), "{event:?}");
        kinds.insert(delay > throttle);
        // The last is due by the throttle after 1.5 s; both one after the other would be 250 ms more.
        if throttle > delay {
            assert!(event.done_ns < throttle + 240_000_000, "{event:?}");
        }
    }
    assert_eq!(kinds.len(), 2, "each was the later one of some");
}

/// Bytes, of a copy both ways, and each file for itself.
#[test]
fn a_throttle_charges_bytes_and_each_file_for_itself() {
    let mount =
        mount_with("throttle --write-bw 1000KiB --io-size 100KiB --per file -r .*/[fg]", 300_000);
    fs::write(mount.raw().join("g"), []).unwrap();
    let mut client = mount.client();
    client.trace_start(&["write".to_owned(), "copy_file_range".to_owned()], "", false).unwrap();
    let [f, g] = ["f", "g"].map(|name| {
        OpenOptions::new().read(true).write(true).open(mount.mnt().join(name)).unwrap()
    });
    let bytes = vec![b'b'; 100 << 10];
    for file in [&f, &g] {
        // The burst is one I/O size: the first passes, the second waits until its bytes are earned.
        file.write_all_at(&bytes, 0).unwrap();
        file.write_all_at(&bytes, 100 << 10).unwrap();
    }
    let copied = rustix::fs::copy_file_range(&f, Some(&mut 0), &g, Some(&mut 0), 50 << 10).unwrap();
    assert_eq!(copied, 50 << 10);
    let events = as_charged(all_of(&mut client));
    let waited: Vec<i64> = events.iter().map(|event| due(event) - event.t_ns).collect();
    let [first, second, other, after, copy] = waited[..] else { panic!("{events:?}") };
    assert_eq!((first, other), (0, 0), "{events:?}");
    // The next came a moment after the last, and what is left of its 100 ms it waits.
    for waited in [second, after] {
        assert!(waited > 0 && waited <= 100_000_000, "{waited}");
    }
    assert!(copy > 0 && copy <= 50_000_000, "{copy}");
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
