//! What the control commands do, and what they print.
//!
//! Each makes one call of slowfs's own interface per address, and falls back to charybdefs's plain
//! calls where the server knows no others. Invariant: what cannot be right is refused before
//! anything is sent (exit code 2); an address that fails (1) stops no other one.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::control::{Control, Target, fault_of};
use super::recipe::{self, Recipe};
use super::{original, output};
use crate::ops::Method;
use crate::rpc::{self, Client, ClientError, FaultSpec, ListedFault, MethodInfo};

/// How long to wait for a connection, and for each answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What one address answered: the same for people and for programs.
struct Report {
    text: String,
    json: Value,
    warnings: Vec<String>,
}

impl Report {
    fn new(text: impl Into<String>, json: Value) -> Report {
        Report { text: text.into(), json, warnings: Vec::new() }
    }
}

/// Runs the command on each of its addresses and prints what they answer.
#[must_use]
pub fn run(command: &Control) -> ExitCode {
    let target = command.target();
    if let Control::Recipe { list: true, .. } = command {
        recipe::list();
        return ExitCode::SUCCESS;
    }
    let fault = fault_of(command);
    if let Some(Err(reason)) = fault.as_ref().map(|(spec, _)| rpc::fault(spec)) {
        output::error(&reason);
        return ExitCode::from(2);
    }
    let mut code = ExitCode::SUCCESS;
    for addr in &target.addr {
        let result =
            Client::connect(addr, TIMEOUT).map_err(|e| e.to_string()).and_then(|mut client| {
                match &fault {
                    Some((spec, add)) => put(&mut client, spec, *add),
                    None => act(&mut client, addr, command),
                }
            });
        if result.is_err() {
            code = ExitCode::FAILURE;
        }
        print(addr, result, target);
    }
    code
}

fn print(addr: &str, result: Result<Report, String>, target: &Target) {
    let several = target.addr.len() > 1;
    let mut object = match &result {
        Ok(report) => report.json.clone(),
        Err(reason) => json!({ "error": reason }),
    };
    if let Value::Object(fields) = &mut object {
        fields.insert("addr".into(), addr.into());
        fields.insert("ok".into(), result.is_ok().into());
        if let Ok(Report { warnings, .. }) = &result {
            fields.insert("warnings".into(), warnings.as_slice().into());
        }
    }
    match result {
        _ if target.json => output::out(&object.to_string()),
        Ok(report) => {
            for warning in &report.warnings {
                output::warning(&format!("{addr}: {warning}"));
            }
            output::out(&match (several, report.text.contains('\n')) {
                (false, _) => report.text,
                (true, false) => format!("{addr}: {}", report.text),
                (true, true) => format!("{addr}:\n{}", report.text),
            });
        }
        Err(reason) if reason.contains(addr) => output::error(&reason),
        Err(reason) => output::error(&format!("{addr}: {reason}")),
    }
}

fn put(client: &mut Client, spec: &FaultSpec, add: bool) -> Result<Report, String> {
    match client.put_fault(spec, add) {
        Ok(id) => Ok(Report::new(
            format!("fault {id}: {}", spec.describe()),
            json!({ "id": id, "fault": spec }),
        )),
        Err(ClientError::UnknownCall { .. }) => {
            let warnings = original::put(client, spec, add)?;
            let text = format!("set, by charybdefs's plain calls: {}", spec.describe());
            Ok(Report { warnings, ..Report::new(text, json!({ "id": null, "fault": spec })) })
        }
        Err(e) => Err(e.to_string()),
    }
}

fn act(client: &mut Client, addr: &str, command: &Control) -> Result<Report, String> {
    let done = match command {
        Control::Recipe { recipe: Some(recipe), .. } => return follow(client, recipe),
        Control::Clear { id: Some(id), .. } => clear_id(client, *id),
        Control::Clear { methods, .. } => clear(client, methods),
        Control::List { .. } => client
            .list_faults()
            .map(|faults| Report::new(fault_table(&faults), json!({ "faults": faults }))),
        Control::Methods { .. } => methods(client),
        _ => ping(client),
    };
    done.map_err(|e| match e {
        ClientError::UnknownCall { .. } => {
            format!("{addr} is not slowfs but charybdefs, which has no call for that")
        }
        e => e.to_string(),
    })
}

/// Whatever was set before is gone, also if the recipe's own fault cannot be set.
fn follow(client: &mut Client, recipe: &Recipe) -> Result<Report, String> {
    let cleared = clear(client, &[]).map_err(|e| e.to_string())?;
    recipe.fault().map_or(Ok(cleared), |spec| put(client, &spec, false))
}

