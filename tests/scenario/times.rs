//! Steps at their times, on one mount and on several.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use slowfs::rpc::RunEvent;

use super::common::{Mount, errno_of, slowfs, text_of, wait_for};
use super::{begin, command, file, json, logged, names, run, state};

/// Far more than a busy machine is late.
const LATE: Duration = Duration::from_secs(10);

#[test]
fn steps_come_in_order_and_never_before_their_times() {
    let mount = Mount::new();
    let text = "0s    error EIO -m mkdir --name first   # at once\n\
                150ms error ENOSPC -m mkdir --name second\n\
                300ms clear second\n\
                450ms recipe flaky-fsync\n\
                600ms end\n";
    let mut command = command(&mount, text);
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    let lines: Vec<Value> =
        text_of(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whats: Vec<_> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["started", "step", "step", "step", "step", "ended"]);
    let mut client = mount.client();
    let events = client.run_read(0).unwrap().events;
    for (event, line) in events.iter().zip(&lines) {
        assert_eq!(
            (event.seq, event.at_ns),
            (line["seq"].as_i64().unwrap(), line["at_ns"].as_i64().unwrap())
        );
    }
    let steps: Vec<&RunEvent> = events.iter().filter(|event| event.what == "step").collect();
    let planned: Vec<_> = steps.iter().map(|step| step.planned_ns.unwrap() / 1_000_000).collect();
    assert_eq!(planned, [0, 150, 300, 450]);
    for step in &steps {
        let late = step.at_ns - step.planned_ns.unwrap();
        assert!((0..LATE.as_nanos() as i64).contains(&late), "line {} is {late} late", step.line);
    }
    assert!(events.last().unwrap().at_ns >= 600_000_000);
    assert!(names(&mut client).is_empty(), "what it has set went with it");
    let ended = client.list_ended().unwrap();
    let why = |name: &str| {
        let found = ended.iter().find(|gone| gone.fault.name.as_deref() == Some(name));
        found.unwrap().why.clone().unwrap()
    };
    assert_eq!((why("first"), why("second")), ("replaced".to_owned(), "cleared".to_owned()));
    assert_eq!(ended.last().unwrap().why.as_deref(), Some("cleared"), "the recipe's");
    for part in [
        "scenario disk: started: 4 steps, ends at 600ms",
        "scenario disk: line 2 at ",
        "ended: it has come to its end",
    ] {
        logged(&mount, part);
    }
}

/// What is told of a step waits for the steps that are due, and is not without end.
#[test]
fn what_is_told_makes_no_step_late() {
    let mount = Mount::new();
    let lines = (0..999).map(|n| format!("0s delay 1us -m mkdir --name n{n} --add\n"));
    let text = lines.collect::<String>() + "1s clear n0\n2s end\n";
    let output = run(&mount, &text);
    assert!(output.status.success(), "{}", text_of(&output));
    let events = mount.client().run_read(0).unwrap().events;
    assert_eq!(events.len(), 1_002);
    let late = |event: &RunEvent| event.planned_ns.map_or(0, |planned| event.at_ns - planned);
    let latest = events.iter().map(late).max().unwrap();
    assert!((latest as u128) < LATE.as_nanos(), "{latest} late");
    let told: Vec<_> = events.iter().filter(|event| !event.warnings.is_empty()).collect();
    let [of_all] = told.as_slice() else { panic!("{} of {} events", told.len(), events.len()) };
    assert_eq!((of_all.line, of_all.warnings.len()), (999, 9));
    let first = "fault 2: it cannot fire as long as fault 1 is set, which always fires first";
    assert_eq!(of_all.warnings[0], first);
    assert_eq!(of_all.warnings[8], "990 more such warnings; `slowfs list` tells them");
}

#[test]
fn operations_meet_what_stands_at_their_time() {
    let mount = Mount::new();
    let make = |name: &str| fs::create_dir(mount.mnt().join(name));
    let mut command = begin(&mount, "0s error EIO -m mkdir --name first\n30s end");
    let mut client = mount.client();
    wait_for("the step", || (names(&mut client) == ["first"]).then_some(()));
    assert_eq!(errno_of(make("a")), libc::EIO);
    let listed = json(&mount, &["list"]);
    assert_eq!(listed["scenario"]["name"], "disk");
    assert_eq!(listed["scenario"]["done"], 1);
    let told = slowfs().args(["status", "--addr", &mount.addr]).output().unwrap();
    assert!(text_of(&told).contains("scenario disk of 127.0.0.1:"), "{}", text_of(&told));
    assert!(text_of(&told).contains(": 1 of 1 lines done, at "), "{}", text_of(&told));
    drop(command.0.kill());
    wait_for("its end", || (state(&mut client) == "ended").then_some(()));
    make("a").unwrap();
    assert_eq!(json(&mount, &["list"])["scenario"], Value::Null);
}

