//! Kinds of fault, each against its oracle, on a real mount.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod bad_sector;
#[path = "../common/mod.rs"]
mod common;
mod corrupt;
mod delay;
mod device;
mod draws;
mod filters;
mod full;
mod healing;
mod injections;
mod latches;
mod late_error;
mod lost_write;
mod moved_space;
mod phases;
mod short;
mod syncs;
mod throttle;
mod torn_write;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use common::Mount;
use common::trace::drain;
use serde_json::Value;
use slowfs::rpc::{Client, TraceEvent};

const EIO: i32 = 5;

/// A mount on which that fault is set, and `f` behind it has so many bytes `a`.
fn mount_with(fault: &str, bytes: usize) -> Mount {
    let scratch = common::scratch();
    fs::create_dir(scratch.path().join("raw")).unwrap();
    fs::write(scratch.path().join("raw/f"), vec![b'a'; bytes]).unwrap();
    Mount::over(scratch, &["--seed", "7", "--fault", fault])
}

fn open(mount: &Mount, flags: i32) -> File {
    let path = mount.mnt().join("f");
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

/// What read(2) tells on the mount.
fn told(mount: &Mount) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(mount.mnt().join("f")).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// So many `a`, but `b` in these ranges.
fn expected(len: usize, ranges: &[(usize, usize)]) -> Vec<u8> {
    let mut bytes = vec![b'a'; len];
    ranges.iter().for_each(|(start, end)| bytes[*start..*end].fill(b'b'));
    bytes
}

/// Copies so many bytes of a file of `b` beside `f` to `f` at that offset; how many it is told.
fn copied(mount: &Mount, at: u64, len: usize) -> usize {
    fs::write(mount.raw().join("from"), vec![b'b'; len]).unwrap();
    let from = File::open(mount.mnt().join("from")).unwrap();
    let (to, mut at) = (open(mount, 0), at);
    rustix::fs::copy_file_range(&from, Some(&mut 0), &to, Some(&mut at), len).unwrap()
}

/// How often the only fault has fired and was skipped.
fn counts(mount: &Mount) -> (i64, i64) {
    let faults = mount.client().list_faults().unwrap();
    (faults[0].fired, faults[0].skipped)
}

/// All that has come to the trace, without a gap.
fn all_of(client: &mut Client) -> Vec<TraceEvent> {
    let (events, dropped) = drain(client);
    assert_eq!(dropped, 0);
    events
}

/// The requests in the order in which a condition charged them. What passed at once has no number: those
/// that no other has are its.
fn as_charged(mut events: Vec<TraceEvent>) -> Vec<TraceEvent> {
    let charged = |event: &TraceEvent| event.hits.first().map(|hit| hit.n);
    let known: HashSet<i64> = events.iter().filter_map(charged).collect();
    let mut others = (0..).filter(|n| !known.contains(n));
    events.sort_by_key(|event| event.t_ns);
    events.sort_by_cached_key(|event| charged(event).or_else(|| others.next()));
    events
}

/// What a Python script of this directory prints about that.
fn judged(script: &str, told: &Value) -> String {
    let script = format!("{}/tests/kinds/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3");
    python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python.stdin.take().unwrap().write_all(told.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "python3 failed");
    String::from_utf8(output.stdout).unwrap()
}

/// What is behind the mount.
fn persisted(mount: &Mount) -> Vec<u8> {
    fs::read(mount.raw().join("f")).unwrap()
}
