//! A file of faults: in force in one step, over and over, or refused whole.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use common::{Mount, scratch, slowfs, stdout_of, text_of};
use serde_json::Value;
use slowfs::fault::KINDS;

/// Runs a command of that mount to its end.
fn run(mount: &Mount, command: &[&str]) -> Output {
    let (name, rest) = command.split_first().unwrap();
    slowfs().args([*name, "--addr", &mount.addr]).args(rest).output().unwrap()
}

fn ok(mount: &Mount, command: &[&str]) -> String {
    let output = run(mount, command);
    assert!(output.status.success(), "{command:?}: {}", text_of(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A file of that text.
fn file(mount: &Mount, text: &str) -> String {
    let path = mount.scratch().join("faults.txt");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// What there is of every kind, as listed, is cleared, applied, and listed again.
#[test]
fn what_is_listed_of_every_kind_is_applied_as_it_was() {
    let mount = Mount::with(&["--track-unsynced"]);
    let _clear = mount.clear_on_drop();
    for kind in KINDS {
        ok(&mount, &["clear"]);
        let examples = kind.details().lines().filter_map(|l| l.strip_prefix("    slowfs "));
        let named = |(n, line): (usize, &str)| match line.contains("--name") {
            true => format!("{line}\n"),
            false => format!("slowfs {line} --name example-{n}\n"),
        };
        let lines: String = examples.enumerate().map(named).collect();
        ok(&mount, &["apply", "-f", &file(&mount, &lines)]);
        let listed = ok(&mount, &["list", "--commands"]);
        let file = file(&mount, &listed);
        ok(&mount, &["clear"]);
        ok(&mount, &["apply", "-f", &file]);
        assert_eq!(ok(&mount, &["list", "--commands"]), listed, "{}", kind.name());
        let again = ok(&mount, &["apply", "--prune", "-f", &file]);
        assert!(again.lines().all(|line| line.ends_with(": unchanged")), "{again}");
    }
}

#[test]
fn it_says_what_is_set_changed_unchanged_and_cleared() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    let first = "# the disk\nslowfs delay 5ms -m fsync --name slow\nerror EIO -m mkdir # once\n";
    let path = file(&mount, first);
    let mnt = mount.mnt().display().to_string();
    let told = stdout_of(slowfs().args(["apply", "-f", &path, &mnt]));
    assert_eq!(
        told,
        "fault 1: delay 5ms -m fsync --name slow: set\nfault 2: error EIO -m mkdir: set\n"
    );
    // Counts go on where nothing is changed.
    fs::create_dir(mount.mnt().join("d")).unwrap_err();
    ok(&mount, &["apply", "-f", &path]);
    assert_eq!(mount.listed(2).fired, 1);
    ok(&mount, &["hang", "-m", "rmdir", "--add"]);
    file(&mount, &first.replace("5ms", "7ms"));
    let told = ok(&mount, &["apply", "-f", &path, "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let changed = &told["faults"][0];
    assert_eq!(changed["changed"][0], "delay 5ms -> delay 7ms", "{told}");
    assert_eq!(changed["replaced"], serde_json::json!([1]));
    assert_eq!(
        (&told["faults"][1]["unchanged"], &told["cleared"]),
        (&true.into(), &serde_json::json!([]))
    );
    let told = ok(&mount, &["apply", "-f", &path, "--prune"]);
    assert!(told.ends_with(&format!("cleared, because they are not in {path}: 3\n")), "{told}");
    // By standard input, and nothing at all.
    let mut apply = slowfs();
    apply.args(["apply", "--addr", &mount.addr, "--prune", "-f", "-"]);
    let mut apply = apply.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    apply.stdin.take().unwrap().write_all(b"# nothing\n").unwrap();
    let told = String::from_utf8(apply.wait_with_output().unwrap().stdout).unwrap();
    assert!(
        told.starts_with(
            "standard input has no faults\ncleared, because they are not in standard input"
        ),
        "{told}"
    );
    assert_eq!(ok(&mount, &["list", "--commands"]), "# no faults\n");
}

/// An empty file is what a command leaves that was to write it and failed.
#[test]
fn an_empty_file_prunes_nothing() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    ok(&mount, &["delay", "1us", "-m", "mkdir"]);
    let empty = file(&mount, "\n");
    let refused = run(&mount, &["apply", "--prune", "-f", &empty]);
    let text = text_of(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains(&format!("{empty} is empty, and --prune would clear")), "{text}");
    assert_eq!(ok(&mount, &["list", "--commands"]).lines().count(), 1);
    // Without it nothing is cleared, and what `list --commands` says of no faults is meant.
    ok(&mount, &["apply", "-f", &empty]);
    let told = ok(&mount, &["apply", "--prune", "-f", &file(&mount, "# no faults\n")]);
    assert!(told.contains("cleared, because they are not in"), "{told}");
}

#[test]
fn a_wrong_line_is_named_and_nothing_is_set() {
    let mount = Mount::new();
    let path = file(&mount, "hang -m mkdir\nhang -m mkdri\n\ndelay 5 -m read\n");
    let refused = run(&mount, &["apply", "-f", &path]);
    let text = text_of(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].contains(&format!("{path}:2: no method mkdri; did you mean mkdir?")),
        "{text}"
    );
    assert!(lines[1].contains(&format!("{path}:4: delay: ")) && lines.len() == 2, "{text}");
    // What cannot be on this mount is told by its line, too.
    let path = file(&mount, "# a\nhang -m mkdir\n\ncut-at fsync\n");
    let refused = run(&mount, &["apply", "-f", &path]);
    let text = text_of(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("{path}:4: cut-at needs a mount with --track-unsynced")),
        "{text}"
    );
    let missing = run(&mount, &["apply", "-f", "/none/such"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text_of(&missing).contains("/none/such: cannot read it"), "{}", text_of(&missing));
    assert_eq!(ok(&mount, &["list", "--commands"]), "# no faults\n");
}

#[test]
fn a_mount_begins_with_the_faults_of_a_file() {
    let scratch = scratch();
    let path = scratch.path().join("faults.txt");
    let list = "error EIO -m mkdir -p 50% --add\nerror EIO -m mkdir --name dir\n";
    fs::write(&path, list).unwrap();
    let path = path.display().to_string();
    let mount = Mount::over(scratch, &["--faults", &path, "--fault", "hang -m rmdir --name one"]);
    let told = ok(&mount, &["apply", "-f", &path]);
    assert_eq!(told.matches(": unchanged").count(), 2, "{told}");
    let names = mount.client().list_faults().unwrap();
    let names: Vec<_> = names.iter().map(|listed| listed.fault.name.as_deref()).collect();
    assert_eq!(names, [None, Some("dir"), Some("one")]);
    drop(mount);
    for (text, why) in [
        (format!("{list}hang -m fsycn\n"), "faults.txt:3: no method fsycn; did you mean fsync?"),
        (format!("{list}hang -m read --name one"), "two faults are called one"),
    ] {
        let dir = common::scratch();
        let path = dir.path().join("faults.txt");
        fs::write(&path, text).unwrap();
        let mut mount = slowfs();
        mount.arg("mount").arg(dir.path()).args([
            "--listen",
            "none",
            "--fault",
            "kill -m read --name one",
        ]);
        let refused = mount.arg("--faults").arg(path).output().unwrap();
        assert!(!refused.status.success());
        assert!(text_of(&refused).contains(why), "{}", text_of(&refused));
    }
}

/// Each of many that hide one another is warned of once.
#[test]
fn a_long_list_is_told_of_in_as_many_lines() {
    let mount = Mount::new();
    let lines: String = (0..100).map(|n| format!("delay 1ms -m fsync --name n{n}\n")).collect();
    ok(&mount, &["apply", "-f", &file(&mount, &lines)]);
    let log = mount.log_text();
    let told = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(told("it cannot fire as long as fault 1 is set"), 99, "{log}");
    assert_eq!(told("cannot fire as long as"), 99, "{log}");
}
