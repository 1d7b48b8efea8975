//! What is told of a fault. No locks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::id::FaultId;
use super::live::Live;
use super::spec::Fault;
use crate::ops::{Call, MethodSet};

/// One fault of a listing.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its number.
    pub id: FaultId,
    /// As it was set.
    pub fault: Arc<Fault>,
    /// The methods left to it.
    pub methods: MethodSet,
    /// Operations it matched.
    pub matched: u64,
    /// Operations it fired on.
    pub fired: u64,
    /// Operations it holds now.
    pub held: u64,
    /// Files that are open past the page cache because of it.
    pub past_cache: u64,
    /// Whether it is for reads, and none through the page cache meets it.
    pub spares_cached: bool,
    /// Operations that ended before their time because their callers left.
    pub let_go: u64,
    /// Operations that it would have matched if it could act on them.
    pub skipped: u64,
    /// Requests of processes that cannot be seen, if it has a filter that asks for one.
    pub unseen: u64,
    /// When it was set: its times count from then.
    pub since: Instant,
    /// What is left of its lifetime, if it has one.
    pub expires_in: Option<Duration>,
    /// Whether it is on at this moment: it has started, and is in no off phase; a latch, whether it has
    /// set in.
    pub is_on: bool,
}

impl Listed {
    pub(super) fn of(live: &Live, methods: MethodSet) -> Listed {
        let tally = live.tally();
        Listed {
            id: live.id,
            fault: Arc::clone(&live.fault),
            methods,
            matched: tally.matched,
            fired: tally.fired,
            held: live.held(),
            let_go: live.let_go(),
            skipped: live.skipped(),
            past_cache: live.past_cache(),
            spares_cached: live.reads().spares_cached() && methods.intersects(Call::Read.methods()),
            unseen: live.unseen(),
            is_on: live.is_on_now(),
            since: live.since,
            expires_in: live.until.map(|until| until.saturating_duration_since(Instant::now())),
        }
    }
}
