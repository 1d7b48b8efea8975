//! Steps that change what is stored: heal, and rot. They take as long as the backing does, so that they are
//! done beside the other steps, one after the other. No locks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::script::{Command, Script};
use crate::fault::drawn;
use crate::fault::injections::{Outcome, Repairs, Rot, State};

/// Who changes what is stored, of a mount that has somebody.
pub(super) type Repairer = Option<Arc<dyn Repairs>>;

/// What one step does.
#[derive(Debug)]
pub(super) enum Repair {
    Heal,
    Rot { rot: Box<Rot>, seed: u64 },
}

impl Repair {
    /// What the step at that place does, if it changes what is stored.
    pub(super) fn of(script: &Script, place: usize) -> Option<Result<Repair, String>> {
        match &script.steps.get(place)?.command {
            Command::Heal => Some(Ok(Repair::Heal)),
            Command::Rot(words) => {
                // Two of them are not to draw the same spots.
                let before = script.steps.iter().take(place);
                let before = before.filter(|step| matches!(step.command, Command::Rot(_)));
                let n = before.count() as u64;
                let seed = script.seed.map_or_else(rand::random, |seed| drawn(seed, "rot", n));
                Some(words.rot(seed).map(|(rot, seed)| Repair::Rot { rot: Box::new(rot), seed }))
            }
            Command::Put { .. } | Command::Only(_) | Command::Clear(_) | Command::End => None,
        }
    }

    /// Does it as long as it goes on: what came of it, in a line.
    ///
    /// # Errors
    /// It cannot be done.
    pub(super) fn carry_out(
        &self,
        repairs: &dyn Repairs,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<String, String> {
        match self {
            Repair::Heal => Ok(healed(repairs, goes_on)),
            Repair::Rot { rot, seed } => {
                let rotted = repairs.rot(rot, goes_on)?;
                let why = rotted.failed.first().map(|why| format!("; others did not, as {why}"));
                Ok(format!("{rotted}, with seed {seed}{}", why.unwrap_or_default()))
            }
        }
    }
}

fn healed(repairs: &dyn Repairs, goes_on: &dyn Fn() -> bool) -> String {
    let (mut counts, mut why) = (BTreeMap::<&str, u64>::new(), None);
    let mut last = 0;
    while goes_on() {
        let healed = repairs.heal(&[], last);
        let Some(end) = healed.last() else { break };
        last = end.id;
        for one in healed {
            *counts.entry(one.outcome.name()).or_default() += 1;
            if let Outcome::Failed(error) = one.outcome {
                why.get_or_insert(format!("; injection {} failed: {error}", one.id));
            }
        }
    }
    if counts.is_empty() {
        return "nothing to heal".to_owned();
    }
    let first = State::Healed.name();
    let rest = counts.iter().filter(|(name, _)| **name != first);
    let rest = rest.map(|(name, count)| format!(", {count} {name}")).collect::<String>();
    let count = counts.get(first).copied().unwrap_or_default();
    format!("{count} {first}{rest}{}", why.unwrap_or_default())
}
