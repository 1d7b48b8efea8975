//! A scenario over HTTP does what the same one of the command line does, and is refused for the same.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use super::doing::tracking;
use crate::common::http::{Http, served};
use crate::common::{Mount, slowfs, text_of, wait_for};

/// `slowfs run` of those lines.
fn run(mount: &Mount, lines: &str) -> Output {
    let file = mount.scratch().join("day.scenario");
    fs::write(&file, lines).unwrap();
    slowfs().args(["run", "--detach", "--addr", &mount.addr]).arg(file).output().unwrap()
}

/// What its steps told, with their lines, once so many have; without where the mount keeps its images.
fn steps_of(mount: &Mount, http: &Http, wanted: usize) -> Vec<(i64, String)> {
    let images = mount.scratch().join("images").display().to_string();
    wait_for("its steps", || {
        let told = http.told("/v1/scenario");
        let events = told["events"].as_array().unwrap();
        let steps = events.iter().filter(|event| event["what"] == "step");
        let step = |event: &Value| {
            let text = event["text"].as_str().unwrap().replace(&images, "IMAGES");
            (event["line"].as_i64().unwrap(), text)
        };
        Some(steps.map(step).collect()).filter(|steps: &Vec<_>| steps.len() == wanted)
    })
}

/// Whatever a step does about the power, it has the words, the dice and the effect of the command's.
#[test]
fn the_power_goes_as_in_a_scenario_of_the_command_line() {
    let lines = "0s checkpoint\n10ms power-cut --to one\n20ms power-cut --to two --keep random --unit 4096\n\
                 30ms power-cut --to three --keep prefix:1 --seed 9 --max-stall 1m\n\
                 40ms power-cut --now --keep random\n50ms power-cut --now --stay-off --kill\n60ms power-on\n\
                 70ms power-on\n1h end\nseed 7";
    let steps = json!([
        { "at": "0s", "checkpoint": true },
        { "at": "10ms", "power_cut": { "to": "one" } },
        { "at": "20ms", "power_cut": { "to": "two", "keep": "random", "unit": "4096" } },
        { "at": "30ms", "power_cut": { "to": "three", "keep": "prefix:1", "seed": "9", "max_stall": "1m" } },
        { "at": "40ms", "power_cut": { "now": true, "keep": "random" } },
        { "at": "50ms", "power_cut": { "now": true, "stay_off": true, "kill": true } },
        { "at": "60ms", "power_on": true },
        { "at": "70ms", "power_on": true },
    ]);
    let scenario = json!({ "name": "day", "end": "1h", "seed": 7, "steps": steps });
    let (typed, asked) = (tracking(), tracking());
    for mount in [&typed, &asked] {
        fs::write(mount.mnt().join("file"), "durable").unwrap();
    }
    let done = run(&typed, lines);
    assert!(done.status.success(), "{}", text_of(&done));
    let http = Http::socket(&asked);
    http.done("POST", "/v1/scenario", &scenario.to_string());
    let wanted = steps_of(&typed, &Http::socket(&typed), 8);
    assert_eq!(steps_of(&asked, &http, 8), wanted);
    assert_eq!(wanted[6], (7, "the power is on again".to_owned()));
    for image in ["one", "two", "three"] {
        let image = asked.scratch().join("images").join(image).join("file");
        assert_eq!(fs::read_to_string(&image).unwrap(), "durable", "{}", image.display());
    }
    assert_eq!(http.told("/v1/unsynced")["cuts"], 2);
    assert_eq!(fs::read_to_string(asked.mnt().join("file")).unwrap(), "durable");
}

/// Before anything is done.
#[test]
fn what_cannot_be_of_the_power_is_refused_as_of_the_command_line() {
    let (plain, mount) = (served(), tracking());
    fs::create_dir(mount.scratch().join("images/there")).unwrap();
    let slow = "0s delay 1ms -m fsync --name slow\n";
    let put = json!({ "at": "0s", "put": "delay 1ms -m fsync --name slow" });
    for (of, typed, steps) in [
        (
            &plain,
            "0s checkpoint\n1s power-cut --now\n2s power-on\n3s power-cut --to a".to_owned(),
            json!([
                { "at": "0s", "checkpoint": true }, { "at": "1s", "power_cut": { "now": true } },
                { "at": "2s", "power_on": true }, { "at": "3s", "power_cut": { "to": "a" } },
            ]),
        ),
        (
            &mount,
            format!("{slow}1s power-cut --to there"),
            json!([put, { "at": "1s", "power_cut": { "to": "there" } }]),
        ),
        (
            &mount,
            format!("{slow}1s power-cut --to .a"),
            json!([put, { "at": "1s", "power_cut": { "to": ".a" } }]),
        ),
        (
            &mount,
            format!("{slow}once slow fired 1: power-on"),
            json!([put, { "once": "slow", "power_on": true }]),
        ),
        (
            &mount,
            format!("{slow}1s power-cut --to a\n2s power-cut --to a"),
            json!([
                put, { "at": "1s", "power_cut": { "to": "a" } }, { "at": "2s", "power_cut": { "to": "a" } },
            ]),
        ),
    ] {
        let done = run(of, &format!("{typed}\n60s end"));
        let told = text_of(&done);
        assert!(!done.status.success(), "{typed}: {told}");
        let http = Http::socket(of);
        let scenario = json!({ "name": "day", "end": "60s", "steps": steps }).to_string();
        let refused = http.ask("POST", "/v1/scenario", &scenario);
        let object = refused.json();
        assert_eq!(refused.status, 400, "{object}");
        for why in object["error"].as_str().unwrap().split("; line ") {
            // The command line tells what it finds in the file by itself as FILE:LINE.
            let why = why.split_once(": ").unwrap().1;
            assert!(told.contains(why), "{why}: {told}");
        }
        assert_eq!(http.told("/v1/scenario")["run"], json!(null));
        assert_eq!(http.told("/v1/faults")["faults"], json!([]));
    }
}

