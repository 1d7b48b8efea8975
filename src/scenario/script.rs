//! What a scenario does, as data. No locks.

use std::time::Duration;

use crate::fault::injections::RotWords;
use crate::fault::{CutWords, FaultWords};

/// How many steps a scenario may have: each is a change of the table at most.
pub(crate) const MOST_STEPS: usize = 1_000;

/// A whole scenario of one mount.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Script {
    /// What it is called, as in the log.
    pub(crate) name: String,
    /// In the order of their times; those at a firing among them.
    pub(crate) steps: Vec<Step>,
    /// When it ends, from its start on.
    pub(crate) end: Duration,
    /// What the dice of its faults are seeded with, if not as the mount's.
    pub(crate) seed: Option<u64>,
    /// Whether every request is timed meanwhile, and each step told with what was counted by then.
    pub(crate) timed: bool,
    /// Whether it goes on when the connection that began it ends.
    pub(crate) detached: bool,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// Its number in the file, from 1.
    pub(crate) line: u32,
    pub(crate) when: When,
    pub(crate) command: Command,
    /// The command as it was typed.
    pub(crate) text: String,
}

/// When a step is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// So long after the start.
    At(Duration),
    /// When the fault of that name or id has fired so often.
    Fired(String, u64),
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// Sets a fault; whether it is added beside the others of its methods.
    Put { fault: Box<FaultWords>, add: bool },
    /// Sets these faults in the place of every other one.
    Only(Vec<FaultWords>),
    /// Clears these methods and faults; none: everything.
    Clear(Vec<String>),
    /// Heals all injections that stand.
    Heal,
    /// Spoils stored bytes.
    Rot(Box<RotWords>),
    /// Cuts the power.
    Cut(Box<CutWords>),
    /// Has the power on again.
    PowerOn,
    /// Has all that is there count as durable.
    Checkpoint,
    /// Ends the scenario.
    End,
}

impl Script {
    /// Whether a fault of that name can have been set by another of its steps when it is this one's turn.
    pub(super) fn may_have_set(&self, name: &str, before: &Step) -> bool {
        let can_be_before = |other: &&Step| match (&other.when, &before.when) {
            // What clears stands before what sets at the same time.
            (When::At(other), When::At(own)) => other < own,
            _ => *other != before,
        };
        self.steps.iter().filter(can_be_before).any(|step| step.sets(name))
    }
}

impl Step {
    /// Whether it sets a fault of that name.
    pub(super) fn sets(&self, name: &str) -> bool {
        self.command.faults().iter().any(|fault| fault.name.as_deref() == Some(name))
    }
}

impl Command {
    /// The faults that it sets.
    pub(super) fn faults(&self) -> &[FaultWords] {
        match self {
            Command::Put { fault, .. } => std::slice::from_ref(fault),
            Command::Only(faults) => faults,
            _ => &[],
        }
    }

    /// In which order the commands of one time stand: what takes away stands before what sets.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Command::Clear(_) => 0,
            Command::Only(_) => 1,
            Command::Put { .. } => 2,
            _ => 3,
        }
    }

    /// Whether it is about what is stored, and no change of the table of faults.
    pub(super) fn is_work(&self) -> bool {
        match self {
            Command::Heal | Command::Rot(_) => true,
            Command::Cut(_) | Command::PowerOn | Command::Checkpoint => true,
            Command::Put { .. } | Command::Only(_) | Command::Clear(_) | Command::End => false,
        }
    }

    /// The image that it builds, if it does.
    pub(super) fn image(&self) -> Option<&str> {
        match self {
            Command::Cut(cut) => cut.to.as_deref(),
            _ => None,
        }
    }
}