/// Whoever lists the faults sees all of a step or nothing of it.
#[test]
fn steps_of_one_time_are_one_change() {
    let mount = Mount::new();
    let steps = 40;
    let lines = (0..steps).map(|n| {
        let at = 20 + n * 20;
        let clear = if n > 0 { format!("{at}ms clear a{0} b{0}\n", n - 1) } else { String::new() };
        format!(
            "{clear}{at}ms delay 1ms -m mkdir --name a{n}\n{at}ms error EIO -m mkdir -p 1% --name b{n}\n"
        )
    });
    let text = lines.collect::<String>() + "2s end\n";
    let _command = begin(&mount, &text);
    let mut client = mount.client();
    let mut seen = 0;
    loop {
        let names = names(&mut client);
        if let [first, second] = names.as_slice() {
            let pair = [first, second].map(|name| name.split_at(1));
            assert_eq!((pair[0].0, pair[1].0, pair[0].1), ("a", "b", pair[1].1), "half a step");
            seen += 1;
        } else {
            assert!(names.is_empty(), "half a step: {names:?}");
            if state(&mut client) == "ended" {
                break;
            }
        }
    }
    assert!(seen > 0);
    let steps_done = client.run_read(0).unwrap().run.unwrap().done;
    assert_eq!(steps_done, 3 * steps - 1);
}

#[test]
fn the_same_seed_has_the_same_outcomes() {
    let mounts = [Mount::with(&["--seed", "1"]), Mount::with(&["--seed", "2"])];
    let outcomes = mounts.each_ref().map(|mount| {
        let _command = begin(mount, "seed 7\n0s error EIO -m mkdir -p 50% --name half\n30s end");
        wait_for("the step", || (names(&mut mount.client()) == ["half"]).then_some(()));
        let made = (0..64).map(|n| fs::create_dir(mount.mnt().join(n.to_string())).is_ok());
        made.collect::<Vec<_>>()
    });
    assert_eq!(outcomes[0], outcomes[1]);
    assert!(outcomes[0].contains(&true) && outcomes[0].contains(&false));
}

#[test]
fn lines_with_a_mount_are_for_that_one() {
    let (one, other) = (Mount::new(), Mount::new());
    let text = format!(
        "0s error EIO -m mkdir --name here\n\
         @{} 0s error ENOSPC -m mkdir --name there\n\
         @{} once there fired 1: end\n30s end\n",
        other.mnt().display(),
        other.addr
    );
    // By its path and by its address it is the same mount.
    let mut command = begin(&one, &text);
    wait_for("both", || {
        let both = [&one, &other].map(|mount| names(&mut mount.client()));
        (both == [["here"], ["there"]].map(|names| names.map(str::to_owned).to_vec())).then_some(())
    });
    let made = [&one, &other].map(|mount| errno_of(fs::create_dir(mount.mnt().join("a"))));
    assert_eq!(made, [libc::EIO, libc::ENOSPC]);
    wait_for("its end there", || (state(&mut other.client()) == "ended").then_some(()));
    assert_eq!(state(&mut one.client()), "running", "one goes on without the other");
    // What goes wrong on one is the end on both.
    one.clear();
    assert_eq!(command.wait().code(), Some(1));
}

#[test]
fn a_mount_is_named_by_its_path() {
    let mount = Mount::new();
    let text = format!("@{} 0s error EIO -m mkdir --name here\n100ms end", mount.mnt().display());
    let output = slowfs().arg("run").arg(file(&mount, &text)).output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    let full = file(&mount, "0s recipe full\n1ms end");
    let first = slowfs().arg("run").arg(mount.mnt()).arg(full).output().unwrap();
    assert!(first.status.success(), "{}", text_of(&first));
    assert_eq!(run(&mount, "0s recipe full\n1ms end").status.code(), Some(0));
}
