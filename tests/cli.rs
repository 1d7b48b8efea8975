//! The control commands as a user types them: what they print, how they end, what they refuse.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::process::Output;

use common::{Mount, errno_of, slowfs, text_of};
use serde_json::Value;

/// Runs `slowfs WORDS... --addr ADDR`.
fn control(mount: &Mount, words: &[&str]) -> Output {
    slowfs().args(words).args(["--addr", &mount.addr]).output().unwrap()
}

fn ok(mount: &Mount, words: &[&str]) -> String {
    let output = control(mount, words);
    assert!(output.status.success(), "{words:?}: {}", text_of(&output));
    assert!(output.stderr.is_empty(), "{words:?} warned: {}", text_of(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn json(mount: &Mount, words: &[&str]) -> Value {
    serde_json::from_str(&ok(mount, &[words, &["--json"]].concat())).unwrap()
}

/// Refused before anything is sent: exit code 2 and every one of `parts` in what it says.
fn usage_error(words: &[&str], parts: &[&str]) {
    let output = slowfs().args(words).args(["--addr", "127.0.0.1:1"]).output().unwrap();
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{words:?}: {part:?} in {text}");
    }
}

#[test]
fn a_fault_is_set_listed_and_cleared() {
    let mount = Mount::new();
    let dir = mount.mnt().join("dir");
    ok(&mount, &["error", "ENOSPC", "-m", "mkdir", "-r", ".*/dir", "-p", "100%"]);
    assert_eq!(errno_of(fs::create_dir(&dir)), libc::ENOSPC);
    let table = ok(&mount, &["list"]);
    for part in ["ENOSPC", "mkdir", ".*/dir", "100%"] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    let listed = &json(&mount, &["list"])["faults"][0];
    assert_eq!(listed["matched"], 1);
    assert_eq!(listed["fired"], 1);
    assert_eq!(listed["held"], 0);
    let id = listed["id"].to_string();
    ok(&mount, &["clear", "--id", &id]);
    fs::create_dir(&dir).unwrap();
    assert!(json(&mount, &["list"])["faults"].as_array().unwrap().is_empty());
}

#[test]
fn a_second_fault_replaces_its_methods_unless_added() {
    let mount = Mount::new();
    ok(&mount, &["error", "EIO", "-m", "mkdir,rmdir"]);
    ok(&mount, &["delay", "1ms", "-m", "mkdir"]);
    let methods = |listed: &Value| listed["methods"].as_array().unwrap().len();
    let faults = json(&mount, &["list"])["faults"].clone();
    assert_eq!(faults.as_array().unwrap().iter().map(methods).collect::<Vec<_>>(), [1, 1]);
    ok(&mount, &["kill", "-m", "mkdir", "-p", "0", "--add"]);
    assert_eq!(json(&mount, &["list"])["faults"].as_array().unwrap().len(), 3);
    ok(&mount, &["clear", "mkdir"]);
    assert_eq!(json(&mount, &["list"])["faults"].as_array().unwrap().len(), 1);
    ok(&mount, &["clear"]);
    assert!(json(&mount, &["list"])["faults"].as_array().unwrap().is_empty());
}

#[test]
fn methods_and_ping_tell_of_the_mount() {
    let mount = Mount::new();
    let methods = ok(&mount, &["methods"]);
    let lock = methods.lines().find(|l| l.starts_with("lock")).unwrap();
    assert!(lock.contains("locks stay with the kernel"), "{lock}");
    assert_eq!(json(&mount, &["methods"])["methods"].as_array().unwrap().len(), 43);
    let answer = ok(&mount, &["ping"]);
    assert!(answer.contains(&mount.mnt().display().to_string()), "{answer}");
    assert_eq!(json(&mount, &["ping"])["pid"], u64::from(mount.pid()));
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known() {
    usage_error(&["delay", "1ms", "-m", "fsycn"], &["fsycn", "fsync"]);
    usage_error(&["error", "ENOSPCE", "-m", "write"], &["ENOSPCE", "ENOSPC"]);
    usage_error(&["delay", "1ms", "--metods", "write"], &["--metods", "--methods"]);
    usage_error(&["dealy", "1ms", "-m", "write"], &["dealy", "delay"]);
}

#[test]
fn values_out_of_range_are_refused() {
    usage_error(&["error", "600", "-m", "write"], &["600", "511"]);
    usage_error(&["error", "ENOSYS", "-m", "fsync"], &["ENOSYS", "EOPNOTSUPP"]);
    usage_error(&["delay", "-1ms", "-m", "write"], &[]);
    usage_error(&["delay", "soon", "-m", "write"], &["soon"]);
    usage_error(&["delay", "1ms", "-m", "write", "-p", "1.5"], &["1.5"]);
    usage_error(&["delay", "1ms", "-m", "write", "-r", "(unclosed"], &["(unclosed"]);
    usage_error(&["delay", "1ms", "-m", "write", "--count", "0"], &["0"]);
}

#[test]
fn nobody_there_is_one_line_and_exit_code_one() {
    let output = slowfs().args(["ping", "--addr", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = text_of(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("127.0.0.1:1") && text.contains("connection refused"), "{text}");
}

#[test]
fn several_addresses_are_all_told_and_one_that_fails_stops_no_other() {
    let (one, two) = (Mount::new(), Mount::new());
    let mut command = slowfs();
    command.args(["error", "EIO", "-m", "mkdir"]);
    command.args(["--addr", &one.addr, "--addr", "127.0.0.1:1", "--addr", &two.addr]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    for mount in [&one, &two] {
        assert_eq!(errno_of(fs::create_dir(mount.mnt().join("dir"))), libc::EIO);
    }
}

#[test]
fn faults_given_at_the_mount_hold_before_the_first_operation() {
    let mount = Mount::with(&[
        "--fault",
        "error EIO -m mkdir -r '.*/a'",
        "--fault",
        "error EROFS -m rmdir",
    ]);
    assert_eq!(errno_of(fs::create_dir(mount.mnt().join("a"))), libc::EIO);
    fs::create_dir(mount.mnt().join("b")).unwrap();
    assert_eq!(errno_of(fs::remove_dir(mount.mnt().join("b"))), libc::EROFS);
}

#[test]
fn log_ops_writes_one_line_per_operation() {
    let mount = Mount::with(&["--log-ops"]);
    fs::create_dir(mount.mnt().join("made")).unwrap();
    let log = mount.log_text();
    let lines: Vec<_> = log.lines().filter(|l| l.contains(" Mkdir ")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    let path = mount.raw().join("made");
    assert!(lines[0].contains(&path.display().to_string()) && lines[0].contains("uid=0"), "{log}");
}

#[test]
fn each_control_call_is_logged_with_its_peer_and_how_it_was_read() {
    let mount = Mount::new();
    ok(&mount, &["delay", "2ms", "-m", "fsync", "-p", "25%"]);
    let log = mount.log_text();
    let line = log.lines().find(|l| l.contains("put_fault")).unwrap();
    for part in ["127.0.0.1:", "2ms", "fsync", "25%"] {
        assert!(line.contains(part), "{part} in {line}");
    }
}
