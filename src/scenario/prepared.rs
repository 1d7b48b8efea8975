//! The steps of a scenario made ready: what cannot be is refused before anything starts, and at its moment
//! a step is memory work. No locks.

use std::time::Duration;

use super::script::{Command, Script, Step, When};
use crate::fault::words::FaultWords;
use crate::fault::{Bounds, Change, Fault, FaultRef, FaultTable, Lift, Placement};
use crate::ops::Method;

/// The steps of one moment, which are one change of the table.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) when: When,
    /// Their places in the script.
    pub(super) steps: Vec<usize>,
    pub(super) change: Change,
    pub(super) lift: Lift,
    /// It ends the scenario.
    pub(super) ends: bool,
}

/// All of them: those at times in order, then those at firings.
///
/// # Errors
/// One line: a step that cannot be on this mount.
pub(super) fn prepared(
    script: &Script,
    table: &FaultTable,
    bounds: &Bounds,
) -> Result<Vec<Act>, String> {
    let mut acts: Vec<Act> = Vec::new();
    for (place, step) in script.steps.iter().enumerate() {
        let at = |why: String| format!("line {}: {why}", step.line);
        is_there(step, script, table).map_err(at)?;
        let of_its_time = match step.when {
            When::At(_) => acts.iter_mut().find(|act| act.when == step.when),
            When::Fired(..) => None,
        };
        let act = match of_its_time {
            Some(act) => act,
            None => {
                acts.push(Act::new(step.when.clone(), script.seed));
                acts.last_mut().ok_or_else(|| at("it is lost".to_owned()))?
            }
        };
        act.add(place, step, script, bounds).map_err(at)?;
    }
    let late = |when: &When| matches!(when, When::At(time) if *time >= script.end);
    if let Some(act) = acts.iter().find(|act| late(&act.when)) {
        let line = act.steps.first().and_then(|step| script.steps.get(*step)).map(|s| s.line);
        return Err(format!("line {}: it is not before the end", line.unwrap_or_default()));
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
        _ => &[],
    };
    let watched = match &step.when {
        When::Fired(fault, _) => Some(fault),
        When::At(_) => None,
    };
    let is_fault = |word: &&String| Method::from_name(word).is_none() && *word != "all";
    for name in cleared.iter().filter(is_fault).chain(watched) {
        if !script.names(name) && table.find(&FaultRef::new(name)).is_none() {
            let name = name.chars().take(64).collect::<String>();
            return Err(format!(
                "there is no fault {}, and no line sets one of that name",
                name.escape_debug()
            ));
        }
    }
    Ok(())
}

impl Act {
    fn new(when: When, seed: Option<u64>) -> Act {
        let change = Change { seed, ..Change::default() };
        Act { when, steps: Vec::new(), change, lift: Lift::default(), ends: false }
    }

    fn add(
        &mut self,
        place: usize,
        step: &Step,
        script: &Script,
        bounds: &Bounds,
    ) -> Result<(), String> {
        let before = self.steps.last().and_then(|last| script.steps.get(*last));
        if let Some(before) = before.filter(|b| b.command.rank() > step.command.rank()) {
            return Err(format!(
                "it takes away what line {} of the same time sets; write it before that",
                before.line
            ));
        }
        match &step.command {
            Command::Put { fault, add } => {
                let placement = if *add { Placement::Add } else { Placement::Replace };
                self.set(fault, placement, bounds)?;
            }
            Command::Only(faults) => {
                self.change.only_these = true;
                faults.iter().try_for_each(|f| self.set(f, Placement::Replace, bounds))?;
            }
            Command::Clear(what) => self.clear(what),
            Command::End => self.ends = true,
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
        let is_namesake = |(other, _): &&(Fault, Placement)| {
            fault.name().is_some_and(|name| other.name() == Some(name))
        };
        if self.change.faults.iter().any(|other| is_namesake(&other)) {
            return Err("a fault of that name is set at the same time already".to_owned());
        }
        self.change.faults.push((fault, placement));
        Ok(())
    }

    fn clear(&mut self, what: &[String]) {
        self.lift.everything |= what.is_empty();
        for word in what {
            match Method::from_name(word) {
                Some(method) => self.lift.methods = self.lift.methods.union(method.into()),
                None if word == "all" => self.lift.everything = true,
                None => self.lift.faults.push(FaultRef::new(word)),
            }
        }
    }
}
