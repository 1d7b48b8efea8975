//! `slowfs trace`, the command.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::common::{Mount, Within, hanging, slowfs, text_of, wait_for};
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

/// A trace that writes to a pipe, once its head is there; and that pipe.
fn piped(mount: &Mount, words: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = slowfs();
    command.arg("trace").args(words).args(["--addr", &mount.addr]);
    let mut command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(command.stdout.take().unwrap());
    let mut head = String::new();
    lines.read_line(&mut head).unwrap();
    assert!(head.contains("mountpoint"), "{head}");
    (command, lines)
}

/// What it wrote to standard error, in one line, and its exit code.
fn ended(command: Child) -> (String, Option<i32>) {
    let ended = command.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.lines().count() <= 1, "{said}");
    (said, ended.status.code())
}

#[test]
fn a_trace_whose_reader_goes_ends_though_nothing_is_asked_of_the_mount() {
    let mount = Mount::new();
    let (mut command, lines) = piped(&mount, &[]);
    drop(lines);
    wait_for("the trace to end", || command.try_wait().unwrap());
    assert_eq!(ended(command), (String::new(), Some(0)));
}

/// All that was answered before is there, and it is said what ended.
#[test]
fn a_trace_tells_the_rest_when_its_mount_ends() {
    let mount = Mount::new();
    let (command, lines) = piped(&mount, &["-m", "mkdir"]);
    // Read all the while: a full pipe would hold the command up while its mount ends.
    let told = thread::spawn(move || lines.lines().map(Result::unwrap).collect::<Vec<_>>());
    for n in 0..300 {
        fs::create_dir(mount.mnt().join(format!("dir{n}"))).unwrap();
    }
    let unmounted = Command::new("umount").arg(mount.mnt()).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(jsons(&told.join().unwrap().join("\n")).len(), 300);
    let (said, code) = ended(command);
    assert_eq!(code, Some(0), "{said}");
    let mountpoint = mount.mnt().display().to_string();
    for part in [&mount.addr, &mountpoint, "has ended", "complete up to request 300"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn a_trace_says_how_far_it_came_when_its_daemon_is_killed() {
    let mount = Mount::new();
    let (command, mut lines) = piped(&mount, &["-m", "mkdir"]);
    fs::create_dir(mount.mnt().join("dir")).unwrap();
    lines.read_line(&mut String::new()).unwrap();
    mount.signal(Signal::KILL);
    let (said, code) = ended(command);
    assert_eq!(code, Some(1), "{said}");
    for part in [&mount.addr, "no answer", "complete up to request 1"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

/// Such a trace would be traced, and so on.
#[test]
fn a_trace_onto_what_it_traces_is_refused() {
    let (mount, other) = (Mount::new(), Mount::new());
    let run = |to: &Path, traced: &Mount| {
        let mut command = slowfs();
        // Of what this test does not do: a release may come late.
        command.args(["trace", "-m", "rmdir", "--for", "1ms"]);
        command.args(["--addr", &traced.addr, "--to"]).arg(to);
        command.output().unwrap()
    };
    fs::write(mount.raw().join("there"), "x").unwrap();
    let link = mount.scratch().join("link");
    std::os::unix::fs::symlink(mount.mnt().join("there"), &link).unwrap();
    for to in [&mount.mnt().join("new"), &mount.mnt().join("there"), &link] {
        let refused = run(to, &mount);
        let said = text_of(&refused);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("which is traced") && said.lines().count() == 1, "{said}");
    }
    assert!(!mount.raw().join("new").exists(), "it was not made");
    assert_eq!(fs::read(mount.raw().join("there")).unwrap(), b"x", "nor cut");
    let mut piped = slowfs();
    piped.args(["trace", "--for", "1ms", "--addr", &mount.addr]);
    let piped = piped.stdout(File::create(mount.mnt().join("out")).unwrap()).output().unwrap();
    let said = String::from_utf8(piped.stderr).unwrap();
    assert!(piped.status.code() == Some(1) && said.contains("standard output"), "{said}");
    // Beside it, beneath it, and on another mount it ends.
    for to in [mount.scratch().join("new"), mount.raw().join("raw"), other.mnt().join("new")] {
        let traced = run(&to, &mount);
        assert!(traced.status.success(), "{}", text_of(&traced));
        assert_eq!(jsons(&fs::read_to_string(&to).unwrap()).len(), 1);
    }
}

/// The daemon tells a path of its own, where something else may be mounted here.
#[test]
fn a_trace_onto_another_filesystem_at_the_path_of_the_mount_is_written() {
    let mount = Mount::new();
    let other = Within::over("tmpfs", mount.mnt().to_owned(), None);
    let to = mount.mnt().join("new");
    let mut command = slowfs();
    let traced = command.args(["trace", "--for", "1ms", "--addr", &mount.addr, "--to"]).arg(&to);
    let traced = traced.output().unwrap();
    assert!(traced.status.success(), "{}", text_of(&traced));
    assert_eq!(jsons(&fs::read_to_string(&to).unwrap()).len(), 1);
    drop(other);
}

#[test]
fn a_trace_onto_what_it_traces_is_refused_though_that_answers_nothing() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    fs::create_dir(mount.raw().join("dir")).unwrap();
    fs::write(mount.raw().join("there"), "x").unwrap();
    let link = mount.scratch().join("link");
    std::os::unix::fs::symlink(mount.mnt().join("there"), &link).unwrap();
    mount.add(&hanging(&["getattr"]));
    let within = |name: &str| mount.mnt().join(name);
    for to in [within("there"), within("new"), within("dir/new"), within("none/new"), link] {
        let mut command = slowfs();
        command.args(["trace", "--for", "1ms", "--addr", &mount.addr, "--to"]).arg(&to);
        let mut command = command.stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the refusal", || command.try_wait().unwrap());
        let (said, code) = ended(command);
        assert!(code == Some(1) && said.contains("which is traced"), "{to:?}: {said}");
    }
}

#[test]
fn a_signal_ends_a_trace_that_waits_for_its_file() {
    let mount = Mount::new();
    let pipe = mount.scratch().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut command = slowfs();
    let mut command =
        command.args(["trace", "--addr", &mount.addr, "--to"]).arg(&pipe).spawn().unwrap();
    let (doing, opens) = (format!("/proc/{}/syscall", command.id()), libc::SYS_openat.to_string());
    wait_for("it to open the pipe", || {
        let now = fs::read_to_string(&doing).unwrap();
        (now.split(' ').next() == Some(opens.as_str())).then_some(())
    });
    kill_process(Pid::from_child(&command), Signal::TERM).unwrap();
    let status = wait_for("its end", || command.try_wait().unwrap());
    assert_eq!(status.signal(), Some(libc::SIGTERM));
}
