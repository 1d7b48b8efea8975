//! A directory is probed with files of the probe's own, which are gone afterwards.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::common::disk::Disk;
use super::common::{slowfs, text_of, wait_for};
use super::{class, json, recording, refused};

/// What every probe tells.
const METHODS: [&str; 15] = [
    "chmod",
    "create",
    "fdatasync",
    "fsync",
    "fsyncdir",
    "ftruncate",
    "getattr",
    "link",
    "mkdir",
    "open",
    "rename",
    "rmdir",
    "symlink",
    "unlink",
    "utimens",
];

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|at| at.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

fn probe(dir: &Path) -> (Value, String) {
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("disk.toml");
    let began = Instant::now();
    let output = recording(&[dir.to_str().unwrap(), "--for", "4s"], &file).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(began.elapsed() < Duration::from_secs(60));
    (json(&text_of(&output)), fs::read_to_string(&file).unwrap())
}

#[test]
fn a_disk_and_memory_tell_of_every_class() {
    for disk in [Disk::tmpfs(), Disk::ext4()] {
        let own = disk.directory();
        let (summary, text) = probe(own.path());
        assert!(names(own.path()).is_empty(), "{:?}", names(own.path()));
        for size in [4 << 10, 64 << 10, 1 << 20] {
            for method in ["read", "write"] {
                assert!(
                    class(&summary, method, Some(size))["n"].as_u64().unwrap() > 0,
                    "{summary}"
                );
            }
        }
        for method in METHODS {
            let of = class(&summary, method, None);
            let at = ["p50_ns", "p90_ns", "p99_ns"].map(|name| of[name].as_u64().unwrap());
            assert!(at[0] > 0 && at.is_sorted(), "{of}");
        }
        assert_eq!(summary["classes"].as_array().unwrap().len(), METHODS.len() + 6, "{summary}");
        assert!(text.contains("\nchannels = 64 "), "{text}");
        let notes = summary["notes"].as_array().unwrap();
        assert!(notes.iter().all(|note| note.as_str().unwrap().contains("O_DIRECT")), "{summary}");
    }
}

/// What came until then is written, and nothing is left behind.
#[test]
fn an_interrupted_probe_cleans_up_and_tells_what_came() {
    let disk = Disk::ext4();
    let own = disk.directory();
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("disk.toml");
    let mut command = recording(&[own.path().to_str().unwrap(), "--for", "10m"], &file);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = || fs::read_dir(own.path().join(names(own.path()).pop()?)).ok();
    wait_for("the first round", || {
        log()?.flatten().any(|at| at.file_name() == "log").then_some(())
    });
    kill_process(Pid::from_child(&command), Signal::INT).unwrap();
    let output = command.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(json(&text_of(&output))["requests"].as_u64().unwrap() > 0);
    assert!(names(own.path()).is_empty(), "{:?}", names(own.path()));
    assert!(file.exists());
}

/// What it cannot do there it says, and cleans up.
#[test]
fn a_disk_without_room_is_told() {
    let disk = Disk::tmpfs();
    let own = disk.directory();
    let options = std::process::Command::new("mount")
        .args(["-o", "remount,size=8m"])
        .arg(disk.path())
        .status()
        .unwrap();
    assert!(options.success());
    let to = tempfile::tempdir().unwrap();
    let mut command = slowfs();
    command.arg("record").arg(own.path()).arg("--to").arg(to.path().join("disk.toml"));
    let said = refused(&command.output().unwrap(), 1);
    assert!(said.contains("write of 1MiB: No space left on device"), "{said}");
    assert!(names(own.path()).is_empty() && names(to.path()).is_empty());
}

/// What was measured is told all the same, and the file stays as it was.
#[test]
fn a_file_that_takes_no_recording_loses_nothing() {
    let disk = Disk::tmpfs();
    let own = disk.directory();
    let small = Disk::tmpfs();
    let size = ["-o", "remount,size=64k"];
    let mut shrink = std::process::Command::new("mount");
    assert!(shrink.args(size).arg(small.path()).status().unwrap().success());
    let file = small.path().join("disk.toml");
    fs::write(&file, "mine").unwrap();
    fs::write(small.path().join("rest"), [1; 60 << 10]).unwrap();
    let words = [own.path().to_str().unwrap(), "--for", "1s", "--force"];
    for to in [file.as_path(), Path::new("/dev/full")] {
        let output = recording(&words, to).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
        let said = text_of(&output);
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with('{')).collect();
        let [summary, error] = lines[..] else { panic!("{said}") };
        let summary = json(summary);
        assert!(summary["file"].is_null(), "{summary}");
        assert!(class(&summary, "fsync", None)["n"].as_u64().unwrap() > 0, "{summary}");
        let error = json(error)["error"].to_string();
        assert!(error.contains(": No space left on device"), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    fs::remove_file(small.path().join("rest")).unwrap();
    // As one leaves it that was killed.
    fs::write(&file, "").unwrap();
    let words = [own.path().to_str().unwrap(), "--for", "1s"];
    let output = recording(&words, &file).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(fs::read_to_string(&file).unwrap().contains("[fsync]"));
    assert_eq!(names(small.path()), ["disk.toml"]);
}
