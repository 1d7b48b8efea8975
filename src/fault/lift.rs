//! Lifting faults: whole, or by methods, in one step. No locks: it works on a copy of the table's rows,
//! which its writer then puts in force whole.

use std::fmt;

use super::called::FaultRef;
use super::ended::Ended;
use super::id::FaultId;
use super::live::Live;
use super::snapshot::{Row, withdraw};
use super::taken::{Effects, Taken};
use crate::ops::MethodSet;

/// What to lift in one step.
#[derive(Clone, Debug, Default)]
pub struct Lift {
    /// Faults, conditions and latches, all of them.
    pub everything: bool,
    /// Taken from every fault; one that is left without any goes.
    pub methods: MethodSet,
    /// These: each must be there.
    pub faults: Vec<FaultRef>,
    /// These, as far as they are there.
    pub also: Vec<FaultRef>,
}

/// What was lifted.
#[derive(Clone, Debug, Default)]
pub struct Lifted {
    /// The faults that have gone by it, and those named that were spent and held something.
    pub faults: Vec<FaultId>,
    /// Those that have lost methods by it, and stay.
    pub taken: Vec<Taken>,
    /// How many operations it released.
    pub released: u64,
}

/// Behind what was lifted.
impl fmt::Display for Lifted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (gone, taken, released) = (&*self.faults, &*self.taken, self.released);
        Effects { verb: "gone:", gone, taken, released }.fmt(f)
    }
}

impl Lift {
    /// Leaves those without methods that are lifted; what has come of it, but for what is released yet. Or
    /// the places of those named that are not there: nothing is changed then.
    pub(super) fn apply(&self, rows: &mut [Row], ended: &mut Ended) -> Result<Lifted, Vec<usize>> {
        let is_there = |fault: &FaultRef| {
            rows.iter().any(|row| fault.means(&row.live)) || ended.holds(|live| fault.means(live))
        };
        let places = (0..).zip(&self.faults);
        let missing: Vec<usize> =
            places.filter(|(_, fault)| !is_there(fault)).map(|(place, _)| place).collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let named = || self.faults.iter().chain(&self.also);
        let is_named = |live: &Live| named().any(|fault| fault.means(live));
        let freed = ended.free(is_named);
        ended.withdraw(if self.everything { MethodSet::ALL } else { self.methods });
        let before: Vec<MethodSet> = rows.iter().map(|row| row.methods).collect();
        withdraw(rows.iter_mut(), self.methods);
        for row in rows.iter_mut().filter(|row| self.everything || is_named(&row.live)) {
            row.methods = MethodSet::EMPTY;
        }
        let gone = rows.iter().filter(|row| row.methods.is_empty()).map(|row| row.live.id);
        let (faults, taken) = (gone.chain(freed).collect(), Taken::since(&before, rows));
        Ok(Lifted { faults, taken, released: 0 })
    }
}
