//! Scenarios: their steps come at their times and at their firings, whole or not at all, and what they set
//! goes with them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod detector;
mod ends;
mod once;
mod power;
mod refusals;
mod repairs;
mod report;
mod times;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use common::{Mount, slowfs, wait_for};
use serde_json::Value;
use slowfs::rpc::Client;

/// A file with that scenario.
fn file(mount: &Mount, text: &str) -> PathBuf {
    let file = mount.scratch().join("disk.scenario");
    fs::write(&file, text).unwrap();
    file
}

/// `slowfs run` of that scenario on that mount.
fn command(mount: &Mount, text: &str) -> Command {
    let mut command = slowfs();
    command.arg("run").arg(file(mount, text)).args(["--addr", &mount.addr]);
    command
}

fn run(mount: &Mount, text: &str) -> Output {
    command(mount, text).output().unwrap()
}

/// The same, while the test goes on.
fn begin(mount: &Mount, text: &str) -> Running {
    let mut command = command(mount, text);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running(command.spawn().unwrap());
    wait_for("the scenario to run", || (state(&mut mount.client()) == "running").then_some(()));
    running
}

/// A command that ends with the test.
struct Running(Child);

impl Running {
    /// Its end.
    fn wait(&mut self) -> std::process::ExitStatus {
        wait_for("the command to end", || self.0.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the mount says of its scenario.
fn state(client: &mut Client) -> String {
    client.run_read(0).unwrap().run.map(|run| run.state).unwrap_or_default()
}

fn names(client: &mut Client) -> Vec<String> {
    let listed = client.list_faults().unwrap();
    listed.into_iter().map(|listed| listed.fault.name.unwrap_or_default()).collect()
}

/// The log is written behind what it tells of.
fn logged(mount: &Mount, part: &str) {
    wait_for(part, || mount.log_text().contains(part).then_some(()));
}

/// What `slowfs WORDS --json` says of that mount.
fn json(mount: &Mount, words: &[&str]) -> Value {
    let output = slowfs().args(words).args(["--json", "--addr", &mount.addr]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}
