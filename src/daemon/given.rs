//! The faults that a mount begins with. No locks.

use tracing::{info, warn};

use crate::fault::{Bounds, Change, Fault, FaultTable, Placement, TooManyFaults};

/// Puts them in force one after another, as if each were set by a command of its own, and logs them
/// as those are.
///
/// # Errors
/// They are more than may be.
pub(super) fn set(
    table: &FaultTable,
    faults: Vec<(Fault, Placement)>,
    bounds: &Bounds,
) -> Result<(), TooManyFaults> {
    for fault in faults {
        let change = Change { faults: vec![fault], ..Change::default() };
        for set in table.put_all(change)? {
            let (id, fault) = (set.id, &set.fault);
            info!("--fault: {set}");
            if let Some(files) = bounds.out_of_reach(fault.scope().methods, fault.pattern()) {
                warn!("--fault: fault {id} does not reach {files}");
            }
            for why in bounds.warnings_of(table, id) {
                warn!("--fault: fault {id}: {why}");
            }
        }
    }
    Ok(())
}
