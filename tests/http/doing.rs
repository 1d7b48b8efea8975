//! What commands do beside setting faults, HTTP does as they do.

use std::fs::{self, File};

use serde_json::{Value, json};

use super::calls::{lasting, told};
use crate::common::http::{Answer, Http, dial, served};
use crate::common::{Mount, scratch, wait_for};

pub(super) fn tracking() -> Mount {
    let scratch = scratch();
    let images = scratch.path().join("images");
    fs::create_dir(&images).unwrap();
    let images = images.to_str().unwrap().to_owned();
    Mount::over(scratch, &["--track-unsynced", "--images", &images])
}

#[test]
fn bytes_rot_and_are_healed() {
    let mount = served();
    let (path, stored) = (mount.mnt().join("file"), mount.raw().join("file"));
    fs::write(&path, vec![7; 8192]).unwrap();
    File::open(&path).unwrap().sync_all().unwrap();
    let http = Http::net(&mount);
    let rot = json!({ "how": "zero", "glob": "*file", "spots": 2, "unit": "4KiB", "seed": 3 });
    let rotted = http.done("POST", "/v1/rot", &rot.to_string());
    assert_eq!((&rotted["spots"], &rotted["seed"]), (&json!(2), &json!("3")), "{rotted}");
    assert_eq!(fs::read(&stored).unwrap(), vec![0; 8192]);
    let found = http.told("/v1/injections?most=1");
    assert_eq!((found["injections"].as_array().unwrap().len(), &found["ok"]), (1, &json!(true)));
    let first = found["injections"][0]["id"].clone();
    let healed = http.done("POST", "/v1/heal", &json!({ "ids": [first] }).to_string());
    assert_eq!(healed["healed"], json!([{ "id": first, "outcome": "healed", "error": null }]));
    let healed = http.done("POST", "/v1/heal", r#"{"all":true}"#);
    assert_eq!(healed["healed"].as_array().unwrap().len(), 1, "{healed}");
    assert_eq!(fs::read(&stored).unwrap(), vec![7; 8192]);
    for (path, body) in [
        ("/v1/heal", ""),
        ("/v1/heal", r#"{"ids":[1],"all":true}"#),
        ("/v1/heal", r#"{"ids":[99]}"#),
        ("/v1/heal", r#"{"id":1}"#),
        ("/v1/rot", "{}"),
        ("/v1/rot", r#"{"regex":".*","glob":"*"}"#),
        ("/v1/rot", r#"{"regex":".*","unit":3}"#),
        ("/v1/rot", r#"{"regex":".*","how":"flop"}"#),
        ("/v1/rot", r#"{"regex":".*","seed":-1}"#),
        ("/v1/rot", r#"{"regex":".*","spots":0}"#),
        ("/v1/rot", r#"{"regex":".*","spots":-1}"#),
        ("/v1/rot", r#"{"regex":".*","length":0}"#),
        ("/v1/rot", r#"{"regex":".*","unit":0}"#),
        ("/v1/rot", r#"{"regex":".*","unit":"0"}"#),
        ("/v1/rot", r#"{"regex":".*","how":""}"#),
        ("/v1/checkpoint", ""),
        ("/v1/power-on", ""),
        ("/v1/power-cut", r#"{"now":true}"#),
    ] {
        let answer = http.ask("POST", path, body);
        assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
    }
    assert_eq!(http.get("/v1/unsynced").status, 400);
    assert_eq!(fs::read(&stored).unwrap(), vec![7; 8192]);
}

#[test]
fn the_power_is_cut_beside_and_in_place() {
    let mount = tracking();
    let http = Http::socket(&mount);
    let (path, stored) = (mount.mnt().join("file"), mount.raw().join("file"));
    fs::write(&path, "durable").unwrap();
    let entries = http.done("POST", "/v1/checkpoint", "")["entries"].as_i64().unwrap();
    assert!(entries > 0);
    fs::write(mount.mnt().join("other"), "lost").unwrap();
    let ageless = |mut object: Value| {
        object["age_ns"] = json!(0);
        object["files"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|file| file["age_ns"] = json!(0));
        lasting(object)
    };
    let unsynced = ageless(http.told("/v1/unsynced"));
    assert_eq!(unsynced, ageless(told(&mount, &["unsynced"])));
    assert_eq!(unsynced["names"].as_array().unwrap().len(), 1, "{unsynced}");
    let cut = http.done("POST", "/v1/power-cut", r#"{"to":"one","max_stall":"1m"}"#);
    let image = std::path::PathBuf::from(cut["image"].as_str().unwrap());
    assert!(image.join("file").exists() && !image.join("other").exists(), "{cut}");
    let cut = http.done("POST", "/v1/power-cut", r#"{"now":true,"stay_off":true,"seed":"9"}"#);
    assert_eq!((&cut["off"], &cut["seed"], &cut["cuts"]), (&json!(true), &json!("9"), &json!(1)));
    assert!(fs::read(&path).is_err(), "the power is off");
    for was_off in [true, false] {
        assert_eq!(http.done("POST", "/v1/power-on", "{}")["was_off"], was_off);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "durable");
    assert!(stored.exists() && !mount.raw().join("other").exists());
    for wrong in [
        "{}",
        r#"{"to":"two","now":true}"#,
        r#"{"to":"two","kill":true}"#,
        r#"{"now":true,"max_stall":"1s"}"#,
        r#"{"to":"two","max_stall":"1"}"#,
        r#"{"to":"a/b"}"#,
        r#"{"to":"two","keep":"some"}"#,
        r#"{"to":"two","unit":513}"#,
        r#"{"now":true,"keep":"some"}"#,
        r#"{"now":true,"unit":513}"#,
        r#"{"now":true,"unit":0}"#,
        r#"{"now":true,"keep":""}"#,
        r#"{"to":"two","keep":""}"#,
        r#"{"now":true,"now":false}"#,
    ] {
        let answer = http.ask("POST", "/v1/power-cut", wrong);
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
    }
    assert_eq!(http.told("/v1/unsynced")["cuts"], 1);
}

#[test]
fn a_connection_has_a_trace_which_ends_with_it() {
    let mount = served();
    let http = Http::net(&mount);
    let mut wire = dial(&http.addr);
    let mut ask = |method, path, body| {
        wire.write_all(&http.request(method, path, body)).unwrap();
        let answer = Answer::read(&mut wire);
        (answer.status, answer.json())
    };
    assert_eq!(ask("GET", "/v1/trace", "").0, 400);
    let (status, head) = ask("POST", "/v1/trace", r#"{"methods":["mkdir"],"glob":"**/dir"}"#);
    assert!(status == 200 && head["mountpoint"] == mount.mnt().to_str().unwrap(), "{head}");
    // It is of that connection alone.
    assert_eq!(http.get("/v1/trace").status, 400);
    assert_eq!(http.ask("POST", "/v1/trace", "{}").status, 400);
    for name in ["dir", "other"] {
        fs::create_dir(mount.mnt().join(name)).unwrap();
    }
    let (_, read) = ask("GET", "/v1/trace?most=10", "");
    let events = read["events"].as_array().unwrap();
    assert!(events.len() == 1 && events[0]["method"] == "mkdir", "{read}");
    assert_eq!(ask("GET", "/v1/trace?after=1", "").1["events"], json!([]));
    assert_eq!(ask("DELETE", "/v1/trace", "").0, 200);
    assert_eq!(ask("GET", "/v1/trace", "").0, 400);
    assert_eq!(ask("POST", "/v1/trace", "").0, 200);
    drop(wire);
    wait_for("its end", || (http.ask("POST", "/v1/trace", "").status == 200).then_some(()));
}
