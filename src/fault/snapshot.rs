//! The table at one moment. No locks.

use std::sync::Arc;

use super::live::Live;
use crate::ops::MethodSet;

/// A fault as a snapshot has it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) live: Arc<Live>,
    /// Those it has left; without any it goes.
    pub(super) methods: MethodSet,
}

impl Entry {
    /// The methods whose requests it is asked about, or told of.
    pub(super) fn concerned(&self) -> MethodSet {
        self.methods.union(self.live.follows())
    }
}

/// The table at one moment.
#[derive(Default)]
pub struct Snapshot {
    pub(super) version: u64,
    /// Latches, then conditions, then faults, each in the order in which they were set.
    pub(super) entries: Vec<Entry>,
    /// The methods that one of them follows.
    pub(super) follows: MethodSet,
}

impl Snapshot {
    pub(super) fn new(version: u64, entries: Vec<Entry>) -> Snapshot {
        let follows = entries.iter().map(|entry| entry.live.follows());
        let follows = follows.fold(MethodSet::EMPTY, MethodSet::union);
        Snapshot { version, entries, follows }
    }

    /// How many changes led to it.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many faults are in force.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The methods that have a fault, or one that follows.
    #[must_use]
    pub fn armed(&self) -> MethodSet {
        self.entries.iter().fold(self.follows, |set, entry| set.union(entry.methods))
    }
}
