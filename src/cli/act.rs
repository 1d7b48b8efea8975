//! What the control commands do.
//!
//! Each makes one call of slowfs's own interface per address, and falls back to charybdefs's plain
//! calls where the server knows no others. Invariant: what cannot be right is refused before
//! anything is sent (exit code 2); addresses are asked at once and reported in the order given, and
//! one that fails (1) stops no other one.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::apply::{self, file::FaultFile};
use super::control::{Control, MatchArgs};
use super::counts::stats_table;
use super::faults::{self, Shown};
use super::kind::SetFault;
use super::recipe::{self, Recipe};
use super::render::{explain, features};
use super::report::{self, Report, print};
use super::target::Target;
use super::tracking::CutArgs;
use super::values::Cleared;
use super::whom::{Meant, is_bare_mountpoint};
use super::{
    injections, kinds, matching, output, plug, power, record, scenario, set, trace, watch, whom,
};
use crate::fault::injections::RotWords;
use crate::fault::words::{FaultWords, visible};
use crate::rpc::{Client, ClientError, MethodInfo, objects};

/// How long to wait for a connection, and for each answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What each address is asked for.
enum Call<'a> {
    Put(&'a FaultWords, bool),
    Follow(&'a Recipe),
    Apply(&'a FaultFile, bool),
    Clear(&'a [Cleared]),
    List(Shown),
    Status,
    Wait { fault: &'a str, what: &'static str, n: i64, timeout: Duration },
    Methods,
    Stats,
    Match(&'a MatchArgs),
    Injections,
    Heal(&'a [i64]),
    Rot(RotWords),
    Unsynced,
    Checkpoint,
    PowerCut(&'a CutArgs),
    PowerOn,
    Ping,
}

impl Call<'_> {
    /// The words that name methods and faults.
    fn named(&self) -> impl Iterator<Item = &str> {
        let (cleared, fault) = match self {
            Call::Clear(what) => (*what, None),
            Call::List(Shown { fault, .. }) => (&[][..], fault.as_deref()),
            Call::Wait { fault, .. } => (&[][..], Some(*fault)),
            Call::Put(..)
            | Call::Follow(_)
            | Call::Apply(..)
            | Call::Status
            | Call::Methods
            | Call::Stats
            | Call::Match(_)
            | Call::Injections
            | Call::Heal(_)
            | Call::Rot(_)
            | Call::Unsynced
            | Call::Checkpoint
            | Call::PowerCut(_)
            | Call::PowerOn
            | Call::Ping => (&[][..], None),
        };
        cleared.iter().map(Cleared::word).chain(fault)
    }
}

/// Sets the fault on each of its addresses and prints what they answer.
#[must_use]
pub(super) fn set(SetFault { fault, add, target }: &SetFault) -> ExitCode {
    of(target, |target| ask(&Call::Put(fault, *add), target))
}

/// Runs the command on each of its addresses and prints what they answer.
#[must_use]
pub(super) fn run(command: &Control) -> ExitCode {
    let asked = |call: Call<'_>, target| of(target, |target| ask(&call, target));
    match command {
        Control::Recipe { recipe: Some(recipe), list: false, target } => {
            asked(Call::Follow(recipe), target)
        }
        Control::Recipe { target, .. } => show(Ok(recipe::list(target.json))),
        Control::Apply { args, target } => match args.read() {
            Ok(file) => asked(Call::Apply(&file, args.prune), &args.target(target)),
            Err(wrong) => {
                wrong.iter().for_each(|why| output::error(why));
                ExitCode::from(2)
            }
        },
        Control::Clear { what, target } | Control::Remove { what, target } => {
            asked(Call::Clear(&what.all()), target)
        }
        Control::Reset { target } => asked(Call::Clear(&[]), target),
        Control::List { fault, ended, commands, target } => {
            let (fault, ended, commands) = (fault.clone(), *ended, *commands);
            asked(Call::List(Shown { fault, ended, commands }), target)
        }
        Control::Status { target } => asked(Call::Status, target),
        Control::Wait { fault, fired, held, timeout, target } => {
            let (what, n) = match (fired, held) {
                (Some(n), _) => ("fired", *n),
                (None, n) => ("held", n.unwrap_or(1)),
            };
            asked(Call::Wait { fault, what, n, timeout: *timeout }, target)
        }
        Control::Kinds { kind: Some(kind), file: Some(file), .. } => {
            show(kinds::file(kind, file).map(str::to_owned))
        }
        Control::Kinds { kind, markdown: false, json: false, .. } => {
            show(Ok(kinds::shown(kind.as_ref())))
        }
        Control::Kinds { kind, json: true, .. } => show(Ok(kinds::json(kind.as_ref()))),
        Control::Kinds { .. } => show(Ok(kinds::reference())),
        Control::Methods { target } => asked(Call::Methods, target),
        Control::Stats { target } => asked(Call::Stats, target),
        Control::Watch { interval, count, target } => {
            of(target, |target| watch::run(*interval, *count, target))
        }
        Control::Trace { trace: args, target } => of(target, |target| trace::run(args, target)),
        Control::Record { record, target } => record::run(record, target),
        Control::Match { args, target } => {
            let meant = matching::addresses(args, target);
            of_those(meant, target, |target| ask(&Call::Match(args), target))
        }
        Control::Run { args, target } => scenario::run(args, target),
        Control::Injections { target } => asked(Call::Injections, target),
        Control::Heal { ids, target, .. } => asked(Call::Heal(ids), target),
        Control::Rot { rot, target } => match injections::rot_words(rot) {
            Ok(words) => asked(Call::Rot(words), target),
            Err(why) => {
                output::error(&why);
                ExitCode::from(2)
            }
        },
        Control::Unsynced { target } => asked(Call::Unsynced, target),
        Control::Checkpoint { target } => asked(Call::Checkpoint, target),
        Control::PowerCut { args, target } if args.now => {
            of(target, |target| plug::cut(args, target))
        }
        Control::PowerCut { args, target } => asked(Call::PowerCut(args), target),
        Control::PowerOn { target } => asked(Call::PowerOn, target),
        Control::Ping { target } => asked(Call::Ping, target),
    }
}

/// Prints what no mount is asked for.
fn show(text: Result<String, String>) -> ExitCode {
    match text {
        Ok(text) => {
            output::out(&text);
            ExitCode::SUCCESS
        }
        Err(why) => {
            output::error(&why);
            ExitCode::from(2)
        }
    }
}

/// Finds out whom a command asks, and has it ask them.
fn of(target: &Target, act: impl FnOnce(&Target) -> ExitCode) -> ExitCode {
    of_those(whom::addresses(target), target, act)
}

fn of_those(
    meant: Result<Meant, String>,
    target: &Target,
    act: impl FnOnce(&Target) -> ExitCode,
) -> ExitCode {
    match meant {
        Ok((addr, origin)) => act(&Target { addr: addr.into(), origin, ..target.clone() }),
        Err(reason) => {
            report::nobody(&reason, target);
            ExitCode::FAILURE
        }
    }
}

fn ask(call: &Call<'_>, target: &Target) -> ExitCode {
    let ask = |addr: &str| {
        let client = whom::reach(addr, &target.origin, TIMEOUT);
        let done = client.and_then(|mut client| act(&mut client, addr, call));
        done.map_err(|why| match call.named().find(|word| is_bare_mountpoint(OsStr::new(word))) {
            Some(place) => format!("{why}; a mountpoint has a slash in it: ./{place}"),
            None => why,
        })
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

fn act(client: &mut Client, addr: &str, call: &Call<'_>) -> Result<Report, String> {
    let done = match call {
        Call::Put(fault, add) => return set::put(client, fault, *add),
        Call::Follow(recipe) => return set::follow(client, recipe),
        Call::Apply(file, prune) => return apply::apply(client, file, *prune),
        Call::Match(args) => return matching::ask(client, addr, args),
        Call::Heal(ids) => return injections::heal(client, ids, addr),
        Call::Rot(words) => return injections::rot(client, words, addr),
        Call::Injections => injections::list(client),
        Call::Clear(what) => faults::clear(client, what),
        Call::List(shown) => faults::list(client, addr, shown),
        Call::Status => faults::status(client),
        Call::Wait { fault, what, n, timeout } => faults::wait(client, fault, what, *n, *timeout),
        Call::Methods => methods(client),
        Call::Stats => client.stats().map(|stats| Report::new(stats_table(&stats), json!(stats))),
        Call::Unsynced => power::unsynced(client),
        Call::Checkpoint => power::checkpoint(client),
        Call::PowerCut(args) => power::cut(client, args),
        Call::PowerOn => plug::on(client),
        Call::Ping => ping(client),
    };
    done.map_err(|e| explain(addr, e))
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
    Ok(Report::new(text, objects::methods(&methods)))
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
        info.backing.0.display(),
        info.mountpoint.0.display(),
        info.pid,
        humantime::format_duration(up),
        info.faults,
        if info.faults == 1 { "" } else { "s" },
    );
    let features = if info.threads > 0 { features(&info) } else { String::new() };
    Ok(Report::new(visible(&text) + &features, objects::info(&info)))
}
