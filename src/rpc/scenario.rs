//! The structs of `idl/slowfs.thrift` about scenarios. No locks.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::record::record;
use super::statistics::MethodStatistics;
use super::wire::{ns, printable, signed};
use crate::fault::CutWords;
use crate::fault::injections::RotWords;
use crate::fault::trace::monotonic_ns;
use crate::fault::words::FaultWords;
use crate::scenario::{Command, Event, Phase, Script, Step, Told, What, When, Why};

/// What a step may do.
pub(super) const COMMANDS: &str =
    "put, only, clear, heal, rot, power_cut, power_on, checkpoint and end";

record! {
    /// One line of a scenario.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    pub struct StepWords = "Step" {
        /// Its number in the file.
        1: line: i64,
        /// When it is done, since the start.
        2: at_ns: Option<i64>,
        /// Or the fault, by name or id, at whose firing.
        3: once: Option<String>,
        /// Which firing of that.
        4: fired: i64,
        /// `put`, `only`, `clear`, `heal`, `rot`, `power_cut`, `power_on`, `checkpoint` or `end`.
        5: command: String,
        /// What `put` sets, which is one, or `only`.
        6: faults: Vec<FaultWords>,
        /// Whether `put` adds it beside the others of its methods.
        7: add: bool,
        /// What `clear` clears; none: everything.
        8: clear: Vec<String>,
        /// As it was typed.
        9: text: String,
        /// What `rot` spoils.
        10: rot: Option<RotWords>,
        /// How `power_cut` cuts.
        11: cut: Option<CutWords>,
    }
}

record! {
    /// What a mount is to do by itself.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    pub struct ScenarioWords = "Scenario" {
        /// What it is called.
        1: name: String,
        /// Its lines.
        2: steps: Vec<StepWords>,
        /// When it ends, since its start.
        3: end_ns: i64,
        /// What the dice of its faults are seeded with, a number of 64 bits, if not as the mount's.
        4: seed: Option<String>,
        /// Whether all requests are timed meanwhile, and counted with each event.
        5: timed: bool,
        /// Whether it goes on without its connection.
        6: detached: bool,
    }
}

record! {
    /// Where a scenario is.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Run = "Run" {
        /// What it is called.
        1: name: String,
        /// `loaded`, `running` or `ended`.
        2: state: String,
        /// How many of its lines are done.
        3: done: i64,
        /// Of so many.
        4: steps: i64,
        /// How long it has run.
        5: elapsed_ns: i64,
        /// When it ends, since its start.
        6: end_ns: i64,
        /// The next line that has a time.
        7: next: Option<String>,
        /// When that is, since the start.
        8: next_ns: Option<i64>,
        /// When it began, by `CLOCK_MONOTONIC`.
        9: started_ns: Option<i64>,
        /// The same since 1970.
        10: started_unix_ns: Option<i64>,
        /// Whether it goes on without its connection.
        11: detached: bool,
        /// Who began it.
        12: by: String,
        /// Why it has ended.
        13: why: Option<String>,
        /// Whether it ended without having come to its end, nor been stopped by who began it.
        14: failed: bool,
        /// What the dice of its faults are seeded with.
        15: seed: String,
    }
}

record! {
    /// Something that a scenario did.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct RunEvent = "RunEvent" {
        /// From 1.
        1: seq: i64,
        /// `started`, `step` or `ended`.
        2: what: String,
        /// Of a step its line.
        3: line: i64,
        /// When that was to be, since the start; not set of one at a firing.
        4: planned_ns: Option<i64>,
        /// When it was in force, since the start.
        5: at_ns: i64,
        /// What came of it.
        6: text: String,
        /// The ids of the faults that it set.
        7: faults: Vec<i64>,
        /// What these cannot do here.
        8: warnings: Vec<String>,
        /// How long the mount had been counting then, if requests are timed.
        9: counted_ns: Option<i64>,
        /// What it had served by then, each request once.
        10: requests: Vec<MethodStatistics>,
    }
}

record! {
    /// What a scenario has come to.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct RunRead = "RunRead" {
        /// The one that runs, or else the last that did.
        1: run: Option<Run>,
        /// What it did.
        2: events: Vec<RunEvent>,
    }
}

