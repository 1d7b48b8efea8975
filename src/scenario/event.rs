//! What a run has done, and when. No locks.

use std::time::Duration;

use super::script::{Step, When};
use crate::fault::{FaultId, Lifted, Put};
use crate::stats::Requests;

/// One thing that a run has done.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// From 1.
    pub(crate) seq: u64,
    pub(crate) what: What,
    /// When, since the start: once it was in force.
    pub(crate) at: Duration,
    /// What came of it, in a line.
    pub(crate) text: String,
    /// The faults that it set.
    pub(crate) faults: Vec<FaultId>,
    /// What the faults of its time cannot do here: told of the last line of that time, and not without end.
    pub(crate) warnings: Vec<String>,
    /// What the mount had served by then, and how long it had been counting, if requests are timed.
    pub(crate) counted: Option<(Duration, Vec<Requests>)>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Started,
    /// This line; when it was to be, unless it was at a firing.
    Step {
        line: u32,
        planned: Option<Duration>,
    },
    Ended,
}

impl What {
    pub(super) fn of(step: &Step) -> What {
        let planned = match step.when {
            When::At(at) => Some(at),
            When::Fired(..) => None,
        };
        What::Step { line: step.line, planned }
    }
}

/// The same as it is noted at the moment itself, in memory: the rest is found out after it.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) what: What,
    pub(super) at: Duration,
    pub(super) did: Did,
    /// Of the last line of a step: the faults that the step has set.
    pub(super) set: Vec<FaultId>,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Did {
    Put(Vec<Put>),
    Cleared(Option<Lifted>),
    Told(String),
}

impl Did {
    /// The faults that were set.
    pub(super) fn faults(&self) -> Vec<FaultId> {
        match self {
            Did::Put(put) => put.iter().map(|put| put.id).collect(),
            Did::Cleared(_) | Did::Told(_) => Vec::new(),
        }
    }

    /// In one line; `command` is what was typed.
    pub(super) fn text(&self, command: &str) -> String {
        match self {
            Did::Put(put) => put.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Did::Cleared(lifted) => {
                let what = lifted.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{command}{what}")
            }
            Did::Told(text) => text.clone(),
        }
    }
}
