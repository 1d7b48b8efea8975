//! Who is told how an operation ended, and of what. No locks.

use super::{Firing, Hit};
use crate::fault::operation::{Done, Operation, Wants};

impl Hit {
    /// What those that planned for this operation, or follow it, want to be told.
    #[must_use]
    pub fn wants(&self, op: &Operation<'_>) -> Wants {
        let effects = self.told().flat_map(|firing| firing.live.fault.effects());
        effects.fold(Wants::default(), |wants, effect| wants.and(effect.wants(op)))
    }

    /// The operation is done and about to be answered. Once for each operation; a repetition is the
    /// operation that was told already.
    pub fn done(&self, op: &Operation<'_>, done: &Done<'_>) {
        let effects = self.told().flat_map(|firing| firing.live.fault.effects());
        effects.for_each(|effect| effect.done(op, done));
    }

    pub(super) fn told(&self) -> impl Iterator<Item = &Firing> {
        self.firings().filter(|firing| firing.repeated.is_none())
    }
}
