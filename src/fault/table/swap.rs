//! Several changes of a table in one step. No locks of its own.

use std::cell::RefCell;
use std::sync::Arc;

use super::{FaultTable, MAX_FAULTS, TooManyFaults};
use crate::fault::ended::Why;
use crate::fault::lift::{Lift, Lifted};
use crate::fault::placing::{Change, Placement, Put, Staging};
use crate::fault::spec::Fault;
use crate::fault::swapped::{NoSwap, Swapped};
use crate::fault::taken::Taken;

impl FaultTable {
    /// Makes several changes in one step.
    ///
    /// # Errors
    /// There would be more faults than may be; nothing is changed then.
    pub(crate) fn put_all(&self, change: Change) -> Result<Vec<Put>, TooManyFaults> {
        // Nothing is named that could be missing.
        let made = self.swap(change, &Lift::default()).map_err(|_| TooManyFaults);
        let (mut put, _, swapped) = made?;
        let released = self.spread(swapped);
        if let Some(first) = put.first_mut() {
            first.released = released;
        }
        Ok(put)
    }

    /// Has a list of faults in force in one step, each beside the others; `prune`: and nothing else. What was
    /// lifted for that, and what it released.
    ///
    /// # Errors
    /// There would be more faults than may be; nothing is changed then.
    pub(crate) fn apply(
        &self,
        faults: Vec<Fault>,
        prune: bool,
    ) -> Result<(Vec<Put>, Lifted), TooManyFaults> {
        let faults = faults.into_iter().map(|fault| (fault, Placement::Add)).collect();
        let change = Change { faults, prune, applied: true, ..Change::default() };
        // Nothing is named that could be missing.
        let made = self.swap(change, &Lift::default()).map_err(|_| TooManyFaults);
        let (put, lifted, swapped) = made?;
        let released = self.spread(swapped);
        Ok((put, Lifted { released, ..lifted }))
    }

    /// Lifts that and makes these changes, in one step: in force when it returns, and told to nobody
    /// until it is [`FaultTable::spread`].
    ///
    /// # Errors
    /// Something is not there, or too much would be; nothing is changed then.
    pub(crate) fn swap(
        &self,
        change: Change,
        lift: &Lift,
    ) -> Result<(Vec<Put>, Lifted, Swapped), NoSwap> {
        let cleared = RefCell::new(change.remove.clone());
        let is_cleared = |id| cleared.borrow().contains(&id);
        let why = |id| if is_cleared(id) { Why::Cleared } else { Why::Replaced };
        let seed = change.seed.unwrap_or(self.seed);
        let (made, swapped) = self.alter(why, |rows, writer| {
            let mut staged = rows.clone();
            let mut lifted = lift.apply(&mut staged, &mut writer.ended).map_err(NoSwap::Missing)?;
            cleared.borrow_mut().extend(&lifted.faults);
            let mut staging = Staging::new(staged, writer.last_id, &change);
            change.remove.iter().for_each(|id| staging.remove(*id));
            let place = |(fault, placement)| staging.place(Arc::new(fault), placement, seed);
            let mut put: Vec<Put> = change.faults.into_iter().map(place).collect();
            if change.only_these {
                staging.lift_others(&mut put);
            }
            if change.prune {
                let pruned = staging.prune(&put);
                cleared.borrow_mut().extend(&pruned);
                lifted.faults.extend(pruned);
            }
            put.iter_mut().for_each(|put| Taken::settle(&mut put.taken, &staging.rows));
            if staging.rows.iter().filter(|row| !row.methods.is_empty()).count() > MAX_FAULTS {
                return Err(NoSwap::TooMany);
            }
            writer.ended.withdraw(staging.withdrawn);
            writer.ended.free(|live| change.remove.contains(&live.id));
            writer.last_id = staging.last_id;
            *rows = staging.rows;
            Ok((put, lifted, staging.new))
        });
        let (put, lifted, new) = made?;
        new.iter().for_each(|live| self.end_in_time(live));
        Ok((put, lifted, swapped))
    }
}
