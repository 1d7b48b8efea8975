//! Clearing faults, listing them and waiting for them.

use std::time::Duration;

use serde_json::json;

use super::counts::headline;
use super::render::{
    commands, ended_scenario, ended_table, fault_table, scenario, script, taken as lost,
};
use super::report::Report;
use super::values::Cleared;
use crate::fault::words;
use crate::rpc::{self, Client, ClientError, ListedFault, Run, objects};

/// What `slowfs list` shows.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) fault: Option<String>,
    pub(super) ended: bool,
    pub(super) commands: bool,
}

/// Clears all of it in one step, or nothing if a part of it is not there.
pub(super) fn clear(client: &mut Client, what: &[Cleared]) -> Result<Report, ClientError> {
    let all = |what: &Cleared| *what == Cleared::Method("all".to_owned());
    let is_all = what.is_empty() || what.iter().any(all);
    let words: Vec<String> = what.iter().map(|what| what.word().to_owned()).collect();
    let cleared = match client.clear(&words) {
        Err(unknown @ ClientError::UnknownCall { .. }) => {
            if is_all {
                client.clear_all_faults()?;
            } else {
                one_by_one(client, what, unknown)?;
            }
            None
        }
        other => Some(other?),
    };
    let named = (!is_all).then(|| words.join(","));
    let json = objects::cleared((!is_all).then_some(words.as_slice()), cleared.as_ref());
    let text = told(named.as_deref(), cleared.as_ref());
    let warnings = cleared.map(|cleared| cleared.warnings).unwrap_or_default();
    Ok(Report::new(text, json).with_warnings(warnings))
}

/// What has come of clearing that, or everything, as far as the server tells.
fn told(named: Option<&str>, cleared: Option<&rpc::Cleared>) -> String {
    let Some(rpc::Cleared { faults, released, taken, scenario, power, warnings }) = cleared else {
        return format!("cleared {}", named.unwrap_or("every fault"));
    };
    let ended = scenario.as_ref().map(|name| {
        format!("; scenario {} is ended, and what it had set is cleared", words::visible(name))
    });
    let power = power.as_ref().map(|power| format!("; {}", words::visible(power)));
    let ended = ended.into_iter().chain(power).collect::<String>();
    if faults.is_empty() && taken.is_empty() && *released == 0 {
        let none = match named {
            None => "no fault was set".to_owned(),
            Some(named) if warnings.is_empty() => format!("no fault on {named}"),
            Some(named) => format!("nothing cleared on {named}"),
        };
        return none + &ended;
    }
    let have = if faults.len() == 1 { "fault has" } else { "faults have" };
    format!(
        "cleared {}; {} {have} gone{}; released {released} held{ended}",
        named.unwrap_or("every fault"),
        faults.len(),
        lost(taken)
    )
}

/// By the calls of a slowfs before `clear` or, for methods alone, by charybdefs's. A server that has
/// neither does not know `clear`.
fn one_by_one(
    client: &mut Client,
    what: &[Cleared],
    unknown: ClientError,
) -> Result<(), ClientError> {
    let (mut methods, mut faults) = (Vec::new(), Vec::new());
    for what in what {
        match what {
            Cleared::Method(method) => methods.push(method.clone()),
            Cleared::Fault(fault) => faults.push(fault.as_str()),
        }
    }
    if !faults.is_empty() {
        let mut there = match client.list_faults() {
            Err(ClientError::UnknownCall { .. }) => return Err(unknown),
            there => there?,
        };
        // A spent one is still there for what it holds.
        there.extend(ended(client)?.into_iter().filter(|fault| fault.held > 0));
        let missing = faults.iter().find(|fault| !there.iter().any(|one| is_meant(one, fault)));
        missing.map_or(Ok(()), |fault| Err(no_fault(fault)))?;
    }
    // One that goes meanwhile, of itself or with its methods, is what was asked for.
    faults.iter().try_for_each(|fault| client.remove_fault(fault).map(drop))?;
    if methods.is_empty() {
        return Ok(());
    }
    match client.clear_methods(&methods) {
        Err(ClientError::UnknownCall { .. }) => {
            methods.iter().try_for_each(|method| client.clear_fault(method))
        }
        other => other,
    }
}

