//! The steps of a scenario made ready: what cannot be is refused before anything starts, and at its moment
//! a step is memory work. No locks.

use std::mem;
use std::time::Duration;

use super::order;
use super::script::{Command, Script, Step, When};
use super::text::Wrong;
use super::work::{Hands, Work};
use crate::fault::words::FaultWords;
use crate::fault::{Bounds, Change, FaultRef, FaultTable, Lift, NoSwap, Placement, TooManyFaults};
use crate::ops::Method;

/// How many lines are told that cannot be.
const MOST_TOLD: usize = 20;

/// The steps of one moment, which are one change of the table; or one that is about what is stored.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) when: When,
    /// Their places in the script.
    pub(super) steps: Vec<usize>,
    pub(super) change: Change,
    pub(super) lift: Lift,
    /// Which step names each of the faults that it lifts.
    lifting: Vec<usize>,
    /// What else it does, and then nothing of that.
    pub(super) work: Option<Work>,
    /// It ends the scenario.
    pub(super) ends: bool,
}

/// All of them: those at times in order, then those at firings.
///
/// # Errors
/// All steps that cannot be on this mount, each with its line.
pub(super) fn prepared(
    script: &Script,
    table: &FaultTable,
    (bounds, hands): (&Bounds, &Hands),
) -> Result<Vec<Act>, String> {
    let mut acts: Vec<Act> = Vec::new();
    let mut wrong = order::wrong(&script.steps.iter().collect::<Vec<_>>());
    for (place, step) in script.steps.iter().enumerate() {
        let mut refuse = |why: String| wrong.push(Wrong { line: step.line, why });
        is_there(step, script, table).unwrap_or_else(&mut refuse);
        if matches!(step.when, When::At(at) if at >= script.end) {
            refuse("it is not before the end".to_owned());
        }
        if let Some(work) = Work::of(script, place) {
            let work = work.and_then(|work| work.is_for(hands).map(|()| work));
            let work = work.map_err(refuse).ok();
            let (when, steps) = (step.when.clone(), vec![place]);
            acts.push(Act { steps, work, ..Act::new(when, None) });
            continue;
        }
        let is_beside = |act: &Act| act.when == step.when && act.work.is_none();
        let of_its_time = match step.when {
            When::At(_) => acts.iter_mut().find(|act| is_beside(act)),
            When::Fired(..) => None,
        };
        let mut add = |act: &mut Act| act.add(place, step, bounds).unwrap_or_else(&mut refuse);
        match of_its_time {
            Some(act) => add(act),
            None => {
                let mut act = Act::new(step.when.clone(), script.seed);
                add(&mut act);
                acts.push(act);
            }
        }
    }
    if !wrong.is_empty() {
        wrong.sort_by_key(|wrong| wrong.line);
        return Err(told(&wrong));
    }
    let time = |act: &Act| match act.when {
        When::At(at) => at,
        When::Fired(..) => Duration::MAX,
    };
    acts.sort_by_key(time);
    Ok(acts)
}

/// Whether what a step names can be there when it is its turn.
fn is_there(step: &Step, script: &Script, table: &FaultTable) -> Result<(), String> {
    let cleared: &[String] = match &step.command {
        Command::Clear(what) => what,
        Command::Put { .. }
        | Command::Only(_)
        | Command::Heal
        | Command::Rot(_)
        | Command::Cut(_)
        | Command::PowerOn
        | Command::Checkpoint
        | Command::End => &[],
    };
    let watched = match &step.when {
        When::Fired(fault, _) => Some(fault),
        When::At(_) => None,
    };
    let is_fault = |word: &&String| Method::from_name(word).is_none() && *word != "all";
    for name in cleared.iter().filter(is_fault).chain(watched) {
        if !script.may_have_set(name, step) && table.find(&FaultRef::new(name)).is_none() {
            let name = name.chars().take(64).collect::<String>();
            return Err(format!(
                "there is no fault {}, and no line before sets one of that name",
                name.escape_debug()
            ));
        }
    }
    Ok(())
}

