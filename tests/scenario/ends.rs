//! How a scenario ends, and what it leaves.

use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use serde_json::Value;
use slowfs::fault::FaultWords;
use slowfs::rpc::{ScenarioWords, StepWords};

use super::common::{Mount, failing, slowfs, text_of, wait_for};
use super::{begin, command, json, logged, names, run, state};

const LONG: &str = "0s error EIO -m mkdir --name first\n60s end";

fn set(mount: &Mount) {
    wait_for("the step", || names(&mut mount.client()).contains(&"first".to_owned()).then_some(()));
}

fn gone(mount: &Mount) {
    let mut client = mount.client();
    wait_for("its end", || (state(&mut client) == "ended").then_some(()));
    wait_for("its fault to go", || {
        (!names(&mut client).contains(&"first".to_owned())).then_some(())
    });
}

#[test]
fn a_killed_command_clears_what_it_has_set_and_nothing_else() {
    let mount = Mount::new();
    let others = mount.add(&failing(&["rmdir"], "EIO"));
    let mut command = begin(&mount, LONG);
    set(&mount);
    command.0.kill().unwrap();
    gone(&mount);
    assert_eq!(mount.listed(others).fault.methods, ["rmdir"]);
    logged(&mount, "ended: its connection has gone");
}

#[test]
fn a_signal_ends_it_and_says_so() {
    let mount = Mount::new();
    let mut command = begin(&mount, LONG);
    set(&mount);
    kill_process(Pid::from_child(&command.0), Signal::INT).unwrap();
    assert_eq!(command.wait().code(), Some(1));
    gone(&mount);
    logged(&mount, "ended: it was stopped");
}

#[test]
fn a_detached_one_goes_on_to_its_end() {
    let mount = Mount::new();
    let output = command(&mount, "0s error EIO -m mkdir --name first\n700ms end")
        .arg("--detach")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(text_of(&output).contains("scenario disk runs by itself"), "{}", text_of(&output));
    let mut client = mount.client();
    let run = client.run_read(0).unwrap().run.unwrap();
    assert!(run.detached && run.state == "running", "{run:?}");
    set(&mount);
    gone(&mount);
    let read = wait_for("its end to be told", || {
        let read = client.run_read(0).unwrap();
        read.events.last().is_some_and(|event| event.what == "ended").then_some(read)
    });
    assert!(read.events.last().unwrap().at_ns >= 700_000_000);
    assert!(!read.run.unwrap().failed);
    let status = slowfs().args(["status", "--addr", &mount.addr]).output().unwrap();
    let told = "1 of 1 lines done: it has come to its end";
    assert!(text_of(&status).contains(told), "{}", text_of(&status));
    let status = json(&mount, &["status"]);
    assert_eq!(
        (&status["scenario"], &status["last_scenario"]["state"]),
        (&Value::Null, &"ended".into())
    );
}

#[test]
fn clearing_everything_ends_it_and_says_so() {
    let mount = Mount::new();
    for detach in [false, true] {
        let mut running = match detach {
            true => {
                assert!(command(&mount, LONG).arg("--detach").status().unwrap().success());
                None
            }
            false => Some(begin(&mount, LONG)),
        };
        set(&mount);
        let part = slowfs().args(["clear", "fsync", "--addr", &mount.addr]).output().unwrap();
        assert!(!text_of(&part).contains("scenario"), "{}", text_of(&part));
        assert_eq!(state(&mut mount.client()), "running");
        let clear = slowfs().args(["clear", "--addr", &mount.addr]).output().unwrap();
        let told = "cleared every fault; 1 fault has gone; released 0 held; scenario disk is ended";
        assert!(text_of(&clear).contains(told), "{}", text_of(&clear));
        gone(&mount);
        if let Some(running) = &mut running {
            assert_eq!(running.wait().code(), Some(1));
        }
    }
    logged(&mount, "ended: everything was cleared by 127.0.0.1:");
    assert!(command(&mount, LONG).arg("--detach").status().unwrap().success());
    set(&mount);
    let cleared = json(&mount, &["clear"]);
    assert_eq!(cleared["scenario"], "disk");
    assert_eq!(cleared["faults"].as_array().unwrap().len(), 1, "{cleared}");
    assert!(command(&mount, LONG).arg("--detach").status().unwrap().success());
    set(&mount);
    mount.clear();
    gone(&mount);
}

