//! Steps that are about what is stored: heal, rot, power cuts and their kin. They take as long as the backing does,
//! so that they are done beside the other steps, one after the other. No locks.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::sync::Arc;

use super::script::{Command, Script, Step};
use super::supply::Supply;
use crate::fault::injections::{Outcome, Repairs, Rot, State};
use crate::fault::{CutWords, drawn};

/// Who does it, of a mount that has somebody.
#[derive(Clone, Default)]
pub(crate) struct Hands {
    /// Who changes what is stored.
    pub(crate) repairs: Option<Arc<dyn Repairs>>,
    /// Who has power, where it is remembered what is not durable.
    pub(crate) supply: Option<Arc<dyn Supply>>,
}

/// What one step does.
#[derive(Debug)]
pub(super) enum Work {
    Heal,
    Rot { rot: Box<Rot>, seed: u64 },
    Cut(Box<CutWords>),
    PowerOn,
    Checkpoint,
}

impl Work {
    /// What the step at that place does, if that is about what is stored.
    pub(super) fn of(script: &Script, place: usize) -> Option<Result<Work, String>> {
        let command = &script.steps.get(place)?.command;
        // Two of them are not to draw the same.
        let seed = |purpose: &str| {
            let before = script.steps.iter().take(place);
            let same = |step: &&Step| discriminant(&step.command) == discriminant(command);
            let n = before.filter(same).count() as u64;
            script.seed.map_or_else(rand::random, |seed| drawn(seed, purpose, n))
        };
        Some(match command {
            Command::Heal => Ok(Work::Heal),
            Command::Rot(words) => {
                let rot = words.rot(seed("rot"));
                rot.map(|(rot, seed)| Work::Rot { rot: Box::new(rot), seed })
            }
            Command::Cut(words) => {
                let seed = words.seed.clone().unwrap_or_else(|| seed("power-cut").to_string());
                Ok(Work::Cut(Box::new(CutWords { seed: Some(seed), ..(**words).clone() })))
            }
            Command::PowerOn => Ok(Work::PowerOn),
            Command::Checkpoint => Ok(Work::Checkpoint),
            Command::Put { .. } | Command::Only(_) | Command::Clear(_) | Command::End => {
                return None;
            }
        })
    }

    /// Whether these can do it.
    ///
    /// # Errors
    /// Why not, in one line.
    pub(super) fn is_for(&self, hands: &Hands) -> Result<(), String> {
        match self {
            Work::Heal | Work::Rot { .. } => hands.repairs().map(drop),
            Work::Cut(cut) => hands.supply()?.allows(cut),
            Work::PowerOn | Work::Checkpoint => hands.supply().map(drop),
        }
    }

    /// Whether the power is off, once it is done; None: as it was.
    pub(super) fn leaves_dark(&self) -> Option<bool> {
        match self {
            Work::Cut(cut) if cut.to.is_none() => Some(cut.stay_off),
            Work::PowerOn => Some(false),
            _ => None,
        }
    }

    /// Does it as long as it goes on: what came of it, in a line.
    ///
    /// # Errors
    /// It cannot be done.
    pub(super) fn carry_out(
        &self,
        hands: &Hands,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<String, String> {
        match self {
            Work::Heal => Ok(healed(hands.repairs()?, goes_on)),
            Work::Rot { rot, seed } => {
                let rotted = hands.repairs()?.rot(rot, goes_on)?;
                let why = rotted.failed.first().map(|why| format!("; others did not, as {why}"));
                Ok(format!("{rotted}, with seed {seed}{}", why.unwrap_or_default()))
            }
            Work::Cut(cut) => {
                let done = hands.supply()?.cut(cut)?;
                let seed = cut.seed.as_ref().filter(|_| cut.is_random());
                Ok(match seed {
                    Some(seed) => format!("{done}, with seed {seed}"),
                    None => done,
                })
            }
            Work::PowerOn => Ok(match hands.supply()?.on()? {
                true => "the power is on again".to_owned(),
                false => "the power was on already".to_owned(),
            }),
            Work::Checkpoint => {
                let n = hands.supply()?.checkpoint();
                Ok(format!("{n} {} durable", if n == 1 { "entry is" } else { "entries are" }))
            }
        }
    }
}

impl Hands {
    fn repairs(&self) -> Result<&dyn Repairs, String> {
        self.repairs.as_deref().ok_or_else(|| "this server does not serve the files".to_owned())
    }

    pub(super) fn supply(&self) -> Result<&dyn Supply, String> {
        let why = "this mount does not remember what is not durable: mount with --track-unsynced";
        self.supply.as_deref().ok_or_else(|| why.to_owned())
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
