//! What engineers of databases test theirs with: reads and writes of a store stall, its process must end by
//! its own detector, and the stall is lifted later. And it must not end where the stall is shorter than it
//! bears.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::begin;
use super::common::{Mount, wait_for};

/// The exit code of its detector.
const STALLED: i32 = 7;

fn store(mount: &Mount, limit: &str, lasts: &str) -> Child {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/detector/stall_detector.py");
    let mut command = Command::new(program);
    command.arg(mount.mnt()).args(["--limit", limit, "--for", lasts]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the store to work", || {
        let stats = mount.client().stats().unwrap();
        let calls = |name| stats.requests.iter().find(|m| m.name == name).map_or(0, |m| m.calls);
        (calls("fsync") > 3 && calls("read") > 0).then_some(())
    });
    child
}

fn stall(methods: &str, lifted: &str) -> String {
    format!("0s hang -m {methods} -r '.*/store' --name stall\n{lifted} clear stall\n60s end")
}

#[test]
fn a_store_ends_by_its_own_detector_before_the_stall_is_lifted() {
    for methods in ["write,fsync", "open,read"] {
        let mount = Mount::new();
        let _cleared = mount.clear_on_drop();
        let mut child = store(&mount, "0.5", "120");
        let began = Instant::now();
        let _command = begin(&mount, &stall(methods, "50s"));
        let status = wait_for("the detector", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(STALLED), "{methods}");
        assert!(began.elapsed() >= Duration::from_millis(500));
        let held = mount.client().list_faults().unwrap();
        assert_eq!(held[0].fault.name.as_deref(), Some("stall"), "it still stalls");
    }
}

#[test]
fn a_store_outlives_a_stall_that_it_bears() {
    let mount = Mount::new();
    let mut child = store(&mount, "60", "3");
    let mut command = begin(&mount, &stall("open,read,write,fsync", "600ms"));
    let fired = wait_for("the stall to be over", || {
        let ended = mount.client().list_ended().unwrap();
        ended.iter().find(|gone| gone.fault.name.as_deref() == Some("stall")).map(|gone| gone.fired)
    });
    assert!(fired > 0, "it did stall");
    let status = wait_for("its end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    command.0.kill().unwrap();
}