#[test]
fn a_scenario_runs_by_itself_and_ends_with_what_is_cleared() {
    let mount = served();
    let http = Http::net(&mount);
    assert_eq!(http.told("/v1/scenario")["run"], json!(null));
    let scenario = json!({ "name": "bad day", "end": "1h", "seed": 5, "steps": [
        { "at": "0s", "put": "error EIO -m mkdir --name first" },
        { "once": "first", "put": { "methods": ["rmdir"], "effects": [{ "kind": "hang" }], "name": "second" } },
        { "at": "30m", "clear": [] },
    ]});
    let run = http.done("POST", "/v1/scenario", &scenario.to_string());
    assert_eq!((&run["run"]["steps"], &run["run"]["seed"]), (&json!(3), &json!("5")), "{run}");
    wait_for("the first step", || (http.get("/v1/faults/first").status == 200).then_some(()));
    fs::create_dir(mount.mnt().join("dir")).unwrap_err();
    wait_for("the second", || (http.get("/v1/faults/second").status == 200).then_some(()));
    let told = wait_for("what it has done", || {
        let told = http.told("/v1/scenario?after=1");
        (told["events"].as_array().unwrap().len() == 2).then_some(told)
    });
    assert_eq!(
        (&told["run"]["done"], &told["run"]["state"]),
        (&json!(2), &json!("running")),
        "{told}"
    );
    assert_eq!(http.ask("POST", "/v1/scenario", &scenario.to_string()).status, 400, "another runs");
    assert_eq!(http.done("DELETE", "/v1/faults", "")["scenario"], "bad day");
    assert_eq!(http.told("/v1/scenario")["run"]["state"], "ended");
    for (steps, why) in [
        (json!([{ "at": "1s" }]), "line 1: give it one of put"),
        (json!([{ "at": "1s", "end": true }, { "at": "1", "heal": true }]), "line 2: at: "),
        (json!([{ "at": "1s", "put": "dealy 1ms -m read" }]), "line 1: "),
        (json!([{ "at": "1s", "put": "hang -m read", "heal": true }]), "line 1: give it one"),
        (json!([{ "put": "hang -m read" }]), "line 1: give it exactly one of at and once"),
        (
            json!([{ "at": "1s", "once": "x", "end": true }]),
            "line 1: give it exactly one of at and once",
        ),
        (
            json!([{ "at": "1s", "fired": 2, "end": true }]),
            "line 1: fired says at which firing of once",
        ),
        (json!([{ "once": "x", "fired": 0, "end": true }]), "line 1: fired is 0; it must be 1"),
        (
            json!([{ "at": "1s", "rot": { "regex": ".*", "spots": 0 } }]),
            "line 1: spots is 0; it must be 1",
        ),
        (json!([{ "at": "1s", "rott": {} }]), "line 1: unknown field `rott`"),
        (json!([{ "at": "1s", "power_on": false }]), "line 1: give it one of put"),
        (json!([{ "at": "1s", "checkpoint": true, "power_on": true }]), "line 1: give it one of"),
        (json!([{ "at": "1s", "power_cut": {} }]), "line 1: say which: {\"to\": \"NAME\"}"),
        (
            json!([{ "at": "1s", "power_cut": { "now": true, "max_stall": "1s" } }]),
            "line 1: to and max_stall are",
        ),
        (
            json!([{ "at": "1s", "power_cut": { "now": true, "unit": 0 } }]),
            "line 1: unit is 0; it must be 1",
        ),
        (json!([{ "at": "2h", "end": true }]), "line 1: it is not before the end"),
    ] {
        let scenario = json!({ "name": "none", "end": "1h", "steps": steps });
        let answer = http.ask("POST", "/v1/scenario", &scenario.to_string());
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(answer.status == 400 && error.contains(why), "{steps}: {error}");
    }
    let never = json!({ "name": "none", "end": "0s", "steps": [] });
    let answer = http.ask("POST", "/v1/scenario", &never.to_string());
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("end must be more than 0")));
    assert_eq!(http.told("/v1/faults")["faults"], json!([]));
}
