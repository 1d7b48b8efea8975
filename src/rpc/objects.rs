//! What each answer is as JSON: for `--json` and for HTTP alike. No locks.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::describe::short_time;
use super::injections::{Injection, Injections};
use super::matching::{Matched, Met};
use super::records::{Applied, Cleared, Info, KindInfo, ListedFault, MethodInfo, Put};
use super::scenario::{Run, RunRead};
use super::statistics::Statistics;
use super::trace::{TraceEvent, TraceHead, TraceRead};
use super::unsynced::{PowerCut, Unsynced};
use super::values::WirePath;
use crate::fault::words::{FaultWords, visible};

/// An answer whole, as a program reads it: whether it was done, and what is to be said of it.
pub(crate) fn closed(object: Value, done: bool, warnings: Option<&[String]>) -> Map<String, Value> {
    let mut fields = match object {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    fields.insert("ok".into(), done.into());
    if let Some(warnings) = warnings {
        fields.insert("warnings".into(), warnings.into());
    }
    fields
}

/// Why nothing was done.
pub(crate) fn failed(why: &str) -> Value {
    json!({ "error": why })
}

/// Faults in force, all or one.
pub(crate) fn faults(faults: &[ListedFault]) -> Value {
    json!({ "faults": faults })
}

/// Faults that have gone.
pub(crate) fn ended(faults: &[ListedFault]) -> Value {
    json!({ "ended": faults })
}

/// The same with the scenario that runs.
pub(crate) fn with_scenario(mut object: Value, run: Option<&Run>) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.insert("scenario".into(), json!(run));
    }
    object
}

/// The scenario if it runs; and the last one, if nobody saw its end.
pub(crate) fn running(run: Option<Run>) -> (Option<Run>, Option<Run>) {
    match run {
        Some(run) if run.state == "running" => (Some(run), None),
        last => (None, last.filter(|run| run.state == "ended" && run.detached)),
    }
}

/// How much goes on, and the faults in force; `last` is a scenario whose end nobody saw.
pub(crate) fn status(stats: &Statistics, faults: &[ListedFault], last: Option<&Run>) -> Value {
    json!({
        "elapsed_ns": stats.elapsed_ns, "calls": stats.calls, "errors": stats.errors,
        "injected": stats.injected, "usual": stats.usual, "faults": faults, "last_scenario": last,
    })
}

/// The methods that faults can be set on.
pub(crate) fn methods(methods: &[MethodInfo]) -> Value {
    json!({ "methods": methods })
}

/// The kinds of fault.
pub(crate) fn kinds(kinds: &[KindInfo]) -> Value {
    json!({ "kinds": kinds })
}

/// Who answers, and how it is mounted.
pub(crate) fn info(info: &Info) -> Value {
    let mut object = json!(info);
    add_bytes(&mut object, "mountpoint", &info.mountpoint);
    add_bytes(&mut object, "backing", &info.backing);
    object
}

/// What setting that fault has done.
pub(crate) fn put(put: &Put, fault: &FaultWords) -> Value {
    let Put { id, replaced, released, unchanged, changed, taken, .. } = put;
    json!({
        "id": id, "fault": fault, "replaced": replaced, "released": released,
        "unchanged": unchanged, "changed": changed, "taken": taken,
    })
}

/// What setting several has done.
pub(crate) fn puts(objects: &[Value]) -> Value {
    json!({ "faults": objects })
}

/// What has come of a list of faults that was applied.
pub(crate) fn applied(applied: &Applied, faults: &[FaultWords]) -> Value {
    let faults: Vec<_> =
        applied.faults.iter().zip(faults).map(|(one, fault)| put(one, fault)).collect();
    json!({ "faults": faults, "cleared": applied.cleared, "released": applied.released })
}

/// What clearing that has done, or everything; none from a server that does not tell.
pub(crate) fn cleared(named: Option<&[String]>, cleared: Option<&Cleared>) -> Value {
    json!({
        "cleared": named.map_or_else(|| json!("all"), |named| json!(named)),
        "faults": cleared.map(|done| &done.faults),
        "released": cleared.map(|done| done.released),
        "taken": cleared.map(|done| &done.taken),
        "scenario": cleared.and_then(|done| done.scenario.as_ref()),
        "power": cleared.and_then(|done| done.power.as_ref()),
    })
}

/// What faults have made of bytes.
pub(crate) fn injections(all: &Injections) -> Value {
    let told = |one: &Injection| with_path(one, &one.path);
    let told: Vec<Value> = all.injections.iter().map(told).collect();
    json!({ "injections": told, "dropped": all.dropped, "kept_bytes": all.kept_bytes })
}

/// What a pattern matches.
pub(crate) fn matched(found: &Matched) -> Value {
    let mut object = json!(found);
    if let Some(fields) = object.as_object_mut() {
        let told = |path: &WirePath| with_path(&json!({ "path": path }), path);
        fields.insert("paths".to_owned(), found.paths.iter().map(told).collect());
    }
    object
}

/// What a path meets.
pub(crate) fn met(met: &Met) -> Value {
    let Met { path, faults, others } = met;
    with_path(&json!({ "path": path, "faults": faults, "others": others }), path)
}