impl Run {
    /// As the mount tells of it, whose dice are seeded so.
    pub(super) fn of(Told { script, by, progress }: &Told, seed: u64) -> Run {
        let (state, why) = match &progress.phase {
            Phase::Loaded => ("loaded", None),
            Phase::Running => ("running", None),
            Phase::Ended(why) => ("ended", Some(why)),
        };
        let (next_ns, next) = progress.next.clone().unzip();
        let (started, unix) = progress.began.unzip();
        let unix = unix.map(|at| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        Run {
            name: script.name.clone(),
            state: state.to_owned(),
            done: count(progress.done),
            steps: count(script.steps.len()),
            elapsed_ns: ns(progress.elapsed),
            end_ns: ns(script.end),
            next,
            next_ns: next_ns.map(ns),
            started_ns: started.map(monotonic_ns),
            started_unix_ns: unix.map(ns),
            detached: script.detached,
            by: by.to_string(),
            why: why.map(ToString::to_string),
            failed: why.is_some_and(Why::is_failure),
            seed: script.seed.unwrap_or(seed).to_string(),
        }
    }
}

impl ScenarioWords {
    /// The scenario that they are.
    pub(super) fn script(self) -> Result<Script, String> {
        let steps = self.steps.into_iter().map(StepWords::step).collect::<Result<_, _>>()?;
        let seed = self.seed.map(|seed| {
            seed.parse()
                .map_err(|_| format!("seed {}: it must be a whole number", printable(&seed)))
        });
        let end = time(self.end_ns).filter(|end| !end.is_zero());
        Ok(Script {
            name: self.name,
            steps,
            end: end.ok_or_else(|| format!("end_ns is {}: it must be 1 at least", self.end_ns))?,
            seed: seed.transpose()?,
            timed: self.timed,
            detached: self.detached,
        })
    }
}

impl StepWords {
    /// One of a script.
    pub(crate) fn of(step: &Step) -> StepWords {
        let mut words =
            StepWords { line: step.line.into(), text: step.text.clone(), ..StepWords::default() };
        match &step.when {
            When::At(at) => words.at_ns = Some(ns(*at)),
            When::Fired(fault, n) => {
                (words.once, words.fired) = (Some(fault.clone()), signed(*n));
            }
        }
        let command = match &step.command {
            Command::Put { fault, add } => {
                (words.faults, words.add) = (vec![(**fault).clone()], *add);
                "put"
            }
            Command::Only(faults) => {
                words.faults.clone_from(faults);
                "only"
            }
            Command::Clear(what) => {
                words.clear.clone_from(what);
                "clear"
            }
            Command::Heal => "heal",
            Command::Rot(rot) => {
                words.rot = Some((**rot).clone());
                "rot"
            }
            Command::Cut(cut) => {
                words.cut = Some((**cut).clone());
                "power_cut"
            }
            Command::PowerOn => "power_on",
            Command::Checkpoint => "checkpoint",
            Command::End => "end",
        };
        StepWords { command: command.to_owned(), ..words }
    }

    fn step(self) -> Result<Step, String> {
        let line = u32::try_from(self.line).map_err(|_| "a line has no such number".to_owned())?;
        let refuse = |why: &str| Err(format!("line {line}: {why}"));
        let when = match (self.at_ns.map(time), self.once) {
            (Some(Some(_)), None) if self.fired != 0 => {
                return refuse("fired says at which firing of once: leave it out beside at_ns");
            }
            (Some(Some(at)), None) => When::At(at),
            (Some(None), None) => return refuse("at_ns must not be negative"),
            (None, Some(fault)) => match u64::try_from(self.fired) {
                Ok(n @ 1..) => When::Fired(fault, n),
                _ => return refuse("fired must be 1 at least"),
            },
            _ => return refuse("give it exactly one of at_ns and once"),
        };
        let command = match (self.command.as_str(), <[FaultWords; 1]>::try_from(self.faults)) {
            ("put", Ok([fault])) => Command::Put { fault: Box::new(fault), add: self.add },
            ("put", Err(_)) => return refuse("put takes one fault"),
            ("only", Ok(one)) => Command::Only(one.into()),
            ("only", Err(none)) if none.is_empty() => return refuse("only takes faults"),
            ("only", Err(several)) => Command::Only(several),
            ("clear", _) => Command::Clear(self.clear),
            ("heal", _) => Command::Heal,
            ("rot", _) => match self.rot {
                Some(rot) => Command::Rot(Box::new(rot)),
                None => return refuse("rot takes what is to rot"),
            },
            ("power_cut", _) => Command::Cut(Box::new(self.cut.unwrap_or_default())),
            ("power_on", _) => Command::PowerOn,
            ("checkpoint", _) => Command::Checkpoint,
            ("end", _) => Command::End,
            (other, _) => {
                let other = printable(other);
                return refuse(&format!("{other}: it is none of {COMMANDS}"));
            }
        };
        Ok(Step { line, when, command, text: self.text })
    }
}

impl RunEvent {
    pub(super) fn of(event: Event) -> RunEvent {
        let (what, line, planned) = match event.what {
            What::Started => ("started", 0, None),
            What::Step { line, planned } => ("step", line, planned),
            What::Ended => ("ended", 0, None),
        };
        let (counted, requests) = event.counted.unzip();
        RunEvent {
            seq: signed(event.seq),
            what: what.to_owned(),
            line: line.into(),
            planned_ns: planned.map(ns),
            at_ns: ns(event.at),
            text: event.text,
            faults: event.faults.iter().map(|id| signed(id.0)).collect(),
            warnings: event.warnings,
            counted_ns: counted.map(ns),
            requests: MethodStatistics::of_all(&requests.unwrap_or_default()),
        }
    }
}

fn time(ns: i64) -> Option<Duration> {
    u64::try_from(ns).ok().map(Duration::from_nanos)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
