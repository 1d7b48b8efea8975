//! What `--report` writes: the same figures as JSON and as a page.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use slowfs::fault::FaultWords;

use super::command;
use super::common::disk::Disk;
use super::common::{Mount, failing, text_of};

/// Runs it while a file is synced over and over; how it ended, and the report.
fn reported(mount: &Mount, text: &str, name: &str) -> (Option<i32>, String) {
    let report = mount.scratch().join(name);
    let file = File::create(mount.mnt().join("file")).unwrap();
    let over = AtomicBool::new(false);
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _ = file.sync_all();
            }
        });
        let output = command(mount, text).arg("--report").arg(&report).output().unwrap();
        over.store(true, Ordering::Relaxed);
        output
    });
    assert!(!text_of(&output).contains("cannot write"), "{}", text_of(&output));
    (output.status.code(), fs::read_to_string(report).unwrap())
}

/// Of which JSON type each of these fields is: `s` a text, `n` a number, `b` true or false, `l` a list, with
/// `?` also null. There are no others.
fn has_fields(value: &Value, fields: &str) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    let known: Vec<_> = fields.split_whitespace().map(|f| f.split_once(':').unwrap()).collect();
    for (name, of) in &known {
        let value = object.get(*name).unwrap_or_else(|| panic!("no {name} in {value}"));
        let fits = match (&of[..1], value) {
            ("s", Value::String(_)) | ("b", Value::Bool(_)) | ("l", Value::Array(_)) => true,
            ("n", Value::Number(n)) => n.is_i64(),
            (_, Value::Null) => of.ends_with('?'),
            _ => false,
        };
        assert!(fits, "{name} is {value}, not {of}");
    }
    let names: Vec<_> = object.keys().filter(|key| !known.iter().any(|(n, _)| n == key)).collect();
    assert!(names.is_empty(), "more than is known: {names:?}");
}

const STORY: &str = "seed 7\n\
                     300ms delay 20ms -m fsync --name slow   # <b>\n\
                     600ms error EIO -m fsync --name slow\n\
                     once slow fired 1000000: clear slow\n\
                     900ms clear slow\n\
                     1200ms end";