/// What of the faults in force is to be said, a line each: what they cannot do on this mount, and what
/// those that have gone have left.
pub(crate) fn warnings_of(faults: &[ListedFault], ended: &[ListedFault]) -> Vec<String> {
    let left = ended.iter().flat_map(|fault| [still_holds(fault), past_cache(fault)]);
    warnings(faults).into_iter().chain(left.flatten()).collect()
}

/// What the faults cannot do on this mount, a line each.
pub(crate) fn warnings<'a>(faults: impl IntoIterator<Item = &'a ListedFault>) -> Vec<String> {
    let lines = |f: &'a ListedFault| {
        let missed = f.out_of_reach.as_ref().map(|files| format!("does not reach {files}"));
        let all = missed.into_iter().chain(f.warnings.iter().cloned());
        all.map(|why| format!("fault {}: {why}", f.id))
    };
    faults.into_iter().flat_map(lines).collect()
}

/// What a fault that was set cannot do, a line each.
pub(crate) fn put_warnings(put: &Put) -> Vec<String> {
    put.warnings.iter().map(|why| format!("fault {}: {why}", put.id)).collect()
}

/// What is to be said of a search, a line each.
pub(crate) fn search_warnings(found: &Matched) -> Vec<String> {
    let Matched { left_out, whole, warnings, .. } = found;
    let cut = (!whole)
        .then(|| "there was too much to look at, or it took too long: more may match".to_owned());
    let left_out = (*left_out > 0).then(|| {
        let s = if *left_out == 1 { "y was" } else { "ies were" };
        format!(
            "{left_out} director{s} not looked into: something else is mounted there, or it cannot be read"
        )
    });
    warnings.iter().cloned().chain(cut).chain(left_out).collect()
}

/// That a fault has gone and yet holds something.
fn still_holds(ended: &ListedFault) -> Option<String> {
    let ListedFault { id, held, .. } = ended;
    let s = if *held == 1 { "" } else { "s" };
    (*held > 0).then(|| {
        format!(
            "fault {id} was spent and still holds {held} operation{s}; `slowfs clear` releases them"
        )
    })
}

/// That files which were opened under a fault that has gone are slower than others.
fn past_cache(ended: &ListedFault) -> Option<String> {
    let ListedFault { id, past_cache, .. } = ended;
    let files = if *past_cache == 1 { "file that was" } else { "files that were" };
    (*past_cache > 0).then(|| {
        format!(
            "fault {id} has gone; {past_cache} {files} opened under it and stay past the page cache until closed"
        )
    })
}

/// What a power cut could take back.
pub(crate) fn unsynced(found: &Unsynced) -> Value {
    let files = found.files.iter().map(|file| with_path(file, &file.path));
    let names = found.names.iter().map(|name| with_path(name, &name.path));
    let (files, names): (Vec<_>, Vec<_>) = (files.collect(), names.collect());
    let mut object = json!(found);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("files".to_owned(), files.into());
        fields.insert("names".to_owned(), names.into());
    }
    object
}

/// After so long a kernel has written back, or something does not sync that should.
const LONG: i64 = 600_000_000_000;

/// What is to be said of that, a line each.
pub(crate) fn unsynced_warnings(found: &Unsynced) -> Vec<String> {
    let shown = |path: &WirePath| visible(&path.0.to_string_lossy());
    let foreign = found
        .foreign
        .iter()
        .map(|path| format!("{} was changed behind the mount: it counts as durable", shown(path)));
    let old = found.files.iter().filter(|file| file.age_ns > LONG).map(|file| {
        let path = shown(&file.path);
        format!("{path} has not been synced for {}", short_time(file.age_ns))
    });
    foreign.chain(old).collect()
}

/// An image of what a disk could hold.
pub(crate) fn cut(done: &PowerCut) -> Value {
    let mut object = json!(done);
    add_bytes(&mut object, "image", &done.image);
    add_bytes(&mut object, "manifest", &done.manifest);
    object
}

/// What a trace begins with.
pub(crate) fn trace_head(head: &TraceHead) -> Value {
    let mut line = json!(head);
    add_bytes(&mut line, "mountpoint", &head.mountpoint);
    add_bytes(&mut line, "backing", &head.backing);
    line
}

/// A request that was answered.
pub(crate) fn trace_event(event: &TraceEvent) -> Value {
    let mut line = json!(event);
    for (name, path) in [("path", &event.path), ("other", &event.other)] {
        path.iter().for_each(|path| add_bytes(&mut line, name, path));
    }
    line
}

/// What a trace has come to.
pub(crate) fn trace(read: &TraceRead) -> Value {
    let events: Vec<_> = read.events.iter().map(trace_event).collect();
    json!({ "events": events, "dropped": read.dropped, "ended": read.ended })
}

/// A scenario, and what it did.
pub(crate) fn scenario(read: &RunRead) -> Value {
    json!({ "run": read.run, "events": read.events })
}

/// Adds a path's bytes to an object where text has lost some.
pub(crate) fn add_bytes(object: &mut Value, name: &str, path: &WirePath) {
    if let (Some(fields), Some(bytes)) = (object.as_object_mut(), path.base64()) {
        fields.insert(format!("{name}_base64"), bytes.into());
    }
}

/// Something that has a path.
fn with_path(of: &impl Serialize, path: &WirePath) -> Value {
    let mut object = json!(of);
    add_bytes(&mut object, "path", path);
    object
}
