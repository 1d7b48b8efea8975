//! When a latch sets in. Lock rule: that of the tally, for a comparison.

use std::sync::atomic::Ordering;

use super::{Live, Rank};
use crate::fault::operation::Operation;
use crate::ops::MethodSet;

impl Live {
    /// The methods at whose operation it sets in; None if at any.
    fn sets_in_at(&self) -> Option<MethodSet> {
        self.fault.effects().iter().find_map(|effect| effect.sets_in_at())
    }

    /// Whether it is a latch that has yet to set in, and does so not at the first operation of all.
    pub(in crate::fault) fn waits(&self) -> bool {
        self.rank == Rank::Latch && self.fault.waits() && !self.has_set_in.load(Ordering::Relaxed)
    }

    /// Whether a latch is set at this operation: at one of the methods for which it waits, but for the
    /// first of them that it lets by. Those it counts.
    #[cold]
    pub(super) fn sets_in(&self, op: &Operation<'_>) -> bool {
        if self.has_set_in.load(Ordering::Relaxed) {
            return true;
        }
        let at = self.sets_in_at();
        if at.is_some_and(|at| !at.intersects(op.call.methods())) {
            return false;
        }
        let mut tally = self.tally.lock();
        if tally.matched < self.chance.after && !self.has_set_in.load(Ordering::Relaxed) {
            tally.matched += 1;
            return false;
        }
        let first = !self.has_set_in.swap(true, Ordering::Relaxed);
        drop(tally);
        if first && (at.is_some() || self.chance.after > 0) {
            let kind = self.fault.effects().first().map_or("", |effect| effect.kind().name());
            tracing::warn!("fault {}, a {kind}, sets in at {}", self.id, op.call.name());
        }
        true
    }
}
