//! Faults over HTTP: told, set, waited for and cleared. No locks.

use std::time::Duration;

use serde_json::json;

use super::answer::{Answer, Refused, Status};
use super::asked::{Asked, time};
use super::given;
use crate::fault::words::FaultWords;
use crate::fault::{FaultId, FaultRef};
use crate::rpc::dialect::Wait;
use crate::rpc::handler::Handler;
use crate::rpc::objects;
use crate::rpc::records::{ListedFault, Put};

/// How long a `wait` takes if nothing is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those in force, and what is to be said of them.
pub(super) fn in_force(handler: &Handler) -> (Vec<ListedFault>, Vec<String>) {
    let faults = handler.faults();
    let warnings = objects::warnings_of(&faults, &handler.ended());
    (faults, warnings)
}

pub(super) fn told(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let (faults, warnings) = in_force(asked.handler);
    let (running, _) = objects::running(asked.handler.run_read(i64::MAX).run);
    let object = objects::with_scenario(objects::faults(&faults), running.as_ref());
    Ok(Answer::object(object, &warnings))
}

/// These in one step, as `slowfs apply` has a file of them; nothing else, unless that is to stay.
pub(super) fn apply(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let (faults, prune) = given::set(&asked.json()?)?;
    let applied = asked.handler.apply(asked.peer.addr, &faults, prune)?;
    let warnings: Vec<_> = applied.faults.iter().flat_map(objects::put_warnings).collect();
    let faults: Vec<_> = faults.iter().map(whole).collect();
    Ok(Answer::object(objects::applied(&applied, &faults), &warnings))
}

/// One, as its command does.
pub(super) fn set(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let (fault, add) = given::fault(&asked.json()?)?;
    put(asked, &fault, add)
}

/// One, under the name that the path says.
pub(super) fn set_named(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let (mut words, add) = given::fault(&asked.json()?)?;
    let name = asked.about;
    if words.name.as_ref().is_some_and(|own| own != name) {
        let why = format!("the fault has another name than {name}, which the path says");
        return Err(Refused::bad(why));
    }
    words.name = Some(name.to_owned());
    put(asked, &words, add)
}

fn put(asked: &Asked<'_>, fault: &FaultWords, add: bool) -> Result<Answer, Refused> {
    let put: Put = asked.handler.put(asked.peer.addr, fault, add)?;
    Ok(Answer::object(objects::put(&put, &whole(fault)), &objects::put_warnings(&put)))
}

/// One that has been set, as it is listed, however it was given.
fn whole(fault: &FaultWords) -> FaultWords {
    fault.fault().map_or_else(|_| fault.clone(), |set| FaultWords::whole(&set))
}

pub(super) fn told_one(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let found = listed(asked.handler, asked.about)?;
    Ok(Answer::object(objects::faults(&[found]), &[]))
}

/// The fault of that name or id: one in force, else the newest that has gone.
fn listed(handler: &Handler, fault: &str) -> Result<ListedFault, Refused> {
    let meant = FaultRef::new(fault);
    let is_meant = |listed: &ListedFault| {
        meant.is(FaultId(listed.id.unsigned_abs()), listed.fault.name.as_deref())
    };
    let in_force = handler.faults().into_iter().find(is_meant);
    let found = in_force.or_else(|| handler.ended().into_iter().rev().find(is_meant));
    found.ok_or_else(|| Refused::new(Status::Missing, handler.missing(fault)))
}

pub(super) fn clear_all(asked: &Asked<'_>) -> Result<Answer, Refused> {
    clear(asked, &[])
}

pub(super) fn clear_one(asked: &Asked<'_>) -> Result<Answer, Refused> {
    clear(asked, &[asked.about.to_owned()])
}

fn clear(asked: &Asked<'_>, what: &[String]) -> Result<Answer, Refused> {
    let cleared = asked.handler.clear(asked.peer.addr, what).map_err(|refusal| Refused {
        // It is refused for what is not there only.
        status: Status::Missing,
        ..refusal.into()
    })?;
    let named = (!what.is_empty()).then_some(what);
    Ok(Answer::object(objects::cleared(named, Some(&cleared)), &cleared.warnings))
}

/// `?fired=N` or `?held=N`, and `&timeout=10s`.
pub(super) fn wait(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let given = |name| asked.number(name, 1..=i64::MAX);
    let (what, n) = match (given("fired")?, given("held")?) {
        (Some(n), None) => ("fired", n),
        (None, Some(n)) => ("held", n),
        _ => return Err(Refused::bad("say what to wait for: ?fired=N or ?held=N")),
    };
    let timeout = asked.query("timeout").map(|text| time("timeout", text));
    let timeout = timeout.transpose()?.unwrap_or(PATIENCE);
    listed(asked.handler, asked.about)?;
    let timeout_ns = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
    let (name_or_id, what_text) = (asked.about.to_owned(), what.to_owned());
    let wait = Wait { name_or_id, what: what_text, n, timeout_ns };
    let found = asked.handler.wait(&wait, asked.peer.waits);
    let found = found.map_err(|refusal| Refused { status: Status::NotYet, ..refusal.into() })?;
    Ok(Answer::object(json!({ what: found }), &[]))
}
