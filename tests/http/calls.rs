//! What HTTP tells and does is what the commands tell and do.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slowfs::rpc::Client;

use crate::common::http::{Answer, Http, dial, served};
use crate::common::{Mount, PATIENCE, slowfs, stdout_of};

/// The object of a command's `--json`, without the address.
pub(super) fn told(mount: &Mount, command: &[&str]) -> Value {
    let mut slowfs = slowfs();
    slowfs.args(command).args(["--json", "--addr", mount.told["socket"].as_str().unwrap()]);
    let mut object: Value = serde_json::from_str(&stdout_of(&mut slowfs)).unwrap();
    object.as_object_mut().unwrap().remove("addr");
    object
}

/// The same without what goes on by itself.
pub(super) fn lasting(mut object: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| {
                    !["elapsed_ns", "calls", "latency", "threads", "errors", "usual"]
                        .contains(&name.as_str())
                });
                fields.values_mut().for_each(walk);
            }
            Value::Array(list) => list.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut object);
    object
}

#[test]
fn http_tells_what_the_commands_tell() {
    let mount = served();
    fs::write(mount.mnt().join("file"), "data").unwrap();
    slowfs::rpc::Client::connect(&mount.addr, PATIENCE).unwrap();
    let command = ["delay", "1ms", "-m", "fsync", "-r", ".*/wal/.*", "--name", "slow", "-p", "0.5"];
    stdout_of(slowfs().args(command).args(["--addr", &mount.addr]));
    stdout_of(slowfs().args(["hang", "-m", "mkdir", "--addr", &mount.addr]));
    stdout_of(slowfs().args(["clear", "mkdir", "--addr", &mount.addr]));
    let path = mount.mnt().join("wal/1");
    let path = path.to_str().unwrap();
    for (command, paths) in [
        (&["list"][..], "/v1/faults"),
        (&["list", "slow"], "/v1/faults/slow"),
        (&["list", "1"], "/v1/faults/1"),
        (&["list", "--ended"], "/v1/ended"),
        (&["status"], "/v1/status"),
        (&["stats"], "/v1/stats"),
        (&["ping"], "/v1/info"),
        (&["methods"], "/v1/methods"),
        (&["injections"], "/v1/injections"),
        (&["match", path], &format!("/v1/match?path={path}")),
        (&["match", "-r", ".*file"], "/v1/match?regex=.*file"),
    ] {
        let wanted = lasting(told(&mount, command));
        for http in [Http::socket(&mount), Http::net(&mount)] {
            assert_eq!(lasting(http.told(paths)), wanted, "{command:?}");
        }
    }
    let mut kinds = Http::socket(&mount).told("/v1/kinds");
    kinds.as_object_mut().unwrap().remove("warnings");
    let told: Value = serde_json::from_str(&stdout_of(slowfs().args(["kinds", "--json"]))).unwrap();
    assert_eq!(kinds, told);
    // What one command tells must not have gone by itself.
    let stats = Http::net(&mount).told("/v1/stats");
    assert!(stats["calls"].as_u64().unwrap() > 0 && stats["elapsed_ns"].as_u64().unwrap() > 0);
}

