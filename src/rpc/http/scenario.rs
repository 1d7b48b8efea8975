//! A scenario over HTTP: its steps are what the other requests do, with the same words. No locks.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Refused};
use super::asked::{Asked, count, seed, time};
use super::doing::{CutGiven, RotGiven};
use super::given;
use crate::rpc::scenario::{ScenarioWords, StepWords};
use crate::rpc::wire::ns;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioGiven {
    name: String,
    end: String,
    seed: Option<Value>,
    #[serde(default)]
    timed: bool,
    steps: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepGiven {
    at: Option<String>,
    once: Option<String>,
    fired: Option<i64>,
    put: Option<Value>,
    only: Option<Value>,
    clear: Option<Vec<String>>,
    heal: Option<bool>,
    rot: Option<RotGiven>,
    power_cut: Option<CutGiven>,
    power_on: Option<bool>,
    checkpoint: Option<bool>,
    end: Option<bool>,
}

/// Runs a scenario, which goes on by itself: `{"name": "wal", "end": "60s", "steps": [{"at": "5s", "put": FAULT}]}`.
pub(super) fn run(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let given: ScenarioGiven = asked.words()?;
    let step = |(place, value): (i64, Value)| {
        let text = value.to_string();
        let wrong = |why: String| Refused::bad(format!("line {place}: {why}"));
        let step: StepGiven = serde_json::from_value(value).map_err(|e| wrong(e.to_string()))?;
        let words = step.when().and_then(|when| step.command(when));
        let placed = |words| StepWords { line: place, text, ..words };
        words.map(placed).map_err(|refused| wrong(refused.why))
    };
    let steps = (1..).zip(given.steps).map(step).collect::<Result<_, _>>()?;
    let end = time("end", &given.end)?;
    if end.is_zero() {
        return Err(Refused::bad("end must be more than 0"));
    }
    let words = ScenarioWords {
        name: given.name,
        steps,
        end_ns: ns(end),
        seed: seed(given.seed.as_ref())?,
        timed: given.timed,
        // A connection over HTTP may end with its answer.
        detached: true,
    };
    asked.handler.run_load(asked.peer.addr, words)?;
    let run = asked.handler.run_start(asked.peer.addr)?;
    Ok(Answer::object(json!({ "run": run }), &[]))
}

impl StepGiven {
    /// When it is to be done: at a time, or at a firing.
    fn when(&self) -> Result<StepWords, Refused> {
        match (&self.at, &self.once, self.fired) {
            (Some(at), None, None) => {
                Ok(StepWords { at_ns: Some(ns(time("at", at)?)), ..StepWords::default() })
            }
            (None, Some(fault), fired) => {
                let (once, fired) = (Some(fault.clone()), count("fired", fired, 1)?);
                Ok(StepWords { once, fired, ..StepWords::default() })
            }
            (Some(_), None, Some(_)) => {
                Err(Refused::bad("fired says at which firing of once: leave it out beside at"))
            }
            _ => Err(Refused::bad("give it exactly one of at and once")),
        }
    }

    /// What it does, which is one thing.
    fn command(self, words: StepWords) -> Result<StepWords, Refused> {
        let one = |command: &str| StepWords { command: command.to_owned(), ..words.clone() };
        let plain = |given: Option<bool>, command: &str| {
            given.map(|done| if done { Ok(one(command)) } else { Err(not_one()) })
        };
        let put = |fault: Value| {
            let (fault, add) = given::fault(&fault)?;
            Ok(StepWords { faults: vec![fault], add, ..one("put") })
        };
        let only = |faults: Value| Ok(StepWords { faults: given::faults(&faults)?, ..one("only") });
        let rot = |rot: RotGiven| Ok(StepWords { rot: Some(rot.words()?), ..one("rot") });
        let cut = |cut: CutGiven| Ok(StepWords { cut: Some(cut.words()?), ..one("power_cut") });
        let commands = [
            self.put.map(put),
            self.only.map(only),
            self.clear.map(|clear| Ok(StepWords { clear, ..one("clear") })),
            plain(self.heal, "heal"),
            self.rot.map(rot),
            self.power_cut.map(cut),
            plain(self.power_on, "power_on"),
            plain(self.checkpoint, "checkpoint"),
            plain(self.end, "end"),
        ];
        let mut given = commands.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(command), None) => command,
            _ => Err(not_one()),
        }
    }
}

fn not_one() -> Refused {
    Refused::bad(
        "give it one of put, only, clear, heal, rot, power_cut, power_on, checkpoint and end; heal, power_on, \
         checkpoint and end are true",
    )
}
