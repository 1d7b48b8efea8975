//! The faults that a mount begins with. No locks.

use std::collections::BTreeSet;
use std::path::Path;

use tracing::{info, warn};

use super::config::RunConfig;
use super::error::StartError;
use super::state::{Left, Lost};
use crate::fault::words::FaultWords;
use crate::fault::{Bounds, Change, FaultId, FaultTable, Put};

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

    /// Puts in force what was left, then the faults of the file, each in one step; then the others one after
    /// another, as if each were set by a command of its own. Each that was left goes on for one that is asked for
    /// in the same words, so that they are as many as without it. They are logged as those are.
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
        if let Some(left) = &mut self.left {
            let faults = std::mem::take(&mut left.faults);
            let (put, _) = table.apply(faults, false)?;
            told("--state", &put);
            self.again = put.iter().map(|put| put.id).collect();
            left.lost.iter().for_each(|lost| warn!("--state: {lost}"));
        }
        let (put, _) = table.apply(std::mem::take(&mut config.listed), false)?;
        told("--faults", &put);
        self.asked.extend(put.iter().map(|put| put.id));
        for fault in std::mem::take(&mut config.faults) {
            let (faults, theirs) = (vec![fault], self.asked.clone());
            let applied = self.left.is_some();
            let put = table.put_all(Change { faults, applied, theirs, ..Change::default() })?;
            told("--fault", &put);
            self.asked.extend(put.iter().map(|put| put.id));
        }
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