impl Act {
    /// Of those that it lifts, the ones that the scenario has set before need not be there any more.
    pub(super) fn spares(&mut self, was_set: impl Fn(&FaultRef) -> bool) {
        let lifts = mem::take(&mut self.lift.faults).into_iter().zip(mem::take(&mut self.lifting));
        for (fault, place) in lifts {
            if was_set(&fault) {
                self.lift.also.push(fault);
            } else {
                self.lift.faults.push(fault);
                self.lifting.push(place);
            }
        }
    }

    /// Which step cannot be done, and why: the first of those that are the reason.
    pub(super) fn refused<'a>(
        &self,
        no: &NoSwap,
        script: &'a Script,
    ) -> (Option<&'a Step>, String) {
        let step = |place: &usize| script.steps.get(*place);
        match no {
            NoSwap::TooMany => {
                let mut steps = self.steps.iter().filter_map(step);
                (steps.find(|step| !step.command.faults().is_empty()), TooManyFaults.to_string())
            }
            NoSwap::Missing(places) => {
                let missing = places.iter().filter_map(|place| {
                    Some((self.lifting.get(*place)?, self.lift.faults.get(*place)?.to_string()))
                });
                let missing: Vec<_> = missing.collect();
                let first = missing.first().map(|(step, _)| *step);
                let of_it = missing.iter().filter(|(step, _)| Some(*step) == first);
                let of_it: Vec<_> = of_it.map(|(_, fault)| fault.as_str()).collect();
                (first.and_then(step), format!("there is no fault {} any more", of_it.join(", ")))
            }
        }
    }

    fn new(when: When, seed: Option<u64>) -> Act {
        let change = Change { seed, ..Change::default() };
        Act {
            when,
            steps: Vec::new(),
            change,
            lift: Lift::default(),
            lifting: Vec::new(),
            work: None,
            ends: false,
        }
    }

    fn add(&mut self, place: usize, step: &Step, bounds: &Bounds) -> Result<(), String> {
        match &step.command {
            Command::Put { fault, add } => {
                let placement = if *add { Placement::Add } else { Placement::Replace };
                self.set(fault, placement, bounds)?;
            }
            Command::Only(faults) => {
                self.change.only_these = true;
                faults.iter().try_for_each(|f| self.set(f, Placement::Replace, bounds))?;
            }
            Command::Clear(what) => self.clear(place, what),
            Command::End => self.ends = true,
            // These are work, and change no faults.
            Command::Heal
            | Command::Rot(_)
            | Command::Cut(_)
            | Command::PowerOn
            | Command::Checkpoint => {}
        }
        self.steps.push(place);
        Ok(())
    }

    fn set(
        &mut self,
        words: &FaultWords,
        placement: Placement,
        bounds: &Bounds,
    ) -> Result<(), String> {
        let fault = words.fault().map_err(|e| e.to_string().replace(['\n', '\r'], " "))?;
        if let Some(why) = bounds.refuses(&fault) {
            return Err(why);
        }
        self.change.faults.push((fault, placement));
        Ok(())
    }

    fn clear(&mut self, place: usize, what: &[String]) {
        self.lift.everything |= what.is_empty();
        for word in what {
            match Method::from_name(word) {
                Some(method) => self.lift.methods = self.lift.methods.union(method.into()),
                None if word == "all" => self.lift.everything = true,
                None => {
                    self.lift.faults.push(FaultRef::new(word));
                    self.lifting.push(place);
                }
            }
        }
    }
}

/// Lines that are wrong, in one.
fn told(wrong: &[Wrong]) -> String {
    let told = wrong.iter().take(MOST_TOLD);
    let mut told: Vec<_> = told.map(|Wrong { line, why }| format!("line {line}: {why}")).collect();
    if let Some(more @ 1..) = wrong.len().checked_sub(MOST_TOLD) {
        told.push(format!("{more} more are wrong"));
    }
    told.join("; ")
}
