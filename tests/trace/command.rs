//! `slowfs trace`, the command.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::common::{Mount, slowfs, text_of, wait_for};
use super::tracing;

fn jsons(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_command_writes_json_lines_until_it_is_interrupted() {
    let mount = Mount::with(&["--seed", "18446744073709551615"]);
    let file = mount.scratch().join("trace.jsonl");
    let mut command = slowfs();
    command.args(["trace", "-m", "mkdir,fsync", "--addr", &mount.addr, "--to"]).arg(&file);
    let mut command = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_for("the head", || fs::read_to_string(&file).ok().filter(|text| !text.is_empty()));
    fs::create_dir(mount.mnt().join("dir")).unwrap();
    File::create(mount.mnt().join("file")).unwrap().sync_all().unwrap();
    wait_for("both", || (fs::read_to_string(&file).unwrap().lines().count() == 3).then_some(()));
    kill_process(Pid::from_child(&command), Signal::INT).unwrap();
    assert!(command.wait().unwrap().success());
    let lines = jsons(&fs::read_to_string(&file).unwrap());
    assert_eq!(lines[0]["seed"], "18446744073709551615");
    assert_eq!(lines[0]["version"], env!("CARGO_PKG_VERSION"));
    let at = lines[0]["monotonic_ns"].as_i64().unwrap();
    for (line, method) in lines[1..].iter().zip(["mkdir", "fsync"]) {
        assert_eq!((&line["method"], &line["result"]), (&method.into(), &"ok".into()), "{line}");
        assert!(line["t_ns"].as_i64().unwrap() > at && line["hits"] == Value::Array(vec![]));
        assert!(line["path"].as_str().unwrap().starts_with(mount.raw().to_str().unwrap()));
    }
    assert!(mount.client().trace_start(&[], "", false).is_ok(), "the place is free again");
}

#[test]
fn the_command_ends_in_time_and_tells_of_what_it_cannot_do() {
    let mount = Mount::new();
    let began = Instant::now();
    let trace = |words: &[&str]| slowfs().arg("trace").args(words).output().unwrap();
    let timed = trace(&["--for", "300ms", "--fired", "--addr", &mount.addr]);
    assert!(timed.status.success() && began.elapsed() >= Duration::from_millis(300));
    assert_eq!(jsons(&text_of(&timed)).len(), 1, "{}", text_of(&timed));
    let _reader = tracing(&mount);
    let taken = trace(&["--addr", &mount.addr]);
    assert_eq!(taken.status.code(), Some(1));
    assert!(text_of(&taken).contains("one trace at a time"), "{}", text_of(&taken));
    let nowhere = trace(&["--to", "/none/there", "--addr", &mount.addr]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text_of(&nowhere).contains("cannot write /none/there"), "{}", text_of(&nowhere));
    for words in [["-m", "wirte"], ["-r", "("], ["--for", "soon"]] {
        let refused = trace(&words);
        assert_eq!(refused.status.code(), Some(2), "{words:?}");
        assert_eq!(text_of(&refused).lines().count(), 1, "{}", text_of(&refused));
    }
}
