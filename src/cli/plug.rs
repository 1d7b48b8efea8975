//! `slowfs power-cut --now` and `slowfs power-on`: the power of one mount or of several is cut at one moment. All
//! are prepared first, so that either all are cut or none. No locks.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::at_once;
use super::power::counted;
use super::render::explain;
use super::report::{self, Report, print};
use super::target::Target;
use super::tracking::CutArgs;
use super::whom;
use crate::rpc::{Client, ClientError, CutNow, Info, PowerLoss, signed};

/// How long to wait for a connection, and for each answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long requests of a mount that is ready wait for the others at most.
const STAYS: Duration = Duration::from_secs(20);

/// A mount that answers, and which one it is.
struct Reached<'a> {
    addr: &'a str,
    client: Client,
    info: Option<Info>,
}

/// What is said of a mount beside one that cannot be cut.
const NOT_CUT: &str = "not cut, as another mount cannot be";

/// A mount whose requests wait, and by which ticket.
struct Ready {
    client: Client,
    ticket: i64,
}

/// Cuts the power of all of them, or of none.
pub(super) fn cut(args: &CutArgs, target: &Target) -> ExitCode {
    let reached = at_once::each(&*target.addr, |addr| reach(addr, target));
    if let Some(why) = twice(&reached) {
        report::nobody(&why, target);
        return ExitCode::FAILURE;
    }
    // Nobody's requests wait for a mount that does not answer.
    let all_reached = reached.iter().all(Result::is_ok);
    let prepared = at_once::each(reached, |reached| match (reached, all_reached) {
        (Ok(_), false) => Err(NOT_CUT.to_owned()),
        (reached, _) => prepare(reached?),
    });
    let is_ready = prepared.iter().all(Result::is_ok);
    // The same dice for all, so that one number repeats it.
    let seed = args.seed.unwrap_or_else(rand::random);
    let each: Vec<_> = target.addr.iter().zip(prepared).collect();
    let done = at_once::each(each, |(addr, prepared)| {
        let Ready { mut client, ticket } = prepared?;
        let client = &mut client;
        if !is_ready {
            let gone_on = client.power_abort(ticket).map_err(|e| explain(addr, e));
            return Err(match gone_on {
                Ok(_) => NOT_CUT.to_owned(),
                Err(why) => format!("{NOT_CUT}; requests wait on: {why}"),
            });
        }
        let CutArgs { keep, unit, stay_off, kill, .. } = args;
        let cut = CutNow {
            ticket,
            keep: keep.to_string(),
            unit: signed(unit.bytes()),
            seed: seed.to_string(),
            stay_off: *stay_off,
            kill: *kill,
            client: std::process::id().into(),
        };
        client.power_commit(&cut).map(|loss| told(&loss)).map_err(|e| explain(addr, e))
    });
    let all_done = done.iter().all(Result::is_ok);
    target.addr.iter().zip(done).for_each(|(addr, done)| print(addr, done, target));
    if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Has one mount on again.
pub(super) fn on(client: &mut Client) -> Result<Report, ClientError> {
    let was_off = client.power_on()?;
    let text = if was_off { "the power is on again" } else { "the power was on already" };
    Ok(Report::new(text, json!({ "was_off": was_off })))
}

fn reach<'a>(addr: &'a str, target: &Target) -> Result<Reached<'a>, String> {
    let mut client = whom::reach(addr, &target.origin, TIMEOUT)?;
    let info = match client.info() {
        Err(error @ ClientError::Lost { .. }) => return Err(explain(addr, error)),
        // Who cannot tell has no power to be cut either.
        told => told.ok(),
    };
    Ok(Reached { addr, client, info })
}

/// That two addresses are of one mount, if so: the second would find that it is being cut already.
fn twice(reached: &[Result<Reached<'_>, String>]) -> Option<String> {
    let known = reached.iter().flatten();
    let known: Vec<_> = known.filter_map(|one| Some((one.addr, one.info.as_ref()?))).collect();
    let which = |info: &Info| (info.pid, info.started_unix_ms, info.mountpoint.clone());
    let before = |n: usize| known.iter().take(n).map(|(addr, info)| (*addr, which(info)));
    let (first, (addr, info)) = known.iter().enumerate().find_map(|(n, (addr, info))| {
        let (first, _) = before(n).find(|(_, other)| *other == which(info))?;
        Some((first, (*addr, info)))
    })?;
    let mountpoint = info.mountpoint.0.display();
    Some(match first == addr {
        true => format!("{addr} is named twice: name each mount once; nothing is cut"),
        false => format!(
            "{first} and {addr} are one mount, {mountpoint}: name each once; nothing is cut"
        ),
    })
}

fn prepare(Reached { addr, mut client, .. }: Reached<'_>) -> Result<Ready, String> {
    let ticket = client.power_prepare(STAYS).map_err(|e| explain(addr, e))?;
    Ok(Ready { client, ticket })
}

fn told(loss: &PowerLoss) -> Report {
    let PowerLoss { keep, seed, entries, dropped, reverted, killed, off, .. } = loss;
    let dice = if keep == "random" { format!(" (seed {seed})") } else { String::new() };
    let off = if *off { "; it is off until `slowfs power-on`" } else { "" };
    let killed: Vec<String> = killed.iter().map(i64::to_string).collect();
    let killed = match killed.is_empty() {
        true => String::new(),
        false => format!("; killed {}", killed.join(", ")),
    };
    let text = format!(
        "the power was cut: keeps {keep}{dice} of {}; {} undone, {} with other content{killed}{off}",
        counted(*entries, "entry", "entries"),
        counted(*dropped, "change", "changes"),
        counted(*reverted, "file", "files"),
    );
    Report::new(text, json!(loss))
}
