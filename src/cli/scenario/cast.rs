//! The mounts of a scenario, and what each is to do. No locks.

use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::super::control::Target;
use super::super::render::{explain, unreached};
use super::super::report;
use super::super::values::parse_addr;
use super::super::whom::{self, Meant};
use super::read::Written;
use crate::fault::time_text;
use crate::rpc::{Client, Info, Run, ScenarioWords, StepWords};

/// How long a mount may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The mounts of a scenario.
pub(super) struct Cast {
    pub(super) players: Vec<Player>,
}

/// One of them.
pub(super) struct Player {
    pub(super) addr: String,
    pub(super) client: Client,
    pub(super) info: Info,
    pub(super) scenario: ScenarioWords,
    /// As the mount tells of it.
    pub(super) run: Run,
}

impl Cast {
    /// Connects to each, and has it take what it is to do. If one does not, none does anything.
    pub(super) fn meet(
        written: &Written,
        (timed, detached): (bool, bool),
        target: &Target,
        addresses: &dyn Fn(&Target) -> Result<Meant, String>,
    ) -> Result<Cast, String> {
        let (parts, origin) = parts(written, target, addresses)?;
        let meet = |(addr, steps): (String, Vec<StepWords>)| {
            let scenario = ScenarioWords {
                name: written.name.clone(),
                steps,
                end_ns: i64::try_from(written.end.as_nanos()).unwrap_or(i64::MAX),
                seed: written.seed.map(|seed| seed.to_string()),
                timed,
                detached,
            };
            Player::meet(addr, scenario, origin)
        };
        let players = parts.into_iter().map(meet).collect::<Result<_, _>>()?;
        Ok(Cast { players })
    }

    /// Begins on all of them at once.
    pub(super) fn start(mut self) -> Result<Cast, String> {
        let started: Vec<Result<Run, String>> = thread::scope(|scope| {
            let start = |player| scope.spawn(|| Player::start(player));
            let asked: Vec<_> = self.players.iter_mut().map(start).collect();
            let panicked = |_| Err("the command panicked".to_owned());
            asked.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        // Those that began end with their connections.
        for (player, run) in self.players.iter_mut().zip(started) {
            player.run = run?;
        }
        Ok(self)
    }

    /// Says what goes on without this command.
    pub(super) fn leave(self, target: &Target) {
        let several = Target {
            addr: self.players.iter().map(|p| p.addr.clone()).collect(),
            ..target.clone()
        };
        for player in &self.players {
            let Run { name, steps, end_ns, .. } = &player.run;
            let s = if *steps == 1 { "" } else { "s" };
            let end = time_text(Duration::from_nanos(end_ns.unsigned_abs()));
            let text = format!(
                "scenario {name} runs by itself, {steps} step{s}, ends at {end}; `slowfs status` shows where it \
                 is, `slowfs clear` ends it"
            );
            let told = report::Report::new(text, json!({ "run": player.run }));
            report::print(&player.addr, Ok(told), &several);
        }
    }
}

impl Player {
    fn meet(
        addr: String,
        scenario: ScenarioWords,
        origin: Option<&'static str>,
    ) -> Result<Player, String> {
        let mut client = Client::connect(&addr, PATIENCE).map_err(|e| unreached(&e, origin))?;
        let why = |error| named(&addr, explain(&addr, error));
        let info = client.info().map_err(why)?;
        let run = client.run_load(&scenario).map_err(why)?;
        Ok(Player { addr, client, info, scenario, run })
    }

    fn start(&mut self) -> Result<Run, String> {
        let run = self.client.run_start();
        run.map_err(|error| named(&self.addr, explain(&self.addr, error)))
    }
}

/// What is said of an address, which is named once.
pub(super) fn named(addr: &str, why: String) -> String {
    if why.contains(addr) { why } else { format!("{addr}: {why}") }
}

/// What each address is to do, and where these come from if that was not typed.
type Parts = (Vec<(String, Vec<StepWords>)>, Option<&'static str>);

fn parts(
    written: &Written,
    target: &Target,
    addresses: &dyn Fn(&Target) -> Result<Meant, String>,
) -> Result<Parts, String> {
    let mut parts: Vec<(String, Vec<StepWords>)> = Vec::new();
    let mut usual: Option<Meant> = None;
    for (mount, step) in &written.steps {
        let line = |why| format!("line {}: {why}", step.line);
        let addrs = match (mount, &usual) {
            (Some(mount), _) => vec![address_of(mount).map_err(line)?],
            (None, Some((addrs, _))) => addrs.clone(),
            (None, None) => usual.insert(addresses(target)?).0.clone(),
        };
        for addr in addrs {
            let words = StepWords::of(step);
            match parts.iter_mut().find(|(other, _)| *other == addr) {
                Some((_, steps)) => steps.push(words),
                None => parts.push((addr, vec![words])),
            }
        }
    }
    Ok((parts, usual.and_then(|(_, origin)| origin)))
}

/// Where the mount behind an `@` is reached.
fn address_of(mount: &str) -> Result<String, String> {
    let word = OsString::from(mount);
    match whom::is_path(&word) {
        true => whom::address_of_path(word.as_ref()),
        false => parse_addr(mount).map_err(|why| format!("@{mount}: {why}")),
    }
}
