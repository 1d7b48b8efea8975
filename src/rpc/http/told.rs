//! What is told over HTTP, and changes nothing. No locks.

use std::time::Instant;

use serde_json::json;

use super::answer::{Answer, Refused, Status};
use super::asked::Asked;
use super::{faults, metrics, page};
use crate::rpc::injections::MOST as MOST_INJECTIONS;
use crate::rpc::matching::MOST as MOST_PATHS;
use crate::rpc::objects;
use crate::rpc::records::KindInfo;
use crate::rpc::trace::MOST as MOST_EVENTS;
use crate::rpc::values::WirePath;

/// How many paths of a match are told if nothing is said.
const USUAL_PATHS: i64 = 100;

pub(super) fn page(_: &Asked<'_>) -> Result<Answer, Refused> {
    Ok(page::answer())
}

pub(super) fn metrics(asked: &Asked<'_>) -> Result<Answer, Refused> {
    Ok(Answer::new(Status::Done, metrics::TYPE, metrics::page(asked.handler)))
}

/// Whether the mount answers, through the kernel.
pub(super) fn health(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let began = Instant::now();
    let looked = asked.handler.config.health.get().map_or(Ok(()), |health| health.look());
    looked.map_err(|why| Refused::new(Status::Unwell, why))?;
    let took = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
    Ok(Answer::object(json!({ "took_ns": took }), &[]))
}

pub(super) fn info(asked: &Asked<'_>) -> Result<Answer, Refused> {
    Ok(Answer::object(objects::info(&asked.handler.info()), &[]))
}

pub(super) fn status(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let (faults, warnings) = faults::in_force(asked.handler);
    let (running, last) = objects::running(asked.handler.run_read(i64::MAX).run);
    let object = objects::status(&asked.handler.statistics(), &faults, last.as_ref());
    Ok(Answer::object(objects::with_scenario(object, running.as_ref()), &warnings))
}

pub(super) fn stats(asked: &Asked<'_>) -> Result<Answer, Refused> {
    Ok(Answer::object(json!(asked.handler.statistics()), &[]))
}

pub(super) fn ended(asked: &Asked<'_>) -> Result<Answer, Refused> {
    Ok(Answer::object(objects::ended(&asked.handler.ended()), &[]))
}

pub(super) fn methods(asked: &Asked<'_>) -> Result<Answer, Refused> {
    Ok(Answer::object(objects::methods(&asked.handler.methods()), &[]))
}

pub(super) fn kinds(_: &Asked<'_>) -> Result<Answer, Refused> {
    Ok(Answer::object(objects::kinds(&KindInfo::all()), &[]))
}

/// `?path=PATH`: what it meets; `?regex=REGEX`: what it matches, `&below=PATH&most=N`.
pub(super) fn matches(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let path = |name| WirePath(asked.query(name).unwrap_or_default().into());
    let most = asked.number("most", 0..=MOST_PATHS)?.unwrap_or(USUAL_PATHS);
    match (asked.query("path"), asked.query("regex")) {
        (Some(_), None) => {
            let met = asked.handler.match_path(&path("path"))?;
            Ok(Answer::object(objects::met(&met), &objects::warnings(&met.faults)))
        }
        (None, Some(regex)) => {
            let wanted = (&path("below"), most);
            let found = asked.handler.match_files(regex, wanted, asked.peer.waits)?;
            Ok(Answer::object(objects::matched(&found), &objects::search_warnings(&found)))
        }
        _ => Err(Refused::bad("say what to look for: ?path=PATH or ?regex=REGEX")),
    }
}

/// Those after `?after=ID`, `&most=N` at most.
pub(super) fn injections(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let after = asked.number("after", 0..=i64::MAX)?.unwrap_or_default();
    let most = asked.number("most", 0..=MOST_INJECTIONS)?.unwrap_or(MOST_INJECTIONS);
    let found = asked.handler.injections(after, most);
    Ok(Answer::object(objects::injections(&found), &[]))
}

/// What a power cut could take back now.
pub(super) fn unsynced(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let found = asked.handler.unsynced()?;
    Ok(Answer::object(objects::unsynced(&found), &objects::unsynced_warnings(&found)))
}

/// What this connection's trace has told of after `?after=SEQ`, `&most=N` at most.
pub(super) fn trace(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let after = asked.number("after", 0..=i64::MAX)?.unwrap_or_default();
    let most = asked.number("most", 0..=MOST_EVENTS)?.unwrap_or(MOST_EVENTS);
    let read = asked.handler.trace_read(asked.peer.addr, after, most)?;
    Ok(Answer::object(objects::trace(&read), &[]))
}

/// The scenario that runs or has run, and what it did after `?after=SEQ`.
pub(super) fn scenario(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let after = asked.number("after", 0..=i64::MAX)?.unwrap_or_default();
    Ok(Answer::object(objects::scenario(&asked.handler.run_read(after)), &[]))
}
