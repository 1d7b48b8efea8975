//! Where a run is, and why it has ended. No locks.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use crate::fault::Origin;

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It was found good, and waits for its start.
    Loaded,
    Running,
    Ended(Why),
}

/// Why a run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It came to its end, by its time or by a step.
    Done,
    /// Whoever began it has said so.
    Stopped,
    /// The connection of whoever began it has gone.
    Lost,
    /// Somebody has cleared everything.
    Cleared(Origin),
    /// The mount ends.
    Unmounted,
    /// There is no thread for it.
    NoThread(String),
    /// A step could not be done.
    Refused { line: u32, why: String },
    /// It came to its end before a step was done.
    Late { line: u32 },
}

impl Why {
    /// Whether it did not come to its end.
    pub(crate) fn is_failure(&self) -> bool {
        !matches!(self, Why::Done | Why::Stopped)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Done => f.write_str("it has come to its end"),
            Why::Stopped => f.write_str("it was stopped"),
            Why::Lost => f.write_str("its connection has gone"),
            Why::Cleared(by) => write!(f, "everything was cleared by {by}"),
            Why::Unmounted => f.write_str("the mount ends"),
            Why::NoThread(error) => write!(f, "cannot start a thread for it: {error}"),
            Why::Refused { line, why } => write!(f, "line {line} was refused: {why}"),
            Why::Late { line } => write!(f, "line {line} was not done by the end"),
        }
    }
}

/// Where a run is, for people and programs.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    /// How many lines are done.
    pub(crate) done: usize,
    pub(crate) elapsed: Duration,
    /// When it began.
    pub(crate) began: Option<(Instant, SystemTime)>,
    /// The next line that has a time, and when that is.
    pub(crate) next: Option<(Duration, String)>,
}