#[test]
fn a_fault_is_set_met_and_cleared() {
    let mount = served();
    let file = File::create(mount.mnt().join("file")).unwrap();
    let delay = Duration::from_millis(60);
    let synced = || {
        let began = Instant::now();
        file.sync_all().unwrap();
        began.elapsed()
    };
    for http in [Http::socket(&mount), Http::net(&mount)] {
        let fault = json!({
            "methods": ["fsync"], "effects": [{ "kind": "delay", "params": { "time": "60ms" } }],
            "options": { "probability": 1 },
        });
        let put = http.done("PUT", "/v1/faults/slow", &fault.to_string());
        assert_eq!((&put["ok"], &put["unchanged"]), (&json!(true), &json!(false)), "{put}");
        assert_eq!(put["fault"]["name"], "slow", "{put}");
        assert!(put["fault"]["effects"][0]["params"]["time"].is_u64(), "as it is listed: {put}");
        assert!(synced() >= delay);
        // The same again changes nothing, its counts included.
        let again = http.done("PUT", "/v1/faults/slow", &fault.to_string());
        assert_eq!((&again["id"], &again["unchanged"]), (&put["id"], &json!(true)), "{again}");
        let listed = http.told("/v1/faults/slow");
        assert_eq!(listed["faults"][0]["fired"], 1, "{listed}");
        let waited = http.told("/v1/faults/slow/wait?fired=1&timeout=1s");
        assert_eq!(waited["fired"], 1, "{waited}");
        let late = http.get("/v1/faults/slow/wait?fired=2&timeout=10ms");
        assert_eq!(late.status, 409, "{late:?}");
        // A line does it, too, and without a name; beside the other one.
        let line = r#""error EIO -m fsync --count 1 --add""#;
        let added = http.done("POST", "/v1/faults", line);
        let id = added["id"].to_string();
        assert_eq!(http.told("/v1/faults")["faults"].as_array().unwrap().len(), 2);
        let cleared = http.done("DELETE", &format!("/v1/faults/{id}"), "");
        assert_eq!(cleared["faults"], json!([added["id"]]), "{cleared}");
        assert_eq!(http.get("/v1/faults/none").status, 404);
        assert_eq!(http.ask("DELETE", "/v1/faults/none", "").status, 404);
        let device = http.done("POST", "/v1/faults", r#""device --flush 1us -m fsync""#);
        let cleared = http.done("DELETE", "/v1/faults/fsync", "");
        assert_eq!(cleared["cleared"], json!(["fsync"]), "{cleared}");
        let stays = cleared["warnings"][0].as_str().unwrap();
        assert!(stays.contains("on fsync is a condition and stays"), "{cleared}");
        http.done("DELETE", &format!("/v1/faults/{}", device["id"]), "");
        assert_eq!(http.told("/v1/faults")["faults"], json!([]));
        // One that has gone is still told of.
        assert_eq!(http.told("/v1/faults/slow")["faults"][0]["why"], "cleared");
    }
    mount.wait_until_logged("put_fault: fault");
}

#[test]
fn what_is_not_understood_is_refused_whole() {
    let mount = served();
    let http = Http::socket(&mount);
    for (method, path, body, status) in [
        ("PUT", "/v1/faults/slow", "{", 400),
        ("PUT", "/v1/faults/slow", "", 400),
        ("PUT", "/v1/faults/slow", "7", 400),
        ("PUT", "/v1/faults/slow", r#"{"methods":["fsync"]}"#, 400),
        ("PUT", "/v1/faults/slow", r#"{"methods":["fsink"],"effects":[{"kind":"hang"}]}"#, 400),
        ("PUT", "/v1/faults/slow", r#"{"method":["fsync"],"effects":[{"kind":"hang"}]}"#, 400),
        ("PUT", "/v1/faults/slow", r#"{"methods":["fsync"],"effects":[{"kind":"hung"}]}"#, 400),
        ("PUT", "/v1/faults/slow", r#""hang -m fsync --name other""#, 400),
        ("PUT", "/v1/faults/Slow", r#""hang -m fsync""#, 400),
        ("PUT", "/v1/faults/slow?add=1", r#""hang -m fsync""#, 400),
        // What it names is read where it is typed, not by the daemon.
        ("PUT", "/v1/faults/slow", r#""delay file:/etc/passwd -m fsync""#, 400),
        ("PUT", "/v1/faults", r#""hang -m fsync""#, 400),
        ("POST", "/v1/faults", r#"["hang -m fsync"]"#, 400),
        (
            "PUT",
            "/v1/faults/slow",
            r#"{"methods":["fsync"],"effects":[{"kind":"hang"}],"methods":["read"]}"#,
            400,
        ),
        ("GET", "/v1/faults?id=1", "", 400),
        ("GET", "/v1/injections?most=1001", "", 400),
        ("GET", "/v1/injections?most=1&most=2", "", 400),
        ("GET", "/v1/injections?after=-1", "", 400),
        ("GET", "/v1/match?regex=a&most=1001", "", 400),
        ("GET", "/v1/heal", "", 405),
        ("GET", "/v1/match", "", 400),
        ("GET", "/v1/match?regex=(", "", 400),
        ("GET", "/v1/match?path=/etc/passwd", "", 400),
        ("GET", "/v1/faults/slow/wait", "", 400),
        ("GET", "/v1/faults/slow/wait?fired=0", "", 400),
        ("GET", "/v1/faults/slow/wait?fired=1", "", 404),
        ("GET", "/v1", "", 404),
        ("GET", "/v2/faults", "", 404),
        ("GET", "/v1/faults/", "", 404),
        ("GET", "/v1/%66aults/x/y", "", 404),
        ("GET", "/../etc/passwd", "", 404),
        ("PATCH", "/v1/faults", "", 405),
        ("POST", "/v1/stats", "", 405),
        ("DELETE", "/", "", 405),
        ("BREW", "/v1/faults", "", 405),
    ] {
        let answer = http.ask(method, path, body);
        assert_eq!(answer.status, status, "{method} {path} {body}: {answer:?}");
        let object = answer.json();
        let why = object["error"].as_str().unwrap();
        assert!(object["ok"] == false && !why.is_empty() && !why.contains('\n'), "{object}");
        assert_eq!(answer.field("allow").is_some(), status == 405, "{answer:?}");
    }
    assert_eq!(http.told("/v1/faults")["faults"], json!([]));
}

/// By the first byte: each connection speaks one of both, and the Thrift port only one.
#[test]
fn the_socket_speaks_both_and_the_thrift_port_does_not() {
    let mount = served();
    let http = Http::socket(&mount);
    let mut thrift = Client::connect(&http.addr, PATIENCE).unwrap();
    let mut wire = dial(&http.addr);
    for turn in 0..3 {
        thrift.info().unwrap();
        let request = http.request("GET", "/v1/faults", "");
        // A byte at a time at first, then two requests at once.
        match turn {
            0 => request.iter().for_each(|byte| wire.write_all(&[*byte]).unwrap()),
            1 => wire.write_all(&request).unwrap(),
            _ => wire.write_all(&request.repeat(2)).unwrap(),
        }
        for _ in 0..=turn / 2 {
            assert_eq!(Answer::read(&mut wire).status, 200);
        }
    }
    let mut port = dial(&mount.addr);
    port.write_all(&http.request("GET", "/v1/faults", "")).unwrap();
    let mut answer = Vec::new();
    // It is closed, maybe before all is read: that is an error here.
    let _ = port.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    thrift.info().unwrap();
}

#[test]
fn a_head_is_answered_without_a_body_and_a_body_is_waited_for() {
    let mount = served();
    let http = Http::net(&mount);
    let mut wire = dial(&http.addr);
    wire.write_all(&http.request("HEAD", "/v1/faults", "")).unwrap();
    wire.write_all(&http.with("Connection", "close").request("GET", "/v1/faults", "")).unwrap();
    let mut all = String::new();
    wire.read_to_string(&mut all).unwrap();
    let heads = all.matches("HTTP/1.1 200 OK\r\n").count();
    let bodies = all.matches("{\"").count();
    assert_eq!((heads, all.matches(r#""faults":[]"#).count()), (2, 1), "{bodies} {all}");
    // Who asks first is told to go on.
    let mut wire = dial(&http.addr);
    let body = r#""hang -m rmdir""#;
    let request = http.with("Expect", "100-continue").request("POST", "/v1/faults", body);
    let (head, body) = request.split_at(request.len() - body.len());
    wire.write_all(head).unwrap();
    let word = Answer::read(&mut wire);
    assert_eq!((word.status, word.body.as_str()), (100, ""));
    wire.write_all(body).unwrap();
    assert_eq!(Answer::read(&mut wire).status, 200);
}

#[test]
fn the_page_is_served_whole_and_may_run_nothing_else() {
    let mount = served();
    for http in [Http::socket(&mount), Http::net(&mount).with("Authorization", "")] {
        let page = http.get("/");
        assert_eq!(page.status, 200);
        assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
        let policy = page.field("content-security-policy").unwrap();
        for part in ["default-src 'none'", "script-src 'sha256-", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
        assert!(page.body.starts_with("<!doctype html>") && page.body.ends_with("</html>\n"));
        // Nothing of the mount is in it, which anybody may see.
        assert!(!page.body.contains(mount.mnt().to_str().unwrap()));
    }
}
