//! What stands charges what it matches. Lock rule: that of the tally, without a system call: what an effect
//! finds out by one is found out before.

use super::Live;
use crate::fault::operation::Operation;
use crate::fault::plan::Plan;

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

    /// A condition that let an operation pass has acted on it all the same, when it ran.
    #[cold]
    pub(in crate::fault) fn acted(&self) {
        self.tally.lock().fired += 1;
    }
}
