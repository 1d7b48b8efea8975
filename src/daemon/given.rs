//! The faults that a mount begins with. No locks.

use tracing::{info, warn};

use super::config::RunConfig;
use crate::fault::{Bounds, Change, FaultTable, Put, TooManyFaults};

/// Puts those of the file in force in one step, and the others one after another, as if each were set by a
/// command of its own; and logs them as those are.
///
/// # Errors
/// They are more than may be.
pub(super) fn set(
    table: &FaultTable,
    config: &mut RunConfig,
    bounds: &Bounds,
) -> Result<(), TooManyFaults> {
    let told =
        |option: &str, put: &[Put]| put.iter().for_each(|set| tell(table, bounds, option, set));
    let (listed, _) = table.apply(std::mem::take(&mut config.listed), false)?;
    told("--faults", &listed);
    for fault in std::mem::take(&mut config.faults) {
        let change = Change { faults: vec![fault], ..Change::default() };
        told("--fault", &table.put_all(change)?);
    }
    Ok(())
}

fn tell(table: &FaultTable, bounds: &Bounds, option: &str, set: &Put) {
    let (id, fault) = (set.id, &set.fault);
    info!("{option}: {set}");
    if let Some(files) = bounds.out_of_reach(fault.scope().methods, fault.pattern()) {
        warn!("{option}: fault {id} does not reach {files}");
    }
    for why in bounds.warnings_of(table, id) {
        warn!("{option}: fault {id}: {why}");
    }
}
