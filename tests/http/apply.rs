//! A list of faults over HTTP does what `slowfs apply` does with a file of them, and is refused for the same.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::common::http::{Http, served};
use crate::common::{Mount, slowfs, stdout_of, text_of};

/// `slowfs apply` of a file of those lines.
fn apply(mount: &Mount, lines: &[&str], options: &[&str]) -> Output {
    let file = mount.scratch().join("faults.txt");
    fs::write(&file, lines.join("\n") + "\n# no more faults\n").unwrap();
    let mut apply = slowfs();
    apply.args(["apply", "--addr", &mount.addr, "--json", "-f"]).arg(file);
    apply.args(options).output().unwrap()
}

/// Everything that is told of what was done, and of what stands then.
#[test]
fn it_does_and_tells_what_the_command_does_and_tells() {
    let (typed, asked) = (Mount::new(), served());
    let http = Http::net(&asked);
    let first =
        ["full --free 1MiB", "read-only --name ro", "hang -m rmdir", "error EIO -m link,unlink"];
    for mount in [&typed, &asked] {
        for line in first {
            let words = line.split(' ');
            stdout_of(slowfs().args(words).args(["--addr", &mount.addr, "--add"]));
        }
    }
    let slow = ["delay 5ms -m fsync --name slow", "error EIO -m link,unlink"];
    let other =
        ["delay 7ms -m fsync --name slow", "hang -m rmdir", "delay 1ms -m rmdir -r '.*/a b'"];
    let shadowed = ["hang -m mkdir --name a", "kill -m mkdir --name b"];
    for (lines, prune) in [
        (&slow[..], false),
        (&slow, false),
        (&other, false),
        (&other, true),
        (&shadowed, true),
        (&slow, true),
        (&[], false),
        (&[], true),
    ] {
        let done = apply(&typed, lines, if prune { &["--prune"] } else { &[] });
        assert!(done.status.success(), "{lines:?}: {}", text_of(&done));
        let mut wanted: Value = serde_json::from_slice(&done.stdout).unwrap();
        wanted.as_object_mut().unwrap().remove("addr");
        let body = match prune {
            true => json!(lines),
            false => json!({ "faults": lines, "prune": false }),
        };
        let told = http.done("PUT", "/v1/faults", &body.to_string());
        assert_eq!(told, wanted, "{lines:?}, prune {prune}");
        let listed = |mount: &Mount| {
            let listed = mount.client().list_faults().unwrap();
            let words = |listed: slowfs::rpc::ListedFault| (listed.id, listed.fault.line());
            listed.into_iter().map(words).collect::<Vec<_>>()
        };
        assert_eq!(listed(&asked), listed(&typed), "{lines:?}, prune {prune}");
    }
    assert_eq!(http.told("/v1/faults")["faults"], json!([]));
    asked.wait_until_logged("apply_faults: 2 set, 0 unchanged");
}

/// Whole: as it is told of the same lines of a file.
#[test]
fn it_is_refused_as_the_command_is() {
    let mount = served();
    let http = Http::socket(&mount);
    http.done("POST", "/v1/faults", r#""delay 1ms -m read --name stays""#);
    let many = vec!["hang -m read"; 1001];
    for (lines, line, why) in [
        (&["hang -m read", "hang -m raed"][..], 2, "no method raed; did you mean read?"),
        (&["hang -m read", "delay 5 -m read"], 2, "delay: "),
        (&["hang -m read", "hang -m read --cuont 3"], 2, "--count?"),
        (&["clear read"], 1, "no kind of fault is called clear"),
        (
            &["hang -m read --name a", "kill -m read --name a"],
            2,
            "1 is called a already: give it another name",
        ),
        (&["throttle --iops 5", "throttle --iops 6"], 2, "1: give both names"),
        (&["hang -m read", "cut-at fsync"], 2, "cut-at needs a mount with --track-unsynced"),
        (&many, 1001, "there are 1001 faults, and a mount takes 1000 at most"),
    ] {
        let typed = text_of(&apply(&mount, lines, &["--prune"]));
        let (_, typed) =
            typed.split_once(&format!("faults.txt:{line}: ")).unwrap_or_else(|| panic!("{typed}"));
        let asked = http.ask("PUT", "/v1/faults", &json!(lines).to_string());
        let told = asked.json()["error"].as_str().unwrap().to_owned();
        assert_eq!(asked.status, 400, "{told}");
        let (_, told) =
            told.split_once(&format!("fault {line}: ")).unwrap_or_else(|| panic!("{told}"));
        assert!(told.contains(why), "{why}: {told}");
        // What counts as lines there are faults here.
        let typed = typed.replace("line 1", "fault 1");
        assert!(typed.starts_with(told), "{told}: {typed}");
    }
    let left = http.told("/v1/faults");
    assert_eq!(left["faults"][0]["fault"]["name"], "stays", "{left}");
    assert_eq!(left["faults"].as_array().unwrap().len(), 1, "{left}");
}

#[test]
fn a_list_takes_the_place_of_every_fault() {
    let mount = served();
    let http = Http::net(&mount);
    http.done("POST", "/v1/faults", r#""delay 1ms -m read""#);
    let list = json!([
        "delay 1ms -m write --name one",
        { "methods": ["fsync"], "effects": [{ "kind": "hang" }], "name": "two" },
    ]);
    let put = http.done("PUT", "/v1/faults", &list.to_string());
    assert_eq!(put["faults"].as_array().unwrap().len(), 2, "{put}");
    let names = |told: &Value| -> Vec<Value> {
        told["faults"].as_array().unwrap().iter().map(|f| f["fault"]["name"].clone()).collect()
    };
    assert_eq!(names(&http.told("/v1/faults")), ["one", "two"]);
    // What is told can be given back.
    let faults = http.told("/v1/faults");
    let faults: Vec<_> = faults["faults"].as_array().unwrap().iter().map(|f| &f["fault"]).collect();
    let again = http.done("PUT", "/v1/faults", &json!({ "faults": faults }).to_string());
    let unchanged = |put: &Value| put["unchanged"] == true;
    assert!(again["faults"].as_array().unwrap().iter().all(unchanged), "{again}");
    // A part that is wrong, and nothing happens.
    let wrong = http.ask("PUT", "/v1/faults", r#"["delay 1ms -m read", "delai 1ms -m read"]"#);
    assert_eq!(wrong.status, 400, "{wrong:?}");
    assert!(wrong.json()["error"].as_str().unwrap().contains("fault 2: "), "{wrong:?}");
    assert_eq!(names(&http.told("/v1/faults")), ["one", "two"]);
    http.done("PUT", "/v1/faults", "[]");
    assert_eq!(http.told("/v1/faults")["faults"], json!([]));
}
