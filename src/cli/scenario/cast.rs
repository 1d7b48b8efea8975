//! The mounts of a scenario, and what each is to do. No locks.

use std::ffi::OsString;
use std::time::Duration;

use serde_json::json;

use super::super::at_once;
use super::super::fleet::Origin;
use super::super::render::explain;
use super::super::report;
use super::super::target::Target;
use super::super::values::parse_addr;
use super::super::whom::{self, Meant};
use super::read::Written;
use crate::fault::time_text;
use crate::rpc::{Client, Info, Run, ScenarioWords, StepWords, ns};

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
        let met = all_of(at_once::each(parts, |part| part.meet(&origin)))?;
        let mut mounts: Vec<Met> = Vec::new();
        for one in met {
            match mounts.iter_mut().find(|other| other.is_that(&one)) {
                Some(other) => other.part.steps.extend(one.part.steps),
                None => mounts.push(one),
            }
        }
        let load = |one: Met| {
            let mut steps = one.part.steps;
            steps.sort_by_key(|(place, _)| *place);
            let scenario = ScenarioWords {
                name: written.name.clone(),
                steps: steps.into_iter().map(|(_, words)| words).collect(),
                end_ns: ns(written.end),
                seed: written.seed.map(|seed| seed.to_string()),
                timed,
                detached,
            };
            Player::load(one.part.addr, one.client, one.info, scenario)
        };
        let players = all_of(at_once::each(mounts, load))?;
        Ok(Cast { players })
    }

    /// Begins on all of them at once.
    pub(super) fn start(mut self) -> Result<Cast, String> {
        let started = at_once::each(&mut self.players, Player::start);
        // Those that began end with their connections.
        for (player, run) in self.players.iter_mut().zip(started) {
            player.run = run?;
        }
        Ok(self)
    }

    /// Says what goes on without this command.
    pub(super) fn leave(self, target: &Target) {
        let several = Target {
            addr: self.players.iter().map(|p| p.addr.clone()).collect::<Vec<_>>().into(),
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
    fn load(
        addr: String,
        mut client: Client,
        info: Info,
        scenario: ScenarioWords,
    ) -> Result<Player, String> {
        let run =
            client.run_load(&scenario).map_err(|error| named(&addr, explain(&addr, error)))?;
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

/// What one address is to do.
struct Part {
    addr: String,
    /// How the first of its lines that names it does so.
    typed: Option<String>,
    /// With their places in the file.
    steps: Vec<(usize, StepWords)>,
}

/// The mount that answers there.
struct Met {
    part: Part,
    client: Client,
    info: Info,
}

impl Part {
    fn meet(self, origin: &Origin) -> Result<Met, String> {
        let met = self.asked(origin);
        let (client, info) = met.map_err(|why| match &self.typed {
            Some(typed) => format!("{typed}: {why}"),
            None => why,
        })?;
        Ok(Met { part: self, client, info })
    }

    fn asked(&self, origin: &Origin) -> Result<(Client, Info), String> {
        let mut client = whom::reach(&self.addr, origin, PATIENCE)?;
        let info = client.info();
        let info = info.map_err(|error| named(&self.addr, explain(&self.addr, error)))?;
        Ok((client, info))
    }
}

impl Met {
    /// Whether it is the same mount by another address.
    fn is_that(&self, other: &Met) -> bool {
        let who = |met: &Met| (met.info.pid, met.info.started_unix_ms, met.info.mountpoint.clone());
        who(self) == who(other)
    }
}

/// All of them, or all that is wrong.
fn all_of<T>(each: Vec<Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for one in each {
        match one {
            Ok(one) => good.push(one),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(wrong.join("; ")) }
}

/// What each address is to do, and where these come from if that was not typed.
type Parts = (Vec<Part>, Origin);

fn parts(
    written: &Written,
    target: &Target,
    addresses: &dyn Fn(&Target) -> Result<Meant, String>,
) -> Result<Parts, String> {
    let mut parts: Vec<Part> = Vec::new();
    let mut wrong = Vec::new();
    let mut usual: Option<Meant> = None;
    for (place, (mount, step)) in written.steps.iter().enumerate() {
        let addrs = match (mount, &usual) {
            (Some(mount), _) => match address_of(mount) {
                Ok(addr) => vec![addr],
                Err(why) => {
                    wrong.push(format!("line {}: {why}", step.line));
                    continue;
                }
            },
            (None, Some((addrs, _))) => addrs.clone(),
            (None, None) => usual.insert(addresses(target)?).0.clone(),
        };
        for addr in addrs {
            let words = (place, StepWords::of(step));
            let typed = mount.as_ref().map(|mount| format!("line {}: @{mount}", step.line));
            match parts.iter_mut().find(|other| other.addr == addr) {
                Some(part) => {
                    part.steps.push(words);
                    part.typed = part.typed.take().or(typed);
                }
                None => parts.push(Part { addr, typed, steps: vec![words] }),
            }
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    Ok((parts, usual.map(|(_, origin)| origin).unwrap_or_default()))
}

/// Where the mount behind an `@` is reached.
fn address_of(mount: &str) -> Result<String, String> {
    let word = OsString::from(mount);
    match whom::is_path(&word) {
        true => whom::address_of_path(word.as_ref()),
        false => parse_addr(mount).map_err(|why| format!("@{mount}: {why}")),
    }
}
