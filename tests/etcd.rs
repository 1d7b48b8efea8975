//! The users' main job on a real database: a three-node etcd whose leader keeps its data on
//! slowfs, driven and judged by `examples/etcd/demo.py`.
//!
//! Needs what `scripts/setup etcd` installs, and FUSE; without them the demo says what is missing.

use std::path::Path;
use std::process::Command;

#[test]
fn etcd_feels_exactly_the_delays_asked_for_and_keeps_every_key() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/etcd/demo.py");
    let output = Command::new(&demo)
        .args(["--slowfs", env!("CARGO_BIN_EXE_slowfs")])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", demo.display()));
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
