//! Deviations from charybdefs that no other test pins, and the guide for those who move over: what
//! it names must be there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Mount, delaying, errno_of, failing};
use slowfs::fault::{FaultWords, PlainFault};

#[test]
fn symlink_matches_by_the_new_links_path_only() {
    let mount = Mount::new();
    let on = |pattern: &str| FaultWords { pattern: pattern.into(), ..failing(&["symlink"], "EIO") };
    let target = mount.mnt().join("target");
    fs::write(&target, "").unwrap();
    mount.add(&on(".*target"));
    symlink(&target, mount.mnt().join("spared")).unwrap();
    symlink("target", mount.mnt().join("spared too")).unwrap();
    mount.add(&on(".*/hit"));
    assert_eq!(errno_of(symlink(&target, mount.mnt().join("hit"))), libc::EIO);
}

#[test]
fn a_large_write_is_one_request() {
    let mount = Mount::new();
    let file =
        OpenOptions::new().create_new(true).write(true).open(mount.mnt().join("file")).unwrap();
    let id = mount.add(&delaying(&["write_buf"], Duration::from_nanos(1)));
    for (requests, size) in [300 << 10, 1 << 20].into_iter().enumerate() {
        file.write_all_at(&vec![7; size], 0).unwrap();
        assert_eq!(mount.listed(id).matched, i64::try_from(requests).unwrap() + 1);
    }
}

/// As the users' own client for etcd's log does it: eight methods, per mille, then a file that is
/// opened, written, synced and closed. What they set later for three leaves five as they were.
#[test]
fn the_probe_of_the_guide_meets_four_delays_and_what_is_set_later_leaves_the_others() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    let log = mount.mnt().join("member/wal");
    fs::create_dir_all(&log).unwrap();
    let delay = |methods: &str, delay_us| {
        let methods: Vec<_> = methods.split(',').map(str::to_owned).collect();
        let regexp = "(^|.*/)member/wal/.*".to_owned();
        let fault = PlainFault { probability: 1000, regexp, delay_us, ..PlainFault::default() };
        mount.client().set_fault(Some(&methods), &fault).unwrap();
    };
    let each = 20_000;
    delay("open,create,write,write_buf,fsync,fdatasync,fsyncdir,flush", each);
    let began = Instant::now();
    let mut probe = File::create(log.join("_probe")).unwrap();
    probe.write_all(&[b'x'; 4096]).unwrap();
    probe.sync_all().unwrap();
    drop(probe);
    let took = began.elapsed();
    fs::remove_file(log.join("_probe")).unwrap();
    let [eight] = &mount.client().list_faults().unwrap()[..] else { panic!("one fault") };
    assert_eq!(eight.fired, 4, "create, write, fsync and flush");
    assert!(took >= 4 * Duration::from_micros(each.try_into().unwrap()), "{took:?}");
    delay("fsync,fdatasync,fsyncdir", 1);
    let faults = mount.client().list_faults().unwrap();
    let [five, three] = &faults[..] else { panic!("{faults:?}") };
    assert_eq!(five.fault.methods, ["create", "flush", "open", "write", "write_buf"]);
    assert_eq!(three.fault.methods, ["fdatasync", "fsync", "fsyncdir"]);
    mount.clear();
    assert!(mount.client().list_faults().unwrap().is_empty());
}

fn document(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The rows of the first table below a heading, as cells; those above and below are left out.
fn table<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = text.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().skip_while(|l| !l.starts_with("|--")).skip(1);
    let rows = rows.take_while(|l| l.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// How many tests a cell names, each with its file before it; all of them must be there.
fn named(cell: &str) -> usize {
    let mut source = String::new();
    let mut named = 0;
    for word in cell.split('`').skip(1).step_by(2) {
        if word.contains('.') {
            source = document(word);
        } else {
            named += 1;
            let there = [format!("fn {word}()"), format!("fn {word}(dir: &Path)")];
            assert!(there.iter().any(|f| source.contains(f)), "no test {word} for {cell}");
        }
    }
    named
}

#[test]
fn every_deviation_names_tests_that_exist() {
    let guide = document("docs/from-charybdefs.md");
    let rows = table(&guide, "\n## Deviations\n");
    for row in &rows {
        let [number, .., tests] = row[..] else { panic!("{row:?}") };
        assert!(named(tests) > 0, "row {number} names no test");
    }
    let numbers: Vec<_> = rows.iter().map(|row| row[0].parse::<usize>().unwrap()).collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
}

/// The last cell of each row names a test, the code or another page.
#[test]
fn every_statement_on_security_names_what_shows_it() {
    let page = document("docs/security.md");
    let (mut rows, mut tests) = (0, 0);
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("shown by |"))
    {
        let cell = line.trim_matches('|').rsplit(" | ").next().unwrap();
        assert!(cell.contains(".rs`") || cell.contains(".toml`") || cell.contains(".md"), "{line}");
        tests += named(cell);
        rows += 1;
    }
    assert!(rows > 20 && tests > 20, "{rows} rows name {tests} tests");
}

#[test]
fn troubleshooting_covers_what_users_of_the_etcd_workflow_met() {
    let page = document("docs/troubleshooting.md");
    let headings: Vec<_> = page.lines().filter(|l| l.starts_with("**")).collect();
    for symptom in [
        "No module named 'server'",
        "Could not connect to any of [('127.0.0.1', 9090)]",
        "JSON does not parse",
        "hits the wrong paths",
        "no `/bin/sh`",
        "`allow_other` fails",
    ] {
        assert!(headings.iter().any(|h| h.contains(symptom)), "{symptom:?} in {headings:#?}");
    }
}