fn clear_id(client: &mut Client, id: i64) -> Result<Report, ClientError> {
    if client.remove_fault(id)? {
        return Ok(Report::new(format!("cleared fault {id}"), json!({ "cleared": id })));
    }
    Err(ClientError::Refused(format!(
        "there is no fault {id}; `slowfs list` shows those there are"
    )))
}

fn clear(client: &mut Client, methods: &[String]) -> Result<Report, ClientError> {
    if methods.is_empty() || methods.iter().any(|m| m == "all") {
        client.clear_all_faults()?;
        return Ok(Report::new("cleared every fault", json!({ "cleared": "all" })));
    }
    match client.clear_methods(methods) {
        Err(ClientError::UnknownCall { .. }) => {
            methods.iter().try_for_each(|m| client.clear_fault(m))?;
        }
        other => other?,
    }
    Ok(Report::new(format!("cleared {}", methods.join(",")), json!({ "cleared": methods })))
}

fn methods(client: &mut Client) -> Result<Report, ClientError> {
    let methods = match client.list_methods() {
        Err(ClientError::UnknownCall { .. }) => {
            let plain = |name| MethodInfo { name, obstacle: None };
            client.get_methods()?.into_iter().map(plain).collect()
        }
        other => other?,
    };
    let rows = methods.iter().map(|m| {
        let note = m.obstacle.as_ref().map(|o| format!("cannot fire here: {o}"));
        [m.name.clone(), note.unwrap_or_default()]
    });
    let text = output::table(["METHOD", ""], &[], rows.collect());
    Ok(Report::new(text, json!({ "methods": methods })))
}

fn ping(client: &mut Client) -> Result<Report, ClientError> {
    let info = match client.info() {
        Err(ClientError::UnknownCall { .. }) => {
            let known = client.get_methods()?.len();
            let text = format!("charybdefs answers, with {known} methods");
            return Ok(Report::new(text, json!({ "version": null })));
        }
        other => other?,
    };
    let started = Duration::from_millis(info.started_unix_ms.unsigned_abs());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let up = Duration::from_secs(now.saturating_sub(started).as_secs());
    let text = format!(
        "slowfs {} mirrors {} at {}, pid {}, up {}, {} fault{}",
        info.version,
        info.backing,
        info.mountpoint,
        info.pid,
        humantime::format_duration(up),
        info.faults,
        if info.faults == 1 { "" } else { "s" },
    );
    Ok(Report::new(text, json!(info)))
}

fn fault_table(faults: &[ListedFault]) -> String {
    if faults.is_empty() {
        return "no faults".to_owned();
    }
    let rows = faults.iter().map(|f| {
        let path = if f.fault.pattern.is_empty() { "any" } else { &f.fault.pattern };
        [
            f.id.to_string(),
            f.fault.effect(),
            f.fault.percent(),
            f.matched.to_string(),
            f.fired.to_string(),
            f.held.to_string(),
            limits(f),
            method_list(&f.fault.methods),
            path.escape_debug().to_string().replace("\\\\", "\\"),
        ]
    });
    let headers = ["ID", "FAULT", "PROB", "MATCHED", "FIRED", "HELD", "LIMITS", "METHODS", "PATH"];
    output::table(headers, &[0, 2, 3, 4, 5], rows.collect())
}

/// Names of methods, the shorter way round.
fn method_list(names: &[String]) -> String {
    if names.len() <= Method::COUNT / 2 {
        return names.join(",");
    }
    let others = Method::all().map(Method::name).filter(|m| names.iter().all(|n| n != m));
    format!("all but {}", others.collect::<Vec<_>>().join(","))
}

/// What ends or delays the fault: `after 5, 3 of 10 left, 1m 2s left`.
fn limits(fault: &ListedFault) -> String {
    let mut text = String::new();
    if fault.fault.after > 0 {
        let _ = write!(text, "after {}", fault.fault.after);
    }
    if let Some(count) = fault.fault.count {
        let comma = if text.is_empty() { "" } else { ", " };
        let left = count.saturating_sub(fault.fired).max(0);
        let _ = write!(text, "{comma}{left} of {count} left");
    }
    if let Some(ns) = fault.expires_in_ns {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{} left", rpc::duration(ns / 1_000_000 * 1_000_000));
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_methods_are_listed_the_shorter_way_round() {
        let most: Vec<_> = Method::all().map(|m| m.name().to_owned()).skip(2).collect();
        assert_eq!(method_list(&most), "all but access,bmap");
        assert_eq!(method_list(&["read".into(), "write".into()]), "read,write");
    }
}
