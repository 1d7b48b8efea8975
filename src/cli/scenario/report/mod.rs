//! What `slowfs run --report` writes: a page for people, or JSON for programs, of the same figures.
//!
//! Latencies come from the mount's own counts, which lose nothing: every request is timed while the
//! scenario runs. They are kept in buckets, so that a figure is a sixteenth too long at most. No locks.

mod gather;
mod page;
mod plot;

use std::path::Path;

use serde::Serialize;

pub(super) use self::gather::{Samples, Seen};
use crate::rpc::WirePath;

/// A run, on all its mounts.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// What it is called.
    pub(super) scenario: String,
    /// The version of this command.
    pub(super) version: String,
    /// What the file says of the dice.
    pub(super) seed: Option<String>,
    /// When it was to end, since its start.
    pub(super) end_ns: i64,
    /// When it began on the first mount, since 1970.
    pub(super) began_unix_ns: i64,
    /// Between the first mount's start and the last one's.
    pub(super) skew_ns: i64,
    /// Whether it came to its end everywhere.
    pub(super) ok: bool,
    /// If not, why.
    pub(super) why: Option<String>,
    pub(super) mounts: Vec<OfMount>,
}

/// What it was on one mount. Times without another word are since its start there.
#[derive(Debug, Default, Serialize)]
pub(super) struct OfMount {
    pub(super) addr: String,
    pub(super) mountpoint: WirePath,
    pub(super) backing: WirePath,
    pub(super) version: String,
    pub(super) fuse_protocol: String,
    /// What the dice of its faults were seeded with.
    pub(super) seed: String,
    pub(super) started_unix_ns: i64,
    /// How long after the first mount it began here.
    pub(super) lag_ns: i64,
    /// How long it ran.
    pub(super) elapsed_ns: i64,
    /// Why it ended.
    pub(super) why: Option<String>,
    pub(super) failed: bool,
    pub(super) steps: Vec<OfStep>,
    /// The methods that its faults name; they stand in the steps already.
    #[serde(skip)]
    pub(super) named: Vec<String>,
    pub(super) phases: Vec<Phase>,
    pub(super) series: Vec<Phase>,
}

/// One line.
#[derive(Debug, Default, Serialize)]
pub(super) struct OfStep {
    pub(super) line: i64,
    /// As it was typed.
    pub(super) text: String,
    /// When it was to be done; null at a firing.
    pub(super) planned_ns: Option<i64>,
    /// The fault at whose firing it was to be done, and which firing.
    pub(super) once: Option<String>,
    pub(super) fired: Option<i64>,
    /// When it was in force; null if it was not done.
    pub(super) at_ns: Option<i64>,
    pub(super) late_ns: Option<i64>,
    /// What came of it.
    pub(super) did: Option<String>,
    pub(super) warnings: Vec<String>,
}

/// What was answered in a while.
#[derive(Debug, Default, Serialize)]
pub(super) struct Phase {
    pub(super) from_ns: i64,
    pub(super) to_ns: i64,
    /// The lines with which it began; none of one that only divides the time.
    pub(super) lines: Vec<i64>,
    pub(super) methods: Vec<OfMethod>,
}

/// The requests that a method names.
#[derive(Debug, Default, Serialize)]
pub(super) struct OfMethod {
    pub(super) name: String,
    pub(super) calls: i64,
    pub(super) errors: i64,
    /// Of the errors, those that faults gave.
    pub(super) injected: i64,
    /// Of the errors, those that nothing is wrong for.
    pub(super) usual: i64,
    pub(super) p50_ns: Option<i64>,
    pub(super) p99_ns: Option<i64>,
    pub(super) max_ns: Option<i64>,
}

/// The report's text: JSON if the file's name says so, else a page.
pub(super) fn text(report: &Report, file: &Path) -> Result<String, String> {
    if !file.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")) {
        return Ok(page::page(report));
    }
    let text = serde_json::to_string_pretty(report).map(|text| text + "\n");
    text.map_err(|error| format!("cannot write {}: {error}", file.display()))
}

/// The names of the fields of the JSON.
#[cfg(test)]
pub(in crate::cli) fn field_names() -> Vec<String> {
    let phase = Phase { methods: vec![OfMethod::default()], ..Phase::default() };
    let steps = vec![OfStep::default()];
    let mount = OfMount { steps, phases: vec![phase], ..OfMount::default() };
    let report = Report { mounts: vec![mount], ..Report::default() };
    let value = serde_json::to_value(report).unwrap();
    let mount = &value["mounts"][0];
    let phase = &mount["phases"][0];
    let all = [&value, mount, &mount["steps"][0], phase, &phase["methods"][0]];
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect();
    all.into_iter().flat_map(|value| -> Vec<String> { names(value) }).collect()
}
