//! What is done over HTTP beside setting faults: bytes are healed and rot, the power goes, requests are traced. What
//! is asked has the names of the command's options. No locks.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Refused, Status};
use super::asked::{Asked, count, seed, size, time, word};
use crate::fault::injections::RotWords;
use crate::fault::words;
use crate::fault::{CutWords, Origin};
use crate::rpc::dialect::Traced;
use crate::rpc::injections::{Healed, unhealed};
use crate::rpc::objects;
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
pub(super) struct RotGiven {
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
    /// What is to rot.
    pub(super) fn words(self) -> Result<RotWords, Refused> {
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
pub(super) struct CutGiven {
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

impl CutGiven {
    /// An image, or a cut in place, with what belongs to that one.
    pub(super) fn words(self) -> Result<CutWords, Refused> {
        let CutGiven { to, now, max_stall, stay_off, kill, .. } = self;
        match (&to, now) {
            (None, false) => {
                return Err(Refused::bad("say which: {\"to\": \"NAME\"} or {\"now\": true}"));
            }
            (None, true) if max_stall.is_none() => {}
            (Some(_), false) if !stay_off && !kill => {}
            _ => {
                return Err(Refused::bad(
                    "to and max_stall are of an image, now, stay_off and kill of a cut in place: give those of one",
                ));
            }
        }
        let stall = max_stall.as_deref().map(|stall| time("max_stall", stall)).transpose()?;
        Ok(CutWords {
            to,
            keep: word("keep", self.keep, "none")?,
            unit: size("unit", self.unit.as_ref(), 512)?,
            seed: seed(self.seed.as_ref())?,
            max_stall_ns: stall.map_or(0, |stall| ns(stall).max(1)),
            stay_off,
            kill,
        })
    }
}

/// `{"to": "NAME"}` builds an image, `{"now": true}` cuts the power in place; with the options of `slowfs power-cut`.
pub(super) fn power_cut(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let cut = asked.words::<CutGiven>()?.words()?;
    let peer = asked.peer.addr;
    let CutWords { to, keep, unit, seed, max_stall_ns, stay_off, kill } = cut;
    let seed = seed.unwrap_or_default();
    if let Some(name) = to {
        let cut = Cut { name, keep, unit, seed, max_stall_ns };
        let done = asked.handler.power_cut(peer, &cut, 0)?;
        return Ok(Answer::object(objects::cut(&done), &[]));
    }
    let client = match peer {
        Origin::Local { pid, .. } => pid.into(),
        Origin::Net(_) => 0,
    };
    let cut = CutNow { ticket: 0, keep, unit, seed, stay_off, kill, client };
    let done = asked.handler.power_cut_now(peer, &cut)?;
    Ok(Answer::object(json!(done), &[]))
}
