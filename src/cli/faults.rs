//! Clearing faults, listing them and waiting for them.

use std::time::Duration;

use serde_json::json;

use super::render::{commands, ended_table, fault_table, past_cache, still_holds, warnings};
use super::report::Report;
use super::values::Cleared;
use crate::fault::suggest::closest;
use crate::ops::Method;
use crate::rpc::{Client, ClientError, ListedFault};

/// What `slowfs list` shows.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) fault: Option<String>,
    pub(super) ended: bool,
    pub(super) commands: bool,
}

pub(super) fn clear(client: &mut Client, what: &[Cleared]) -> Result<Report, ClientError> {
    let all = |what: &Cleared| *what == Cleared::Method("all".to_owned());
    if what.is_empty() || what.iter().any(all) {
        client.clear_all_faults()?;
        return Ok(Report::new("cleared every fault", json!({ "cleared": "all" })));
    }
    let (mut methods, mut faults) = (Vec::new(), Vec::new());
    for what in what {
        match what {
            Cleared::Method(method) => methods.push(method.clone()),
            Cleared::Fault(fault) => faults.push(fault.clone()),
        }
    }
    if !methods.is_empty() {
        clear_methods(client, &methods)?;
    }
    let mut missing = Vec::new();
    for fault in &faults {
        if !client.remove_fault(fault)? {
            missing.push(format!("there is no fault {fault}{}", hint(fault)));
        }
    }
    if !missing.is_empty() {
        let missing = missing.join("; ");
        return Err(ClientError::Refused(format!(
            "{missing}; `slowfs list` shows those there are"
        )));
    }
    methods.extend(faults);
    Ok(Report::new(format!("cleared {}", methods.join(",")), json!({ "cleared": methods })))
}

/// A word that is neither method nor fault may have been meant for a method.
fn hint(word: &str) -> String {
    let near = closest(word, Method::all().map(Method::name));
    near.map(|near| format!(" (did you mean the method {near}?)")).unwrap_or_default()
}

fn clear_methods(client: &mut Client, methods: &[String]) -> Result<(), ClientError> {
    match client.clear_methods(methods) {
        Err(ClientError::UnknownCall { .. }) => {
            methods.iter().try_for_each(|m| client.clear_fault(m))
        }
        other => other,
    }
}

pub(super) fn list(client: &mut Client, addr: &str, shown: &Shown) -> Result<Report, ClientError> {
    if let Some(fault) = &shown.fault {
        let listed = find(client, fault)?;
        return Ok(listing(&[listed], addr, shown, "faults"));
    }
    if shown.ended {
        return Ok(listing(&client.list_ended()?, addr, shown, "ended"));
    }
    let faults = client.list_faults()?;
    let ended = match client.list_ended() {
        Err(ClientError::UnknownCall { .. }) => Vec::new(),
        other => other?,
    };
    let left = ended.iter().flat_map(|fault| [still_holds(fault), past_cache(fault)]);
    let warnings = warnings(&faults).into_iter().chain(left.flatten()).collect();
    Ok(listing(&faults, addr, shown, "faults").with_warnings(warnings))
}

/// The fault of that name or id: one in force, else the newest that has gone.
fn find(client: &mut Client, name_or_id: &str) -> Result<ListedFault, ClientError> {
    let is_meant = |listed: &ListedFault| {
        listed.id.to_string() == name_or_id || listed.fault.name.as_deref() == Some(name_or_id)
    };
    if let Some(found) = client.list_faults()?.into_iter().find(is_meant) {
        return Ok(found);
    }
    let found = client.list_ended()?.into_iter().rev().find(is_meant);
    found.ok_or_else(|| {
        let why = format!("there is no fault {name_or_id}; `slowfs list` shows those there are");
        ClientError::Refused(why)
    })
}

fn listing(faults: &[ListedFault], addr: &str, shown: &Shown, field: &str) -> Report {
    if shown.commands {
        let commands = commands(faults, addr);
        return Report::new(commands.join("\n"), json!({ "commands": commands }));
    }
    let gone = faults.iter().any(|fault| fault.why.is_some());
    let table = if gone || shown.ended { ended_table(faults) } else { fault_table(faults) };
    Report::new(table, json!({ field: faults }))
}

pub(super) fn wait(
    client: &mut Client,
    fault: &str,
    what: &'static str,
    n: i64,
    timeout: Duration,
) -> Result<Report, ClientError> {
    let found = client.wait(fault, what, n, timeout)?;
    let text = match what {
        "held" => format!("fault {fault} holds {found}"),
        _ => format!("fault {fault} has fired {found} times"),
    };
    Ok(Report::new(text, json!({ what: found })))
}