pub(super) fn list(client: &mut Client, addr: &str, shown: &Shown) -> Result<Report, ClientError> {
    if let Some(fault) = &shown.fault {
        let listed = find(client, fault)?;
        return Ok(listing(&[listed], addr, shown));
    }
    if shown.ended {
        return Ok(listing(&client.list_ended()?, addr, shown));
    }
    let (faults, warnings) = in_force(client)?;
    let report = listing(&faults, addr, shown).with_warnings(warnings);
    Ok(if shown.commands {
        report
    } else {
        with_scenario(report, objects::running(run(client)?).0)
    })
}

/// The scenario that runs, or the last that did.
fn run(client: &mut Client) -> Result<Option<Run>, ClientError> {
    match client.run_read(i64::MAX) {
        Err(ClientError::UnknownCall { .. }) => Ok(None),
        read => Ok(read?.run),
    }
}

fn with_scenario(mut report: Report, run: Option<Run>) -> Report {
    if let Some(run) = &run {
        report.text += &format!("\n{}", scenario(run));
    }
    report.json = objects::with_scenario(report.json, run.as_ref());
    report
}

/// How much goes on, and the faults in force.
pub(super) fn status(client: &mut Client) -> Result<Report, ClientError> {
    let (faults, warnings) = in_force(client)?;
    let stats = client.stats()?;
    let (running, last) = objects::running(run(client)?);
    let mut text = format!("{}\n{}", headline(&stats), fault_table(&faults));
    if let Some(last) = &last {
        text += &format!("\n{}", ended_scenario(last));
    }
    let json = objects::status(&stats, &faults, last.as_ref());
    Ok(with_scenario(Report::new(text, json).with_warnings(warnings), running))
}

/// The faults in force, and what is to be said of them and of those that have gone.
fn in_force(client: &mut Client) -> Result<(Vec<ListedFault>, Vec<String>), ClientError> {
    let faults = client.list_faults()?;
    let ended = ended(client)?;
    let warnings = objects::warnings_of(&faults, &ended);
    Ok((faults, warnings))
}

/// Those that have gone; none where that cannot be asked.
pub(super) fn ended(client: &mut Client) -> Result<Vec<ListedFault>, ClientError> {
    match client.list_ended() {
        Err(ClientError::UnknownCall { .. }) => Ok(Vec::new()),
        other => other,
    }
}

/// The fault of that name or id: one in force, else the newest that has gone.
fn find(client: &mut Client, name_or_id: &str) -> Result<ListedFault, ClientError> {
    let meant = |listed: &ListedFault| is_meant(listed, name_or_id);
    if let Some(found) = client.list_faults()?.into_iter().find(meant) {
        return Ok(found);
    }
    let found = client.list_ended()?.into_iter().rev().find(meant);
    found.ok_or_else(|| no_fault(name_or_id))
}

fn is_meant(listed: &ListedFault, name_or_id: &str) -> bool {
    listed.id.to_string() == name_or_id || listed.fault.name.as_deref() == Some(name_or_id)
}

fn no_fault(name_or_id: &str) -> ClientError {
    let why = format!("there is no fault {name_or_id}; `slowfs list` shows those there are");
    ClientError::Refused(why)
}

fn listing(faults: &[ListedFault], addr: &str, shown: &Shown) -> Report {
    if shown.commands {
        let commands = commands(faults, addr);
        return Report::script(script(faults, addr), json!({ "commands": commands }));
    }
    let gone = faults.iter().any(|fault| fault.why.is_some());
    let table = if gone || shown.ended { ended_table(faults) } else { fault_table(faults) };
    Report::new(table, if shown.ended { objects::ended(faults) } else { objects::faults(faults) })
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
        "held" => format!("fault {fault} has held {found} at once"),
        _ if found == 1 => format!("fault {fault} has fired once"),
        _ => format!("fault {fault} has fired {found} times"),
    };
    Ok(Report::new(text, json!({ what: found })))
}
