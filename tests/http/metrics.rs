//! /metrics tells what `slowfs stats` and `slowfs list` tell.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::thread;

use crate::common::http::{Http, served};
use crate::common::{Mount, failing, hanging, wait_for};

/// The page by its series: `name{labels}` and value.
fn series(mount: &Mount) -> BTreeMap<String, f64> {
    let answer = Http::net(mount).get("/metrics");
    assert_eq!(answer.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    let series: Vec<(String, f64)> = lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect();
    let by_name: BTreeMap<_, _> = series.iter().cloned().collect();
    assert_eq!(series.len(), by_name.len(), "a series stands there twice");
    by_name
}

#[test]
fn figures_are_those_of_stats() {
    let mount = served();
    let file = File::create(mount.mnt().join("file")).unwrap();
    mount.add(&failing(&["fsync"], "EIO"));
    for _ in 0..3 {
        assert!(file.sync_all().is_err());
    }
    assert!(fs::metadata(mount.mnt().join("none")).is_err());
    let stats = mount.client().stats().unwrap();
    let metrics = series(&mount);
    for requests in &stats.requests {
        let of = |what: &str| metrics[&format!("slowfs_{what}{{method=\"{}\"}}", requests.name)];
        // Others may be asked meanwhile: the look at its own files by this test.
        assert!(of("requests_total") >= requests.calls as f64, "{requests:?}");
        assert!(of("request_usual_errors_total") >= requests.usual as f64, "{requests:?}");
    }
    let fsync = |what: &str| metrics[&format!("slowfs_{what}")];
    assert_eq!(fsync("requests_total{method=\"fsync\"}"), 3.0);
    assert_eq!(fsync("request_errors_total{method=\"fsync\",cause=\"injected\"}"), 3.0);
    assert_eq!(fsync("request_errors_total{method=\"fsync\",cause=\"backing\"}"), 0.0);
    assert_eq!(fsync("request_duration_seconds_count{method=\"fsync\"}"), 3.0);
    assert_eq!(fsync("request_duration_seconds_bucket{method=\"fsync\",le=\"+Inf\"}"), 3.0);
    assert!(fsync("request_duration_seconds_sum{method=\"fsync\"}") > 0.0);
    let fired = metrics.iter().find(|(name, _)| name.starts_with("slowfs_fault_fired_total{"));
    assert_eq!(fired.map(|(_, n)| *n), Some(3.0));
    for own in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "start_time_seconds"] {
        assert!(metrics[&format!("process_{own}")] > 0.0, "{own}");
    }
    let build = metrics.keys().find(|name| name.starts_with("slowfs_build_info{")).unwrap();
    assert!(build.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{build}");
}

#[test]
fn what_is_held_is_told_while_it_is() {
    let mount = served();
    let _clear = mount.clear_on_drop();
    let id = mount.add(&hanging(&["mkdir"]));
    let held = format!("slowfs_fault_held{{fault=\"{id}\",id=\"{id}\",kind=\"hang\"}}");
    assert_eq!(series(&mount)[&held], 0.0);
    thread::scope(|scope| {
        scope.spawn(|| fs::create_dir(mount.mnt().join("dir")));
        wait_for("it to be held", || (series(&mount)[&held] == 1.0).then_some(()));
        mount.clear();
    });
    assert!(!series(&mount).contains_key(&held), "it has gone with its fault");
}

/// What stands in a query: names of metrics, and labels behind them.
fn asked(query: &str) -> Vec<(String, Vec<String>)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts = ["slowfs_", "process_"].iter().flat_map(|word| query.match_indices(word));
    starts
        .map(|(at, _)| {
            let name: String = query[at..].chars().take_while(|c| is_word(*c)).collect();
            let rest = &query[at + name.len()..];
            let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let labels = labels.map_or("", |(labels, _)| labels).split(',');
            let label = |label: &str| label.split(['=', '!']).next().unwrap().to_owned();
            (name, labels.filter(|label| !label.is_empty()).map(label).collect())
        })
        .collect()
}

/// Every text of a JSON document.
fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(list) => list.iter().for_each(|value| texts(value, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let mount = served();
    let _clear = mount.clear_on_drop();
    mount.add(&hanging(&["mkdir"]));
    fs::write(mount.mnt().join("file"), "data").unwrap();
    let there = series(&mount);
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../grafana/slowfs.json")).unwrap();
    let mut all = Vec::new();
    texts(&dashboard, &mut all);
    let asked: Vec<_> = all.iter().flat_map(|text| asked(text)).collect();
    assert!(asked.len() > 20, "{asked:?}");
    for (name, labels) in asked {
        let found = there.keys().find(|key| key.split('{').next() == Some(name.as_str()));
        let found = found.unwrap_or_else(|| panic!("/metrics has no {name}"));
        // These two Prometheus adds.
        for label in labels.iter().filter(|label| !["job", "instance"].contains(&label.as_str())) {
            assert!(found.contains(&format!("{label}=\"")), "{found} has no label {label}");
        }
    }
}
