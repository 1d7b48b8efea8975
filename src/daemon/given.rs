//! The faults that a mount begins with. No locks.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use super::config::RunConfig;
use super::error::StartError;
use super::state::{Left, Lost};
use crate::fault::words::FaultWords;
use crate::fault::{Bounds, Change, Fault, FaultId, FaultTable, Listed, Placement, Put};

/// The option that names a file of faults, and that which has one.
const LISTED: &str = "--faults";
const SINGLE: &str = "--fault";

/// What a run before has left, and with it this one begins.
pub(super) struct Given {
    left: Option<Left>,
    /// Those of it that are in force again.
    again: Vec<FaultId>,
    /// Those that were asked for now.
    asked: Vec<FaultId>,
}

impl Given {
    /// Takes what a run before has left, if it is kept, before the mount.
    ///
    /// # Errors
    /// As [`Left::take`].
    pub(super) fn take(config: &RunConfig, mountpoint: &Path) -> Result<Given, StartError> {
        let left = config.state.as_deref().map(|path| Left::take(path, mountpoint)).transpose()?;
        Ok(Given { left, again: Vec::new(), asked: Vec::new() })
    }

    /// Puts in force the faults of the file in one step; then the others one after another, as if each were set by a
    /// command of its own. They are logged as those are. What was left comes before, and in one step with it what
    /// would be in force without it: each that was left goes on for one of these in the same words.
    ///
    /// # Errors
    /// They are more than may be.
    pub(super) fn set(
        &mut self,
        table: &FaultTable,
        config: &mut RunConfig,
        bounds: &Bounds,
    ) -> Result<(), StartError> {
        let told = |option: &str, put: &[Put]| {
            let together = put.iter().map(|set| set.id).collect();
            put.iter().for_each(|set| tell(table, bounds, option, (set, &together)));
        };
        let Some(left) = &mut self.left else {
            return in_turn(table, config, |(option, _), put| told(option, put));
        };
        let alone = Alone::of(&table.aside(), config)?;
        let (put, _) = table.apply(std::mem::take(&mut left.faults), false)?;
        told("--state", &put);
        self.again = put.iter().map(|put| put.id).collect();
        left.lost.iter().for_each(|lost| warn!("--state: {lost}"));
        let Alone { faults, options } = alone;
        let put = table.put_all(Change { faults, applied: true, ..Change::default() })?;
        self.asked = put.iter().map(|put| put.id).collect();
        let by = |one: &'static str| {
            let put = put.iter().zip(&options).filter(move |(_, option)| **option == one);
            put.map(|(put, _)| put.clone()).collect::<Vec<Put>>()
        };
        told(LISTED, &by(LISTED));
        by(SINGLE).chunks(1).for_each(|put| told(SINGLE, put));
        Ok(())
    }

    /// Whether it is in force only because it was left.
    fn is_only_left(&self, id: FaultId) -> bool {
        self.again.contains(&id) && !self.asked.contains(&id)
    }

    /// Judges them by what the kernel turned out to be: of what was left, that which cannot be goes.
    ///
    /// # Errors
    /// One that was asked for cannot be.
    pub(super) fn judge(&mut self, table: &FaultTable, bounds: &Bounds) -> Result<(), StartError> {
        for listed in table.list() {
            let Some(why) = bounds.refuses(&listed.fault) else { continue };
            let is_only_left = self.is_only_left(listed.id);
            match &mut self.left {
                Some(left) if is_only_left => {
                    let lost = Lost::new(&FaultWords::whole(&listed.fault).line(), &why);
                    warn!("--state: {lost}");
                    left.lost.push(lost);
                    table.remove(listed.id);
                }
                _ => return Err(StartError::Fault(why)),
            }
        }
        Ok(())
    }

    /// What was left, to be kept from now on.
    pub(super) fn left(self) -> Option<Left> {
        self.left
    }
}

/// What is asked for and comes to be in force where nothing was left.
struct Alone {
    /// With the methods that they have then.
    faults: Vec<(Fault, Placement)>,
    /// By which each is asked for.
    options: Vec<&'static str>,
}

impl Alone {
    /// # Errors
    /// They are more than may be.
    fn of(aside: &FaultTable, config: &mut RunConfig) -> Result<Alone, StartError> {
        let mut asked = Vec::new();
        in_turn(aside, config, |by, put| {
            asked.extend(put.iter().map(|put| (put.id, by, Arc::clone(&put.fault))));
        })?;
        let in_force = aside.list();
        let is_in_force = |id| in_force.iter().any(|listed| listed.id == id);
        for (_, (option, _), fault) in asked.iter().filter(|(id, ..)| !is_in_force(*id)) {
            let line = FaultWords::whole(fault).line();
            info!("{option}: {line}: what is asked for after it takes its place");
        }
        let mut alone = Alone { faults: Vec::new(), options: Vec::new() };
        for Listed { id, fault, methods, .. } in &in_force {
            let by = asked.iter().find(|(asked, ..)| asked == id);
            let Some((_, (option, placement), _)) = by else { continue };
            let words = FaultWords::of(fault, *methods);
            match words.fault() {
                Ok(fault) => {
                    alone.faults.push((fault, *placement));
                    alone.options.push(option);
                }
                // As little is left of it when it is read from the file.
                Err(why) => warn!("{option}: not set ({why}): {}", words.line()),
            }
        }
        Ok(alone)
    }
}

/// Sets what is asked for; after each step that is told, with the option and how it is placed.
fn in_turn(
    table: &FaultTable,
    config: &mut RunConfig,
    mut then: impl FnMut((&'static str, Placement), &[Put]),
) -> Result<(), StartError> {
    let (put, _) = table.apply(std::mem::take(&mut config.listed), false)?;
    then((LISTED, Placement::Add), &put);
    for (fault, placement) in std::mem::take(&mut config.faults) {
        let faults = vec![(fault, placement)];
        let put = table.put_all(Change { faults, ..Change::default() })?;
        then((SINGLE, placement), &put);
    }
    Ok(())
}

fn tell(
    table: &FaultTable,
    bounds: &Bounds,
    option: &str,
    (set, together): (&Put, &BTreeSet<FaultId>),
) {
    let (id, fault) = (set.id, &set.fault);
    info!("{option}: {set}");
    if let Some(files) = bounds.out_of_reach(fault.scope().methods, fault.pattern()) {
        warn!("{option}: fault {id} does not reach {files}");
    }
    for why in bounds.warnings_of(table, id, together) {
        warn!("{option}: fault {id}: {why}");
    }
}
