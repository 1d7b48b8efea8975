//! Filters of every fault, and which of its matches it fires on.

use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::json;

use super::common::calls::Mapping;
use super::common::{Mount, errno_of, failing};
use super::{EIO, judged, mount_with, open, persisted};

#[test]
fn filters_let_only_their_own_requests_through() {
    let mount = mount_with("error EIO -m write -r .*/f --uid 0", 8192);
    let file = open(&mount, 0);
    assert_eq!(errno_of(file.write_at(b"b", 0)), EIO);
    let mut mapped = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    mapped[0] = b'm';
    mapped.sync().unwrap();
    assert_eq!(persisted(&mount)[0], b'm', "written back by nobody");
    drop((mapped, file));
    // Past the cache, as the kernel parts what goes through it at its pages.
    let mount = mount_with("error EIO -m write -r .*/f --range 4KiB..5KiB --size ..200", 8192);
    let file = open(&mount, libc::O_DIRECT);
    for (offset, len, fails) in
        [(0, 100, false), (4000, 96, false), (4000, 97, true), (5119, 1, true), (5120, 9, false)]
    {
        let written = file.write_at(&vec![b'b'; len], offset);
        assert_eq!(written.is_err(), fails, "{offset} {len}");
    }
    assert!(file.write_at(&black_box([b'b'; 200]), 4096).is_ok(), "too large");
    let mount = mount_with("error EIO -m write -r .*/f --flags sync", 8192);
    assert!(open(&mount, 0).write_at(b"b", 0).is_ok());
    assert_eq!(errno_of(open(&mount, libc::O_SYNC).write_at(b"b", 0)), EIO);
}

#[test]
fn a_read_filtered_by_its_bytes_is_met_past_the_cache() {
    let mount = mount_with("error EIO -m read -r .*/f --range 4KiB..5KiB", 8192);
    let file = open(&mount, 0);
    let mut read = [0; 100];
    assert!(file.read_at(&mut read, 0).is_ok());
    assert_eq!(errno_of(file.read_at(&mut read, 4096)), EIO);
    assert!(file.read_at(&mut read, 5120).is_ok());
}

/// Another process, that has `f` open.
struct Writer {
    child: Child,
    told: Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn new(mount: &Mount) -> Writer {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kinds/writer.py");
        let mut python = Command::new("python3");
        python.arg(script).arg(mount.mnt().join("f")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap()).lines();
        Writer { child, told }
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// What comes of a byte that it writes, by its thread `main` or by another `thread`.
    fn write(&mut self, by: &str) -> String {
        writeln!(self.child.stdin.as_ref().unwrap(), "{by}").unwrap();
        self.told.next().expect("a line of it").unwrap()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_fault_of_a_process_meets_all_of_its_threads_and_no_other_process() {
    let mount = Mount::new();
    fs::write(mount.raw().join("f"), "a").unwrap();
    let (mut one, mut other) = (Writer::new(&mount), Writer::new(&mount));
    let id = mount.add(&failing(&["write"], "EIO").with("pid", &one.pid()));
    for by in ["main", "thread", "main"] {
        assert_eq!((one.write(by).as_str(), other.write(by).as_str()), ("EIO", "ok"), "{by}");
    }
    assert_eq!((mount.listed(id).matched, mount.listed(id).fired), (3, 3));
    mount.clear();
    let both = format!("{},{}", one.pid(), other.pid());
    mount.add(&failing(&["write"], "EIO").with("pid", &both));
    assert_eq!((one.write("thread").as_str(), other.write("main").as_str()), ("EIO", "EIO"));
    assert!(open(&mount, 0).write_at(b"b", 0).is_ok(), "of neither");
}

/// Those of another process count for nothing.
#[test]
fn after_nth_count_and_probability_choose_as_anybody_computes() {
    const WRITES: usize = 40;
    let mount = Mount::with(&["--seed", "7"]);
    fs::write(mount.raw().join("f"), "a").unwrap();
    let (file, mut other) = (open(&mount, 0), Writer::new(&mount));
    for (after, nth, count, probability) in [
        (0, 3, 99, 1.0),
        (2, 3, 2, 1.0),
        (5, 1, 3, 1.0),
        (0, 1, 99, 0.3),
        (4, 2, 99, 0.5),
        (4, 2, 5, 0.5),
    ] {
        let chosen = json!({
            "seed": 7, "name": "some", "matches": WRITES,
            "after": after, "nth": nth, "count": count, "probability": probability,
        });
        let mut fault = failing(&["write"], "EIO").with("pid", &std::process::id().to_string());
        for option in ["after", "nth", "count", "probability"] {
            fault = fault.with(option, &chosen[option].to_string());
        }
        fault.name = Some("some".into());
        let id = mount.add(&fault);
        let mut fails = || {
            assert_eq!(other.write("main"), "ok");
            file.write_at(b"b", 0).is_err()
        };
        let failed: Vec<usize> = (0..WRITES).filter(|_| fails()).collect();
        assert_eq!(format!("{failed:?}"), judged("firings.py", &chosen).trim(), "{chosen}");
        let last = *failed.last().expect("one at least");
        let ended = mount.client().list_ended().unwrap();
        let (listed, matched) = match failed.len() == count {
            true => (ended.into_iter().next_back().unwrap(), last + 1),
            false => (mount.listed(id), WRITES),
        };
        let counted = (listed.id, listed.fired as usize, listed.matched as usize);
        assert_eq!(counted, (id, failed.len(), matched), "{chosen}");
        mount.clear();
    }
}
