//! What is done over HTTP beside setting faults: bytes are healed and rot, the power goes, a scenario runs. What is
//! asked has the names of the command's options. No locks.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Refused, Status};
use super::asked::{Asked, count, seed, size, time, word};
use super::given;
use crate::fault::Origin;
use crate::fault::injections::RotWords;
use crate::fault::words;
use crate::rpc::dialect::Traced;
use crate::rpc::injections::{Healed, unhealed};
use crate::rpc::objects;
use crate::rpc::scenario::{ScenarioWords, StepWords};
use crate::rpc::unsynced::{Cut, CutNow};
use crate::rpc::wire::ns;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HealGiven {
    #[serde(default)]
    ids: Vec<i64>,
    #[serde(default)]
    all: bool,
}

/// `{"ids": [1, 2]}` or `{"all": true}`.
pub(super) fn heal(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let HealGiven { ids, all } = asked.words()?;
    if ids.is_empty() != all {
        return Err(Refused::bad("say what to heal: {\"ids\": [1, 2]} or {\"all\": true}"));
    }
    let mut healed: Vec<Healed> = Vec::new();
    loop {
        let after = healed.last().map_or(0, |last| last.id);
        let more = asked.handler.heal(asked.peer.addr, &ids, after)?;
        let is_over = more.is_empty() || !all;
        healed.extend(more);
        if is_over {
            break;
        }
    }
    match unhealed(&healed) {
        Some(why) => Err(Refused::new(Status::NotYet, why)),
        None => Ok(Answer::object(json!({ "healed": healed }), &[])),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotGiven {
    how: Option<String>,
    regex: Option<String>,
    glob: Option<String>,
    spots: Option<i64>,
    unit: Option<Value>,
    length: Option<i64>,
    seed: Option<Value>,
    #[serde(default)]
    hidden: bool,
}

impl RotGiven {
    fn words(self) -> Result<RotWords, Refused> {
        Ok(RotWords {
            pattern: pattern(self.regex, self.glob)?,
            how: word("how", self.how, "flip")?,
            spots: count("spots", self.spots, 1)?,
            unit: size("unit", self.unit.as_ref(), 512)?,
            length: count("length", self.length, 1)?,
            seed: seed(self.seed.as_ref())?,
            hidden: self.hidden,
        })
    }
}

/// The one of both that is given.
fn pattern(regex: Option<String>, glob: Option<String>) -> Result<String, Refused> {
    match (regex, glob) {
        (Some(regex), None) => Ok(regex),
        (None, Some(glob)) => {
            words::glob(&glob).map_err(|why| Refused::bad(format!("glob: {why}")))
        }
        _ => Err(Refused::bad("name the files by regex or by glob")),
    }
}

/// `{"how": "flip:2", "regex": ".*", "spots": 3}`, and the other options of `slowfs rot`.
pub(super) fn rot(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let words = asked.words::<RotGiven>()?.words()?;
    let rotted = asked.handler.rot(asked.peer.addr, &words, asked.peer.waits)?;
    Ok(Answer::object(json!(rotted), &rotted.failed))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

pub(super) fn checkpoint(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let Nothing {} = asked.words()?;
    let entries = asked.handler.checkpoint(asked.peer.addr)?;
    Ok(Answer::object(json!({ "entries": entries }), &[]))
}

pub(super) fn power_on(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let Nothing {} = asked.words()?;
    let was_off = asked.handler.power_on(asked.peer.addr)?;
    Ok(Answer::object(json!({ "was_off": was_off }), &[]))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceGiven {
    #[serde(default)]
    methods: Vec<String>,
    regex: Option<String>,
    glob: Option<String>,
    #[serde(default)]
    fired: bool,
}

/// Traces for this connection: `{"methods": ["fsync"], "regex": ".*", "fired": true}`, or less.
pub(super) fn trace(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let TraceGiven { methods, regex, glob, fired } = asked.words()?;
    let pattern = match (regex, glob) {
        (None, None) => String::new(),
        (regex, glob) => pattern(regex, glob)?,
    };
    let traced = Traced { methods, pattern, fired };
    let head = asked.handler.trace_start(asked.peer.addr, &traced)?;
    Ok(Answer::object(objects::trace_head(&head), &[]))
}

pub(super) fn trace_stop(asked: &Asked<'_>) -> Result<Answer, Refused> {
    asked.handler.trace_stop(asked.peer.addr);
    Ok(Answer::object(json!({}), &[]))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CutGiven {
    to: Option<String>,
    #[serde(default)]
    now: bool,
    keep: Option<String>,
    unit: Option<Value>,
    seed: Option<Value>,
    max_stall: Option<String>,
    #[serde(default)]
    stay_off: bool,
    #[serde(default)]
    kill: bool,
}

/// `{"to": "NAME"}` builds an image, `{"now": true}` cuts the power in place; with the options of `slowfs power-cut`.
pub(super) fn power_cut(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let mut given: CutGiven = asked.words()?;
    let unit = size("unit", given.unit.as_ref(), 512)?;
    let seed = seed(given.seed.as_ref())?;
    let keep = word("keep", given.keep.take(), "")?;
    match &given {
        CutGiven { to: None, now: true, max_stall: None, .. } => {
            let cut = CutNow { keep, unit, seed: seed.unwrap_or_default(), ..CutNow::default() };
            now(asked, &given, cut)
        }
        CutGiven { to: Some(to), now: false, stay_off: false, kill: false, .. } => {
            let stall = given.max_stall.as_deref().map(|stall| time("max_stall", stall));
            let stall = stall.transpose()?;
            let cut = Cut {
                name: to.clone(),
                keep,
                unit,
                seed: seed.unwrap_or_default(),
                max_stall_ns: stall.map_or(0, |stall| ns(stall).max(1)),
            };
            let done = asked.handler.power_cut(asked.peer.addr, &cut, 0)?;
            Ok(Answer::object(objects::cut(&done), &[]))
        }
        CutGiven { to: None, now: false, .. } => {
            Err(Refused::bad("say which: {\"to\": \"NAME\"} or {\"now\": true}"))
        }
        _ => Err(Refused::bad(
            "to and max_stall are of an image, now, stay_off and kill of a cut in place: give those of one",
        )),
    }
}

fn now(asked: &Asked<'_>, given: &CutGiven, cut: CutNow) -> Result<Answer, Refused> {
    let peer = asked.peer.addr;
    let client = match peer {
        Origin::Local { pid, .. } => pid.into(),
        Origin::Net(_) => 0,
    };
    let cut = CutNow { stay_off: given.stay_off, kill: given.kill, client, ..cut };
    let done = asked.handler.power_cut_now(peer, &cut)?;
    Ok(Answer::object(json!(done), &[]))
}

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
        match (self.put, self.only, self.clear, self.heal, self.rot, self.end) {
            (Some(fault), None, None, None, None, None) => {
                let (fault, add) = given::fault(&fault)?;
                Ok(StepWords { faults: vec![fault], add, ..one("put") })
            }
            (None, Some(faults), None, None, None, None) => {
                Ok(StepWords { faults: given::faults(&faults)?, ..one("only") })
            }
            (None, None, Some(clear), None, None, None) => Ok(StepWords { clear, ..one("clear") }),
            (None, None, None, Some(true), None, None) => Ok(one("heal")),
            (None, None, None, None, Some(rot), None) => {
                Ok(StepWords { rot: Some(rot.words()?), ..one("rot") })
            }
            (None, None, None, None, None, Some(true)) => Ok(one("end")),
            _ => Err(Refused::bad(
                "give it one of put, only, clear, heal, rot and end; heal and end are true",
            )),
        }
    }
}
