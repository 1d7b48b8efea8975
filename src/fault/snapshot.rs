//! The table at one moment. No locks.

use std::sync::Arc;

use super::id::FaultId;
use super::listed::Listed;
use super::live::Live;
use super::once::Once;
use super::operation::Operation;
use super::patterns::Patterns;
use crate::ops::MethodSet;

/// A fault as a snapshot has it.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) live: Arc<Live>,
    /// Those it has left; without any it goes.
    pub(super) methods: MethodSet,
}

impl Row {
    /// What is told of it.
    pub(super) fn listed(&self) -> Listed {
        Listed::of(&self.live, self.methods)
    }

    /// The methods whose requests it is asked about, or told of.
    pub(super) fn concerned(&self) -> MethodSet {
        self.methods.union(self.live.follows())
    }
}

/// Takes these methods from those that are faults, or came by auto_delay, and from no other conditions.
pub(super) fn withdraw<'a>(rows: impl IntoIterator<Item = &'a mut Row>, methods: MethodSet) {
    for row in rows.into_iter().filter(|row| row.live.goes_by_methods()) {
        row.methods = row.methods.minus(methods);
    }
}

/// The table at one moment.
#[derive(Default)]
pub struct Snapshot {
    pub(super) version: u64,
    /// Latches, then conditions, then faults, each in the order in which they were set.
    pub(super) rows: Vec<Row>,
    /// What they match, asked as one.
    pub(super) patterns: Patterns,
    /// The methods that one of them follows.
    pub(super) follows: MethodSet,
    /// What is to be done at the firings of some of them.
    pub(super) onces: Arc<[Arc<Once>]>,
}

impl Snapshot {
    /// The next one, with these rows.
    pub(super) fn after(before: &Snapshot, rows: Vec<Row>) -> Snapshot {
        let follows = rows.iter().map(|row| row.live.follows());
        let follows = follows.fold(MethodSet::EMPTY, MethodSet::union);
        let patterns = rows.iter().map(|row| (row.live.id, &row.live.fault.scope().pattern));
        let patterns = Patterns::after(&before.patterns, patterns);
        let onces = Arc::clone(&before.onces);
        Snapshot { version: before.version + 1, rows, patterns, follows, onces }
    }

    /// Whether something is to be done at a firing. What is done is in force with a next snapshot, and
    /// taken from that: who still has this one takes a turn, and finds the next.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        !self.onces.is_empty()
    }

    /// Whether one of them asks for the process of a request.
    pub(super) fn asks_for_process(&self) -> bool {
        self.rows.iter().any(|row| row.live.fault.scope().filters.ask_for_process())
    }

    /// Whether one of them asks where the file ends of which a request reads.
    pub(super) fn asks_for_end(&self, op: &Operation<'_>) -> bool {
        self.rows.iter().any(|row| row.live.looks_at_end(op))
    }

    /// How many changes led to it.
    #[must_use]
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// How many faults are in force.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The faults for which the kernel must not answer these methods by itself.
    #[must_use]
    pub(crate) fn hidden_by_caches(&self, methods: MethodSet) -> Vec<FaultId> {
        let hidden =
            |row: &&Row| row.live.reads().hidden_by_caches(methods).intersects(row.methods);
        self.rows.iter().filter(hidden).map(|row| row.live.id).collect()
    }

    /// The methods that have a fault, or one that follows.
    #[must_use]
    pub(crate) fn armed(&self) -> MethodSet {
        self.rows.iter().fold(self.follows, |set, row| set.union(row.methods))
    }
}
