//! `slowfs record`: what the backing of a mount or a disk takes comes out again, where it is replayed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod document;
mod probe;
mod replay;

use std::path::Path;
use std::process::{Command, Output};

use common::{Mount, slowfs, stdout_of, text_of};
use serde_json::Value;

/// `slowfs record` with these words, and `--json`.
fn recording(words: &[&str], to: &Path) -> Command {
    let mut command = slowfs();
    command.arg("record").args(words).arg("--json").arg("--to").arg(to);
    command
}

fn json(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// The class of a summary.
fn class<'a>(summary: &'a Value, method: &str, size: Option<u64>) -> &'a Value {
    let classes = summary["classes"].as_array().unwrap();
    let found = classes.iter().find(|of| of["method"] == method && of["size"] == Value::from(size));
    found.unwrap_or_else(|| panic!("{method} {size:?}: {summary}"))
}

/// What it said when it was refused, in one line.
fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", text_of(output));
    let said = text_of(output);
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn what_cannot_be_recorded_is_refused_and_leaves_no_file() {
    let mount = Mount::new();
    let file = mount.scratch().join("disk.toml");
    let at = mount.mnt();
    let at = at.to_str().unwrap();
    let plain = |words: &[&str]| {
        let mut command = slowfs();
        let command = command.arg("record").args(words).arg("--to").arg(&file);
        command.output().unwrap()
    };
    let said = refused(&plain(&[at, "-m", "mknod", "--for", "30ms"]), 1);
    assert!(said.contains("no request of ") && said.contains("nothing is written"), "{said}");
    let nothing = mount.scratch().join("none");
    let nothing = nothing.to_str().unwrap();
    for (words, code, told) in [
        (&[nothing][..], 1, "is no mirror and no directory"),
        (&["/proc", "--for", "1s"], 1, "cannot probe /proc: a directory in it: "),
        (&["/tmp", "-m", "fsync"], 1, "choose from a mount's traffic, and /tmp is no mount"),
        (&[at, "--for", "soon"], 2, "--for"),
        (&[at, "-m", "fsycn"], 2, "did you mean fsync?"),
        (&[at, "--addr", "127.0.0.1:1"], 2, "--addr"),
        (&["--addr", "127.0.0.1:1,127.0.0.1:2"], 1, "one mount is recorded at a time"),
    ] {
        let said = refused(&plain(words), code);
        assert!(said.contains(told), "{told}: {said}");
        assert!(!file.exists(), "{words:?}");
    }
    std::fs::write(&file, "mine").unwrap();
    let said = refused(&plain(&[at, "--for", "30ms"]), 1);
    assert!(said.contains("disk.toml is there already; --force writes over it"), "{said}");
    refused(&plain(&[at, "-m", "mknod", "--for", "30ms", "--force"]), 1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine", "as nothing was recorded");
}

/// Each as the other programs of a machine write it, and by the words of the command line.
#[test]
fn rows_of_another_program_are_drawn_from_too() {
    let mount = Mount::new();
    let file = mount.scratch().join("rows.csv");
    std::fs::write(&file, "write,4096,2000000\nwrite,1048576,9000000\nfsync,0,3000000\n").unwrap();
    let file = file.to_str().unwrap();
    let ask = |words: &[&str]| {
        let mut command = slowfs();
        command.args(words).args(["--addr", &mount.addr]);
        command
    };
    let drawn = format!("file:{file}");
    let output = ask(&["delay", &drawn, "-m", "write,fsyncdir,read"]).output().unwrap();
    let said = text_of(&output);
    assert!(
        output.status.success() && said.contains("rows.csv lacks the times of some methods"),
        "{said}"
    );
    assert!(said.contains("fsyncdir takes those of fsync; read: no delay"), "{said}");
    let line = mount.client().list_faults().unwrap()[0].fault.line();
    for part in ["fsyncdir:0=3ms,", "write.4KiB:0=2ms,", "write.1MiB:0=9ms,"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // What lists it sets it again.
    let commands = stdout_of(&mut ask(&["list", "--commands"]));
    mount.clear();
    let script = format!("{} {}", slowfs_path(), commands.strip_prefix("slowfs ").unwrap());
    let again = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(again.status.success(), "{}", text_of(&again));
    assert_eq!(mount.client().list_faults().unwrap()[0].fault.line(), line);
    let output = ask(&["device", file]).output().unwrap();
    let said = text_of(&output);
    assert!(said.contains("no times of reads, metadata: the device takes none for them"), "{said}");
    let faults = mount.client().list_faults().unwrap();
    let line =
        faults.iter().map(|listed| listed.fault.line()).find(|line| line.starts_with("device"));
    let line = line.unwrap();
    assert!(
        line.contains("--channels 64") && line.contains("--flush recorded:fdatasync+fsync"),
        "{line}"
    );
}

fn slowfs_path() -> String {
    slowfs().get_program().to_str().unwrap().to_owned()
}
