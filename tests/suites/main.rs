//! Public suites for filesystems, run on the mount and on the directory beneath it.
//!
//! `scripts/setup test` puts them below target/. The ordinary run is of minutes, on a tmpfs; the
//! long one (`make test-long`) is on ext4 too. All of it needs root, and ext4 needs loop devices.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod disk;
mod fsx;
mod pjdfstest;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::long_or;

/// Where the suites are installed, and where they leave what they fail on.
fn suites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/suites")
}

/// A suite's program.
fn suite(name: &str) -> PathBuf {
    let program = suites().join("bin").join(name);
    assert!(program.exists(), "no {}: run scripts/setup test", program.display());
    program
}

/// What runs the command that follows, and ends it once it counts as hung.
fn bounded() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", long_or("3600", "300")]);
    command
}
