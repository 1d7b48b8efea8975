//! Read faults through the page cache: what reads rolls the dice once, and what does not read never.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::aio::Aio;
use common::{Mount, delaying, failing, long_or};

const PAGES: usize = 256;

/// A way to read a page: how the file is opened, what is done beforehand, and the operations of each
/// read, the last of which reads, from OFFSET.
struct Way {
    engine: &'static str,
    flags: &'static str,
    first: &'static str,
    each: &'static str,
}

const fn way(flags: &'static str, first: &'static str, each: &'static str) -> Way {
    Way { engine: "plain", flags, first, each }
}

/// Warm, cold, and cold without readahead.
const WAYS: [Way; 13] = [
    way("none", "r:0:1048576", "r:OFFSET:4096"),
    way("none", "drop", "drop r:OFFSET:4096"),
    way("random", "drop", "drop r:OFFSET:4096"),
    way("direct", "drop", "r:OFFSET:4096"),
    way("none", "drop", "drop m:OFFSET:1"),
    way("random", "drop", "drop m:OFFSET:1"),
    way("none", "drop", "drop s:OFFSET:4096"),
    way("random", "drop", "drop s:OFFSET:4096"),
    way("none", "drop", "drop x:OFFSET:4096"),
    Way { engine: "uring", ..way("none", "r:0:1048576", "r:OFFSET:4096") },
    Way { engine: "uring", ..way("direct", "r:0:1048576", "r:OFFSET:4096") },
    Way { engine: "libaio", ..way("none", "r:0:1048576", "r:OFFSET:4096") },
    Way { engine: "libaio", ..way("direct", "r:0:1048576", "r:OFFSET:4096") },
];

/// Reads `n` pages, each elsewhere than the one before, and says how many reads failed.
fn failed(aio: &mut Aio, each: &str, n: usize) -> usize {
    let ops: Vec<String> =
        (0..n).map(|i| each.replace("OFFSET", &(i * 97 % PAGES * 4096).to_string())).collect();
    let failures = |words: &[String]| {
        let ended = aio.batch(&words.join(" "));
        ended.iter().filter(|done| done.result < 0).count()
    };
    ops.chunks(100).map(failures).sum()
}

#[test]
fn each_read_of_a_page_rolls_once_whatever_way_it_comes_in() {
    let n = long_or(10_000, 200);
    let mount = Mount::with(&["--seed", "11"]);
    let path = mount.mnt().join("file");
    fs::write(&path, vec![7; PAGES * 4096]).unwrap();
    for before in [true, false] {
        for Way { engine, flags, first, each } in &WAYS {
            let how = format!("{engine} {flags}: {each}, opened before the fault: {before}");
            let mut aio = before.then(|| Aio::new(engine, &path, flags));
            Aio::new("plain", &path, "none").batch(first);
            let half = failing(&["read"], "EIO").with("probability", "0.5");
            let id = mount.add(&half);
            let aio = aio.get_or_insert_with(|| Aio::new(engine, &path, flags));
            let failed = failed(aio, each, n);
            let listed = mount.listed(id);
            assert_eq!((listed.matched, listed.fired), (n as i64, failed as i64), "{how}");
            println!("{how}: {failed} of {n}");
            let odds = long_or(0.49..=0.51, 0.3..=0.7);
            assert!(odds.contains(&(failed as f64 / n as f64)), "{how}: {failed} of {n}");
            mount.clear();
            assert_eq!(self::failed(aio, each, 10), 0, "{how}");
        }
    }
}

/// A read by io_uring that must wait for its page is begun, and goes on when the page is there.
#[test]
fn a_read_by_a_ring_that_waits_for_its_page_rolls_once() {
    let n = long_or(2_000, 200);
    let mount = Mount::new();
    let path = mount.mnt().join("file");
    fs::write(&path, vec![7; PAGES * 4096]).unwrap();
    let mut aio = Aio::new("uring", &path, "random");
    let mut dropping = Aio::new("plain", &path, "random");
    let half = failing(&["read"], "EIO").with("probability", "0.5");
    let id = mount.add(&half);
    let mut failed = 0;
    for i in 0..n {
        dropping.batch("drop");
        failed += self::failed(&mut aio, &format!("r:{}:4096", i % PAGES * 4096), 1);
    }
    let listed = mount.listed(id);
    assert_eq!(listed.fired, failed as i64);
    // One in a hundred begins twice before its page is asked for.
    let rolled = n as i64..=(n + n / 10) as i64;
    assert!(rolled.contains(&listed.matched), "{} of {n}", listed.matched);
}

#[test]
fn the_last_firing_of_a_fault_fails_its_read_to_the_end() {
    let mount = Mount::new();
    let path = mount.mnt().join("file");
    fs::write(&path, vec![7; PAGES * 4096]).unwrap();
    for Way { engine, flags, each, .. } in &WAYS {
        let mut aio = Aio::new(engine, &path, flags);
        failed(&mut aio, each, 1);
        mount.add(&failing(&["read"], "EIO").with("count", "1"));
        assert_eq!(failed(&mut aio, each, 20), 1, "{engine} {flags}: {each}");
        mount.clear();
    }
}

#[test]
fn a_page_that_comes_in_is_delayed_once() {
    let mount = Mount::new();
    let path = mount.mnt().join("file");
    fs::write(&path, vec![7; PAGES * 4096]).unwrap();
    let delay = Duration::from_millis(60);
    for each in ["drop m:0:1", "drop s:0:4096", "drop x:0:4096", "drop r:0:4096", "r:0:4096"] {
        let mut aio = Aio::new("plain", &path, "none");
        failed(&mut aio, each, 1);
        mount.add(&delaying(&["read"], delay).and("error", "EIO"));
        let began = Instant::now();
        assert_eq!(failed(&mut aio, each, 1), 1, "{each}");
        let took = began.elapsed();
        assert!((delay..2 * delay).contains(&took), "{each}: {took:?}");
        mount.clear();
    }
}

/// PostgreSQL's planner asks for the end of each file that a query reads.
#[test]
fn a_seek_to_the_end_is_no_read() {
    let mount = Mount::new();
    let path = mount.mnt().join("file");
    fs::write(&path, vec![7; PAGES * 4096]).unwrap();
    let mut aio = Aio::new("plain", &path, "none");
    aio.batch("r:0:1048576");
    let id = mount.add(&failing(&["read"], "EIO"));
    let size = (PAGES * 4096) as i64;
    assert_eq!(
        aio.results("end r:0:4096 end end r:0:4096"),
        [size, -i64::from(libc::EIO), size, size, -i64::from(libc::EIO)]
    );
    assert_eq!(mount.listed(id).matched, 2);
    // It stays what else it is: a question for attributes by handle.
    let of = mount.add(&failing(&["fgetattr"], "EIO").with("probability", "0"));
    aio.batch("end end r:0:4096");
    assert_eq!(mount.listed(of).matched, 2, "the read failed before");
}

/// A server opens a file, sends it and closes it, over and over.
#[test]
fn a_file_that_is_opened_under_a_fault_meets_it_when_it_is_sent() {
    for options in [&[][..], &["--direct-io"]] {
        let mount = Mount::with(options);
        let path = mount.mnt().join("file");
        fs::write(&path, vec![7; PAGES * 4096]).unwrap();
        let sent = || Aio::new("plain", &path, "none").results("s:0:4096");
        assert_eq!(sent(), [4096]);
        mount.add(&failing(&["read"], "EIO"));
        assert_eq!(sent(), [-i64::from(libc::EIO)], "{options:?}");
        mount.clear();
        assert_eq!(sent(), [4096]);
    }
}