#[test]
fn the_json_has_its_fields_and_the_figures_that_were_asked_for() {
    let mount = Mount::new();
    let (code, text) = reported(&mount, STORY, "report.json");
    assert_eq!(code, Some(0), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    has_fields(
        &report,
        "scenario:s version:s seed:s? end_ns:n began_unix_ns:n skew_ns:n ok:b why:s? mounts:l",
    );
    let mounts = report["mounts"].as_array().unwrap();
    has_fields(
        &mounts[0],
        "addr:s mountpoint:s backing:s version:s fuse_protocol:s seed:s started_unix_ns:n lag_ns:n \
         elapsed_ns:n why:s? failed:b steps:l phases:l series:l",
    );
    let list = |name: &str| mounts[0][name].as_array().unwrap().clone();
    for step in list("steps") {
        has_fields(
            &step,
            "line:n text:s planned_ns:n? once:s? fired:n? at_ns:n? late_ns:n? did:s? warnings:l",
        );
    }
    for phase in list("phases").iter().chain(&list("series")) {
        has_fields(phase, "from_ns:n to_ns:n lines:l methods:l");
        for method in phase["methods"].as_array().unwrap() {
            has_fields(
                method,
                "name:s calls:n errors:n injected:n usual:n p50_ns:n? p99_ns:n? max_ns:n?",
            );
        }
    }
    assert_eq!((report["seed"].as_str(), report["ok"].as_bool()), (Some("7"), Some(true)));
    assert_eq!(mounts[0]["seed"], "7");
    let steps = list("steps");
    let lines: Vec<_> = steps.iter().map(|step| step["line"].as_i64().unwrap()).collect();
    assert_eq!(lines, [2, 3, 4, 5]);
    for step in &steps {
        match step["planned_ns"].as_i64() {
            Some(planned) => assert!(step["at_ns"].as_i64().unwrap() >= planned, "{step}"),
            None => assert!(step["at_ns"].is_null() && step["once"] == "slow", "{step}"),
        }
    }
    let fsync = |phase: &Value| {
        let methods = phase["methods"].as_array().unwrap();
        methods.iter().find(|method| method["name"] == "fsync").unwrap().clone()
    };
    let phases = list("phases");
    let begun: Vec<_> = phases.iter().map(|phase| phase["lines"].clone()).collect();
    assert_eq!(Value::from(begun), serde_json::json!([[], [2], [3], [5]]));
    let [_, slow, failing, _] = [0, 1, 2, 3].map(|place| fsync(&phases[place]));
    assert!(slow["p50_ns"].as_i64().unwrap() >= 20_000_000, "{slow}");
    assert!(slow["max_ns"].as_i64().unwrap() >= slow["p99_ns"].as_i64().unwrap());
    // One that was under way when the phase began was answered in it.
    let (calls, injected) =
        (failing["calls"].as_i64().unwrap(), failing["injected"].as_i64().unwrap());
    assert!(injected > 0 && calls - injected <= 1, "{failing}");
    let all = |phases: &[Value]| -> i64 {
        phases
            .iter()
            .flat_map(|phase| phase["methods"].as_array().unwrap().clone())
            .filter(|method| method["name"] == "fsync")
            .map(|method| method["calls"].as_i64().unwrap())
            .sum()
    };
    assert_eq!(all(&phases), all(&list("series")), "both count each request once");
    assert!(list("series").len() > 3);
}

#[test]
fn the_page_shows_the_steps_and_needs_nothing_else() {
    let mount = Mount::new();
    let (_, page) = reported(&mount, STORY, "report.html");
    for part in [
        "<svg",
        "fsync, ",
        "<polyline",
        "delay 20ms -m fsync --name slow",
        "slow fired 1000000",
        "not done",
        "seconds",
        ">10ms<",
        "It came to its end.",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    for part in ["<script", "http", "src=", "href=", "@import"] {
        assert!(!page.contains(part), "{part}");
    }
}

#[test]
fn what_failed_is_reported_too() {
    let mount = Mount::new();
    // Of somebody else, and gone when it is to be cleared again.
    mount.add(&FaultWords { name: Some("other".to_owned()), ..failing(&["rmdir"], "EIO") });
    let text = "0s clear other\n600ms clear other\n60s end";
    let (code, text) = reported(&mount, text, "report.json");
    assert_eq!(code, Some(1));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["ok"], false);
    assert!(report["why"].as_str().unwrap().contains("line 2 was refused"), "{report}");
    assert!(report["mounts"][0]["steps"][1]["at_ns"].is_null());
    let nowhere =
        command(&mount, "0s clear\n1s end").args(["--report", "/none/such"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text_of(&nowhere).contains("cannot write /none/such"), "{}", text_of(&nowhere));
    let before = mount.client().run_read(0).unwrap().run.unwrap();
    assert!(before.failed, "nothing has started since");
}

#[test]
fn of_several_mounts_it_tells_how_far_apart_they_began() {
    let (mount, other) = (Mount::new(), Mount::new());
    let text =
        format!("0s clear\n@{} 100ms error EIO -m mkdir --name there\n200ms end", other.addr);
    let file = mount.scratch().join("report.json");
    fs::write(&file, "of before").unwrap();
    let refused = text.replace("error EIO", "error EIO --name here");
    assert_eq!(
        command(&mount, &refused).arg("--report").arg(&file).status().unwrap().code(),
        Some(2)
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "of before");
    let output = command(&mount, &text).arg("--report").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let mounts = report["mounts"].as_array().unwrap();
    let addrs: Vec<_> = mounts.iter().map(|mount| mount["addr"].as_str().unwrap()).collect();
    assert_eq!(addrs, [&mount.addr, &other.addr]);
    let steps = [0, 1].map(|place| mounts[place]["steps"][0]["text"].as_str().unwrap().to_owned());
    assert_eq!(steps, ["clear", "error EIO -m mkdir --name there"]);
    let lags: Vec<i64> = mounts.iter().map(|mount| mount["lag_ns"].as_i64().unwrap()).collect();
    assert_eq!(lags.iter().min(), Some(&0));
    assert_eq!(lags.iter().max().copied(), report["skew_ns"].as_i64());
}

/// A scenario that is over at once.
const SHORT: &str = "0s clear\n100ms end";

#[test]
fn a_report_is_whole_or_the_file_stays_as_it_was() {
    let mount = Mount::new();
    let disk = Disk::tmpfs();
    let size = ["-o", "remount,size=64k"];
    assert!(Command::new("mount").args(size).arg(disk.path()).status().unwrap().success());
    let (file, rest) = (disk.path().join("report.html"), disk.path().join("rest"));
    fs::write(&file, "of before").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
    // What is left takes no report.
    fs::write(&rest, [1; 60 << 10]).unwrap();
    let output = command(&mount, SHORT).arg("--report").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    assert!(text_of(&output).contains("report.html: No space left"), "{}", text_of(&output));
    assert_eq!(fs::read_to_string(&file).unwrap(), "of before");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 2, "nothing beside it");
    fs::remove_file(&rest).unwrap();
    let link = mount.scratch().join("link.html");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let output = command(&mount, SHORT).arg("--report").arg(&link).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(fs::read_to_string(&file).unwrap().ends_with("</html>\n"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o604);
    assert!(link.is_symlink());
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 1, "nothing beside it");
}

/// As a container has it: it cannot be renamed onto.
#[test]
fn a_file_that_is_mounted_by_itself_takes_a_report() {
    let mount = Mount::new();
    let disk = Disk::tmpfs();
    let (file, other) = (disk.path().join("report.html"), disk.path().join("other.html"));
    fs::write(&file, "of before, and longer than nothing").unwrap();
    fs::write(&other, "").unwrap();
    let bound = Command::new("mount").arg("--bind").args([&file, &other]).status().unwrap();
    assert!(bound.success());
    let output = command(&mount, SHORT).arg("--report").arg(&other).output().unwrap();
    assert!(Command::new("umount").arg(&other).status().unwrap().success());
    assert!(output.status.success(), "{}", text_of(&output));
    let report = fs::read_to_string(&file).unwrap();
    assert!(report.starts_with("<!DOCTYPE") && report.ends_with("</html>\n"), "{report}");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 2, "nothing beside it");
}