/// Input that is wrong is refused whole.
#[test]
fn a_clear_that_is_refused_ends_nothing() {
    let mount = Mount::new();
    let _running = begin(&mount, LONG);
    set(&mount);
    let mut client = mount.client();
    let refused = client.clear(&["all", "typo"].map(str::to_owned)).unwrap_err().to_string();
    assert!(refused.contains("there is no fault typo; nothing was cleared"), "{refused}");
    assert_eq!(state(&mut client), "running");
    assert_eq!(names(&mut client), ["first"]);
    let cleared = client.clear(&["all".to_owned()]).unwrap();
    assert_eq!((cleared.scenario.as_deref(), cleared.faults.len()), (Some("disk"), 1));
    assert_eq!((state(&mut client).as_str(), names(&mut client).len()), ("ended", 0));
}

/// Whatever comes between two looks of the command, even one of the same name.
#[test]
fn what_another_scenario_comes_to_is_not_its_own_end() {
    let mount = Mount::new();
    let mut running = begin(&mount, LONG);
    set(&mount);
    let pid = Pid::from_child(&running.0);
    kill_process(pid, Signal::STOP).unwrap();
    let status = format!("/proc/{}/status", running.0.id());
    wait_for("the command to stop", || {
        fs::read_to_string(&status).unwrap().contains("State:\tT").then_some(())
    });
    let mut client = mount.client();
    client.clear(&[]).unwrap();
    let command = "clear".to_owned();
    let step = StepWords { line: 1, at_ns: Some(0), command, ..StepWords::default() };
    let (name, steps) = ("disk".to_owned(), vec![step]);
    let other = ScenarioWords { name, steps, end_ns: 1_000, ..ScenarioWords::default() };
    client.run_load(&other).unwrap();
    client.run_start().unwrap();
    wait_for("the other to end", || (state(&mut client) == "ended").then_some(()));
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!(running.wait().code(), Some(1));
    let mut said = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let told = "scenario disk: it was ended, and another scenario has its place";
    assert!(said.contains(told), "{said}");
}

#[test]
fn a_step_that_cannot_be_ends_it_and_clears() {
    let mount = Mount::new();
    let other = FaultWords { name: Some("other".to_owned()), ..failing(&["rmdir"], "EIO") };
    let id = mount.add(&other);
    let text = "0s error EIO -m mkdir --name first\n5s clear first\n5s clear other\n60s end";
    let began = Instant::now();
    let mut command = begin(&mount, text);
    set(&mount);
    assert!(mount.client().remove_fault(&id.to_string()).unwrap());
    assert_eq!(command.wait().code(), Some(1));
    assert!(began.elapsed() >= Duration::from_secs(5));
    gone(&mount);
    fs::create_dir(mount.mnt().join("a")).unwrap();
    let run = mount.client().run_read(0).unwrap().run.unwrap();
    let told = "line 3 was refused: there is no fault other any more";
    assert_eq!((run.failed, run.why.as_deref()), (true, Some(told)));
}

/// Whether it has run out when a line clears it is nobody's mistake.
#[test]
fn a_fault_of_its_own_that_has_run_out_can_be_cleared() {
    let mount = Mount::new();
    let text = "0s error EIO -m mkdir --name first\n\
                0s error EIO -m rmdir --for 50ms --name brief\n\
                800ms clear brief first\n900ms end";
    let output = run(&mount, text);
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
    let ended = mount.client().list_ended().unwrap();
    let whys: Vec<_> = ended.iter().filter_map(|gone| gone.why.as_deref()).collect();
    assert_eq!(whys, ["expired", "cleared"]);
}

#[test]
fn a_fault_of_somebody_else_by_its_name_stays() {
    let mount = Mount::new();
    let mut command = begin(&mount, LONG);
    set(&mount);
    let other = failing(&["mkdir"], "ENOSPC");
    let id = mount.add(&FaultWords { name: Some("first".to_owned()), ..other });
    command.0.kill().unwrap();
    let mut client = mount.client();
    wait_for("its end", || (state(&mut client) == "ended").then_some(()));
    assert_eq!(mount.listed(id).fault.name.as_deref(), Some("first"));
}

#[test]
fn the_end_of_the_mount_is_its_end() {
    let mut mount = Mount::new();
    let mut command = begin(&mount, LONG);
    set(&mount);
    mount.stop();
    assert_eq!(command.wait().code(), Some(1));
    logged(&mount, "scenario disk: ended: the mount ends");
}
