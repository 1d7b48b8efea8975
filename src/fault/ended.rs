//! The faults that have gone: why, when, and their counts.
//!
//! Invariant: a fault that was spent may still hold what it has fired on, until that is due or
//! somebody clears its methods. It stays here for as long, whatever else has gone since.
//! No locks of its own: the table's writer owns it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::holding::MostHeld;
use super::id::FaultId;
use super::listed::Listed;
use super::live::Live;
use crate::ops::MethodSet;

/// How many faults that have gone are remembered.
pub const MOST_ENDED: usize = 100;

/// Why a fault has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody took its last method from it, or the whole of it away.
    Cleared,
    /// Another fault was set on its last method.
    Replaced,
    /// Its lifetime was over.
    Expired,
    /// It had fired as often as it may.
    Spent,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Why::Cleared => "cleared",
            Why::Replaced => "replaced",
            Why::Expired => "expired",
            Why::Spent => "spent",
        })
    }
}

/// One fault of a listing of those that have gone.
#[derive(Clone, Debug)]
pub struct Gone {
    /// With the methods that it had last. What it holds is what it had fired on when it was spent.
    pub fault: Listed,
    /// Why it has gone.
    pub why: Why,
    /// When.
    pub at: SystemTime,
    /// Whether an operation that it fired on may still be held: it is on its way there.
    pub to_come: bool,
}

struct Record {
    of: Of,
    methods: MethodSet,
    why: Why,
    at: SystemTime,
}

enum Of {
    /// A fault that may still hold something.
    Live(Arc<Live>),
    /// One of which nothing is left but what is told of it; its pattern is not compiled any more.
    Told(Listed),
}

impl Record {
    fn new(live: Arc<Live>, methods: MethodSet, why: Why) -> Record {
        Record { of: Of::Live(live), methods, why, at: SystemTime::now() }
    }

    fn live(&self) -> Option<&Live> {
        match &self.of {
            Of::Live(live) => Some(live),
            Of::Told(_) => None,
        }
    }

    /// Whether an operation that it fired on, or a file that was opened because of it, is left.
    fn is_needed(&self) -> bool {
        matches!(&self.of, Of::Live(live) if Arc::strong_count(live) > 1)
    }

    /// Whether an operation that it fired on is neither held nor done.
    fn is_to_come(&self) -> bool {
        let Of::Live(live) = &self.of else { return false };
        // First all, then those that are known: one that comes to be held meanwhile is among them.
        let others = Arc::strong_count(live).saturating_sub(1);
        let known = live.held() + live.past_cache() + live.repeats();
        u64::try_from(others).is_ok_and(|others| others > known)
    }

    /// Whether it holds an operation, or is about to, and can be told to let that go.
    fn holds(&self) -> bool {
        let to_come = self.is_to_come();
        let is_left = |live: &Live| !live.methods().is_empty() && (to_come || live.held() > 0);
        self.live().is_some_and(is_left)
    }

    fn listed(&self) -> Listed {
        match &self.of {
            Of::Live(live) => Listed { expires_in: None, ..Listed::of(live, self.methods) },
            Of::Told(listed) => listed.clone(),
        }
    }
}

/// Those that have gone, the latest last.
#[derive(Default)]
pub(super) struct Ended(VecDeque<Record>);

impl Ended {
    pub(super) fn push(&mut self, live: Arc<Live>, methods: MethodSet, why: Why) {
        self.0.push_back(Record::new(live, methods, why));
        if self.0.len() > MOST_ENDED
            && let Some(oldest) = self.0.iter().position(|record| !record.is_needed())
        {
            self.0.remove(oldest);
        }
    }

    /// Takes these methods from the faults that were spent: what they hold of them goes on.
    pub(super) fn withdraw(&self, methods: MethodSet) {
        for live in self.0.iter().filter_map(Record::live) {
            let left = live.methods();
            if left.intersects(methods) {
                live.reduce(left.minus(methods));
            }
        }
    }

    /// Whether one of them holds something, or is about to.
    pub(super) fn holds(&self, is_meant: impl Fn(&Live) -> bool) -> bool {
        self.0.iter().any(|record| record.live().is_some_and(&is_meant) && record.holds())
    }

    /// The same for some of them and all their methods; which of these held something, or were about to.
    pub(super) fn free(&self, is_meant: impl Fn(&Live) -> bool) -> Vec<FaultId> {
        let freed = |record: &Record| {
            let live = record.live().filter(|live| is_meant(live))?;
            let holds = record.holds();
            live.reduce(MethodSet::EMPTY);
            holds.then_some(live.id)
        };
        self.0.iter().filter_map(freed).collect()
    }

    /// The most that one of them holds at once from now on, if it may hold anything.
    pub(super) fn watch_held(&self, id: FaultId) -> Option<MostHeld> {
        let mut lives = self.0.iter().filter_map(Record::live);
        lives.find(|live| live.id == id).map(Live::watch_held)
    }

    /// Gives back what those take that are not needed any more: compiled, a pattern may be a mebibyte.
    pub(super) fn shrink(&mut self) {
        for record in self.0.iter_mut().filter(|record| !record.is_needed()) {
            let listed = record.listed();
            record.of = Of::Told(Listed { fault: Arc::new(listed.fault.told()), ..listed });
        }
    }

    pub(super) fn list(&self) -> Vec<Gone> {
        let gone = |record: &Record| {
            // Before the counts: what has come by then is counted.
            let to_come = record.is_to_come();
            Gone { fault: record.listed(), why: record.why, at: record.at, to_come }
        };
        self.0.iter().map(gone).collect()
    }
}
