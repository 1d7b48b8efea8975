//! The log in the words of who reads it: a program, or the journal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use common::{Mount, failing, scratch, slowfs, text_of};
use serde_json::Value;

/// Every line as an object, with what each of them has.
fn objects(text: &str) -> Vec<Value> {
    assert!(text.ends_with('\n'), "{text}");
    let objects = text.lines().map(|line| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["fields", "level", "message", "target", "time"], "{line}");
        let time = object["time"].as_str().unwrap();
        assert!(time.len() == 27 && time.ends_with('Z'), "{line}");
        assert!(["error", "warn", "info"].contains(&object["level"].as_str().unwrap()), "{line}");
        object
    });
    objects.collect()
}

/// Does what is logged on several levels, with a name that is not for a log.
fn is_used(mount: &mut Mount) {
    mount.client().put_fault(&failing(&["mkdir"], "EIO"), false).unwrap();
    fs::create_dir(mount.mnt().join("a\nb\"")).unwrap_err();
    mount.client().put_fault(&failing(&["mkdir"], "EIO").with("probability", "0%"), true).unwrap();
    mount.stop();
}

#[test]
fn each_line_for_programs_is_an_object() {
    let mut mount = Mount::with(&["--log-format", "json", "--log-ops"]);
    is_used(&mut mount);
    let objects = objects(&mount.log_text());
    let find = |part: &str| {
        let has = |object: &&Value| object["message"].as_str().unwrap().contains(part);
        objects.iter().find(has).unwrap_or_else(|| panic!("no {part}: {objects:?}"))
    };
    let set = find("put_fault: fault 1: error EIO -m mkdir");
    assert_eq!((&set["level"], &set["target"]), (&"info".into(), &"slowfs::rpc::put".into()));
    assert!(set["fields"]["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{set}");
    assert_eq!(find("fault 2: ")["level"], "info");
    assert!(objects.iter().any(|object| object["level"] == "warn"), "{objects:?}");
    find("mkdir ");
    find("unmounted");
}

/// A pattern and an errno of a client, and a name of a user: what follows their newline begins no line.
#[test]
fn what_others_name_makes_no_line_of_its_own() {
    let mut mount = Mount::with(&["--log-ops"]);
    let forged = "a\nforged\u{1b}c";
    let mut fault = failing(&["mkdir"], "EIO");
    fault.pattern = forged.to_owned();
    mount.client().put_fault(&fault, false).unwrap();
    mount.client().put_fault(&failing(&["mkdir"], forged), false).unwrap_err();
    fs::create_dir(mount.mnt().join(forged)).unwrap();
    mount.stop();
    let log = mount.log_text();
    for part in [" put_fault: ", " mkdir"] {
        let told = |line: &str| line.contains(part) && line.contains(r"a\nforged");
        assert!(log.lines().any(told), "{part}: {log}");
    }
    assert!(!log.lines().any(|line| line.starts_with("forged")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_start_that_fails_is_told_as_the_log_is_written_in_the_background_too() {
    let scratch = scratch();
    let log = scratch.path().join("log").display().to_string();
    let told = |options: &[&str]| {
        let mut mount = slowfs();
        let output = mount.args(["mount", "/none/such", "--listen", "none"]).args(options);
        let output = output.output().unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]));
        String::from_utf8(output.stderr).unwrap()
    };
    for daemon in [&[][..], &["--daemon"]] {
        let json = [daemon, &["--log-format", "json"]].concat();
        let [object] = &objects(&told(&json))[..] else { panic!("{}", told(&json)) };
        let message = object["message"].as_str().unwrap();
        assert!(message.starts_with("cannot mount on /none/such: "), "{object}");
        // For people, and where the log goes elsewhere.
        for text in [daemon, &[&json[..], &["--log-file", &log]].concat()] {
            let line = told(text);
            assert!(line.starts_with("slowfs: cannot mount on /none/such: "), "{text:?}: {line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }
}

/// A log that is said to be a stream of the journal.
fn journal(log: &Path, command: &mut Command) {
    let log = File::create(log).unwrap();
    let seen = log.metadata().unwrap();
    command.env("JOURNAL_STREAM", format!("{}:{}", seen.dev(), seen.ino())).stderr(log);
}

/// Why it does not start.
fn refused(options: &[&str]) -> String {
    let scratch = scratch();
    let mut mount = slowfs();
    mount.args(["mount", "/none/such", "--listen", "none"]).args(options);
    journal(&scratch.path().join("journal"), &mut mount);
    assert_eq!(mount.status().unwrap().code(), Some(1));
    fs::read_to_string(scratch.path().join("journal")).unwrap()
}

#[test]
fn the_journal_gets_priorities_and_no_times() {
    let told = refused(&[]);
    assert!(
        told.starts_with("<3>cannot mount on /none/such: ") && told.lines().count() == 1,
        "{told}"
    );
    let told = refused(&["--log-format", "json"]);
    let object = &objects(told.strip_prefix("<3>").unwrap())[0];
    assert!(
        object["message"].as_str().unwrap().starts_with("cannot mount on /none/such"),
        "{told}"
    );
    // Of a mount that lives, too.
    let scratch = scratch();
    let mut daemon = slowfs();
    journal(&scratch.path().join("daemon.log"), &mut daemon);
    let mut mount = Mount::run(daemon, scratch, &["--log-ops"]);
    is_used(&mut mount);
    for line in mount.log_text().lines() {
        let rest = line.strip_prefix('<').and_then(|line| line.get(1..)?.strip_prefix('>'));
        assert!(
            rest.is_some_and(|rest| !rest.starts_with("20") && !rest.starts_with(' ')),
            "{line}"
        );
    }
    for (priority, part) in [(4, "its probability is 0"), (6, "put_fault: fault 1: error EIO")] {
        let found = mount.log_text().lines().find(|line| line.contains(part)).map(str::to_owned);
        assert!(
            found.as_ref().is_some_and(|l| l.starts_with(&format!("<{priority}>"))),
            "{found:?}"
        );
    }
    // The number of another file is none.
    let mut mount = slowfs();
    mount.args(["mount", "/none/such", "--listen", "none"]).env("JOURNAL_STREAM", "1:1");
    assert!(text_of(&mount.output().unwrap()).starts_with("slowfs: cannot mount on /none/such"));
    // A log file is none either.
    let scratch = common::scratch();
    let log = scratch.path().join("log");
    let mut mount = slowfs();
    mount.args(["mount", "/none/such", "--listen", "none", "--log-file"]).arg(&log);
    let file = File::options().create(true).append(true).open(&log).unwrap();
    let seen = file.metadata().unwrap();
    mount.env("JOURNAL_STREAM", format!("{}:{}", seen.dev(), seen.ino())).stderr(file);
    assert_eq!(mount.status().unwrap().code(), Some(1));
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("slowfs: cannot mount") && !text.contains('<'), "{text}");
}
