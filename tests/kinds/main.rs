//! Kinds of fault, each against its oracle, on a real mount.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod delay;
mod device;
mod draws;
mod filters;
mod late_error;
mod phases;
mod throttle;
mod torn_write;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
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