#[test]
fn a_report_goes_to_a_stream_too() {
    let mount = Mount::new();
    let output = command(&mount, SHORT).args(["--report", "/dev/stdout"]).output().unwrap();
    let said = text_of(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("line 1: ") && said.ends_with("</html>\n"), "{said}");
    let both = mount.scratch().join("both");
    let output = command(&mount, SHORT)
        .args(["--report", "/dev/stdout"])
        .stdout(File::create(&both).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    let said = fs::read_to_string(&both).unwrap();
    assert!(said.contains("line 1: ") && said.ends_with("</html>\n"), "{said}");
    let output = command(&mount, SHORT).args(["--report", "/dev/null"]).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
}

#[test]
fn a_refused_run_leaves_no_report_and_the_scenario_is_none() {
    let mount = Mount::new();
    let file = mount.scratch().join("report.html");
    let refused = command(&mount, "0s clear none\n1s end").arg("--report").arg(&file).output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", text_of(&refused));
    let gone =
        command(&mount, SHORT).args(["--addr", "127.0.0.1:1", "--report"]).arg(&file).output();
    assert_eq!(gone.unwrap().status.code(), Some(1));
    assert!(!file.exists());
    let own = mount.scratch().join("disk.scenario");
    let other = mount.scratch().join("other.html");
    let mut command = command(&mount, SHORT);
    fs::hard_link(&own, &other).unwrap();
    let output = command.arg("--report").arg(&other).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    let said = text_of(&output);
    assert!(said.contains("other.html is the scenario; name another file"), "{said}");
    assert_eq!(fs::read_to_string(&own).unwrap(), SHORT);
}
