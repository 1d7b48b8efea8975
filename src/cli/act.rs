//! What the control commands do, and what they print.
//!
//! Each makes one call of slowfs's own interface per address, and falls back to charybdefs's plain
//! calls where the server knows no others. Invariant: what cannot be right is refused before
//! anything is sent (exit code 2); addresses are asked at once and reported in the order given, and
//! one that fails (1) stops no other one.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::control::{Control, Target};
use super::recipe::{self, Recipe};
use super::render::{
    ended_table, explain, fault_table, features, out_of_reach, past_cache, stats_table, still_holds,
};
use super::{original, output, watch};
use crate::rpc::{self, Client, ClientError, FaultSpec, MethodInfo};

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

/// What each address is asked for.
enum Call<'a> {
    Put(FaultSpec, bool),
    Follow(&'a Recipe),
    ClearId(i64),
    Clear(&'a [String]),
    ListEnded,
    List,
    Methods,
    Stats,
    Ping,
}

/// Runs the command on each of its addresses and prints what they answer.
#[must_use]
pub(super) fn run(command: &Control) -> ExitCode {
    let target = command.target();
    let call = match command {
        Control::Delay { .. }
        | Control::Hang { .. }
        | Control::Error { .. }
        | Control::Kill { .. } => match command.fault() {
            Some((spec, add)) => Call::Put(spec, add),
            None => return ExitCode::FAILURE,
        },
        Control::Recipe { recipe: Some(recipe), list: false, .. } => Call::Follow(recipe),
        Control::Recipe { .. } => {
            recipe::list();
            return ExitCode::SUCCESS;
        }
        Control::Clear { id: Some(id), .. } => Call::ClearId(*id),
        Control::Clear { id: None, methods, .. } => Call::Clear(methods),
        Control::List { ended: true, .. } => Call::ListEnded,
        Control::List { ended: false, .. } => Call::List,
        Control::Methods { .. } => Call::Methods,
        Control::Stats { .. } => Call::Stats,
        Control::Watch { interval, count, .. } => return watch::run(*interval, *count, target),
        Control::Ping { .. } => Call::Ping,
    };
    if let Call::Put(spec, _) = &call
        && let Err(reason) = rpc::fault(spec)
    {
        output::error(&reason);
        return ExitCode::from(2);
    }
    let ask = |addr: &str| {
        let mut client = Client::connect(addr, TIMEOUT).map_err(|e| e.to_string())?;
        act(&mut client, addr, &call)
    };
    let all_done = thread::scope(|scope| {
        let asked: Vec<_> =
            target.addr.iter().map(|addr| (addr, scope.spawn(|| ask(addr)))).collect();
        asked.into_iter().fold(true, |all_done, (addr, thread)| {
            let result = thread.join().unwrap_or_else(|_| Err("the command panicked".into()));
            let done = result.is_ok();
            print(addr, result, target);
            all_done && done
        })
    });
    if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
        Err(reason) => output::failed(addr, &reason),
    }
}

fn put(client: &mut Client, spec: &FaultSpec, add: bool) -> Result<Report, String> {
    match client.put_fault(spec, add) {
        Ok(id) => {
            let text = format!("fault {id}: {}", spec.describe());
            let warnings = match client.list_faults() {
                Ok(set) => out_of_reach(set.iter().filter(|f| f.id == id)),
                Err(error) => {
                    vec![format!("fault {id} is set; what it reaches is not known: {error}")]
                }
            };
            let report = Report::new(text, json!({ "id": id, "fault": spec }));
            Ok(Report { warnings, ..report })
        }
        Err(ClientError::UnknownCall { .. }) => {
            let warnings = original::put(client, spec, add)?;
            let text = format!("set, by charybdefs's plain calls: {}", spec.describe());
            Ok(Report { warnings, ..Report::new(text, json!({ "id": null, "fault": spec })) })
        }
        Err(e) => Err(e.to_string()),
    }
}

fn act(client: &mut Client, addr: &str, call: &Call<'_>) -> Result<Report, String> {
    let done = match call {
        Call::Put(spec, add) => return put(client, spec, *add),
        Call::Follow(recipe) => return follow(client, recipe),
        Call::ClearId(id) => clear_id(client, *id),
        Call::Clear(methods) => clear(client, methods),
        Call::ListEnded => client
            .list_ended()
            .map(|ended| Report::new(ended_table(&ended), json!({ "ended": ended }))),
        Call::List => list(client),
        Call::Methods => methods(client),
        Call::Stats => client.stats().map(|stats| Report::new(stats_table(&stats), json!(stats))),
        Call::Ping => ping(client),
    };
    done.map_err(|e| explain(addr, e))
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

fn list(client: &mut Client) -> Result<Report, ClientError> {
    let faults = client.list_faults()?;
    let ended = match client.list_ended() {
        Err(ClientError::UnknownCall { .. }) => Vec::new(),
        other => other?,
    };
    let report = Report::new(fault_table(&faults), json!({ "faults": faults }));
    let left = ended.iter().flat_map(|fault| [still_holds(fault), past_cache(fault)]);
    let warnings = out_of_reach(&faults).into_iter().chain(left.flatten());
    Ok(Report { warnings: warnings.collect(), ..report })
}

fn methods(client: &mut Client) -> Result<Report, ClientError> {
    let methods = match client.list_methods() {
        Err(ClientError::UnknownCall { .. }) => {
            let plain = |name| MethodInfo { name, obstacle: None, out_of_reach: None };
            client.get_methods()?.into_iter().map(plain).collect()
        }
        other => other?,
    };
    let rows = methods.iter().map(|m| {
        let missed = || m.out_of_reach.as_ref().map(|files| format!("does not reach {files}"));
        let note = m.obstacle.as_ref().map(|o| format!("cannot fire here: {o}")).or_else(missed);
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
    let features = if info.threads > 0 { features(&info) } else { String::new() };
    Ok(Report::new(text + &features, json!(info)))
}
