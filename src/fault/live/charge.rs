//! What stands charges what it matches. Lock rule: that of the tally, without a system call: what an effect
//! finds out by one is found out before.

use super::Live;
use crate::fault::operation::Operation;
use crate::fault::plan::Plan;
use crate::ops::MethodSet;

impl Live {
    /// Whether one of its effects asks where the file ends of which a request reads.
    pub(in crate::fault) fn looks_at_end(&self, op: &Operation<'_>) -> bool {
        self.fault.effects().iter().any(|effect| effect.looks_at_end(op))
    }

    /// Has a condition or a latch charge it: one request after the other, in the order of their numbers.
    #[cold]
    pub(super) fn charge(&self, op: &Operation<'_>, plan: &mut Plan) -> (u64, bool) {
        if self.looks_at_end(op) {
            // A backing that hangs holds up this one, and not all that it matches.
            op.end_of_source();
        }
        let mut tally = self.tally.lock();
        let n = tally.matched;
        tally.matched += 1;
        self.act(op, n, plan);
        let acts = *plan != Plan::default();
        tally.fired += u64::from(acts);
        (n, acts)
    }

    /// A condition has acted on an operation when that ran: one that it let pass as its match of that number,
    /// or one that it only followed. The number of the match.
    #[cold]
    pub(in crate::fault) fn acted(&self, n: Option<u64>) -> u64 {
        let mut tally = self.tally.lock();
        let matched = tally.matched;
        tally.matched += u64::from(n.is_none());
        tally.fired += 1;
        n.unwrap_or(matched)
    }

    /// Whether it counts the space of some files only: what is renamed may come to be one of them, or cease
    /// to, with all that is in it.
    pub(in crate::fault) fn counts_some(&self) -> bool {
        let counts = self.fault.effects().iter().any(|effect| effect.ledger().is_some());
        counts && !self.fault.pattern().as_str().is_empty()
    }

    /// Whether it limits an operation that its pattern does not match, with these methods left to it.
    pub(in crate::fault) fn limits(&self, op: &Operation<'_>, methods: MethodSet) -> bool {
        methods.intersects(op.call.methods()) && (!self.sifts || self.is_sifted(op))
    }
}
