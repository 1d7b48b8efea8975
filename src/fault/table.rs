//! The table of faults in force.
//!
//! Invariant: readers see immutable snapshots, swapped whole, so that an operation sees the table
//! before a change or after it. When a change returns it is in force: snapshot and armed mask are
//! swapped, and what it released is on its way. There are never more than [`MAX_FAULTS`]. A fault
//! that has fired for the last time goes at once, and what it holds stays held.
//! Lock rule: writers take turns by a mutex over memory only; the delay line and the subscribers
//! are called after it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::called::FaultRef;
use super::ended::{Ended, Gone, Why};
use super::hold::DelayLine;
use super::holding::MostHeld;
use super::id::FaultId;
use super::injections::{Injected, Injections};
use super::lift::{Lift, Lifted};
use super::listed::Listed;
use super::live::Live;
use super::mask::{Mask, MaskWord};
use super::once::Once;
use super::placing::{Change, Placement};
use super::snapshot::{Row, Snapshot};
use super::spec::Fault;
use super::subject::{Bare, with_matches};
use super::swapped::Swapped;
use super::trace::{Trace, Tracing};
use crate::ops::MethodSet;

/// How many faults may be in force at once: a client that adds and never clears is told, long
/// before it costs memory that others need.
pub const MAX_FAULTS: usize = 1_000;

/// One fault too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_FAULTS} faults are set, and a mount takes no more; clear some, or replace them")]
pub struct TooManyFaults;

type Subscriber = Arc<dyn Fn(&Snapshot) + Send + Sync>;

#[derive(Default)]
struct Writer {
    last_id: u64,
    ended: Ended,
}

/// The faults in force, in order. The first that matches an operation and fires decides.
pub struct FaultTable {
    mask: MaskWord,
    trace: Trace,
    injected: Injected,
    snapshot: ArcSwap<Snapshot>,
    /// Of the snapshot, or already of the next: who has found nothing in the former asks again.
    version: AtomicU64,
    writer: Mutex<Writer>,
    subscribers: Mutex<Vec<Subscriber>>,
    /// Decisions take turns while something is to be done at a firing.
    turn: Mutex<()>,
    line: Arc<DelayLine>,
    seed: u64,
    own: Weak<FaultTable>,
}

impl FaultTable {
    /// An empty table whose faults hold operations on `line`. With a seed, the n-th operation that
    /// matches a fault has the same outcome in every run.
    #[must_use]
    pub fn new(line: Arc<DelayLine>, seed: Option<u64>) -> Arc<FaultTable> {
        Arc::new_cyclic(|own| FaultTable {
            mask: MaskWord::default(),
            trace: Trace::default(),
            injected: Injected::default(),
            snapshot: ArcSwap::default(),
            version: AtomicU64::new(0),
            writer: Mutex::default(),
            subscribers: Mutex::default(),
            turn: Mutex::default(),
            line,
            seed: seed.unwrap_or_else(rand::random),
            own: Weak::clone(own),
        })
    }

    /// An empty one to try faults in, that no operation asks.
    #[must_use]
    pub(crate) fn aside(&self) -> Arc<FaultTable> {
        FaultTable::new(Arc::clone(&self.line), Some(self.seed))
    }

    /// Puts a fault in force, behind those of its rank; in one step with what it replaces.
    ///
    /// # Errors
    /// As many as may be would stay beside it; nothing is changed then.
    pub fn put(&self, fault: Fault, placement: Placement) -> Result<FaultId, TooManyFaults> {
        let change = Change { faults: vec![(fault, placement)], ..Change::default() };
        let put = self.put_all(change)?;
        // One for each fault.
        put.first().map(|put| put.id).ok_or(TooManyFaults)
    }

    /// Has a fault with a lifetime end when that is over.
    fn end_in_time(&self, live: &Live) {
        let (id, Some(until)) = (live.id, live.until) else { return };
        let own = Weak::clone(&self.own);
        let lift = move || {
            if let Some(table) = own.upgrade() {
                table.expire(id);
            }
        };
        self.line.lift_at(until, live.left(), Box::new(lift));
    }

    /// Lifts all that, in one step.
    ///
    /// # Errors
    /// The places in [`Lift::faults`] of those of which none is in force, nor was spent and holds
    /// something; nothing is changed then.
    pub fn lift(&self, lift: &Lift) -> Result<Lifted, Vec<usize>> {
        let edit = |rows: &mut Vec<Row>, writer: &mut Writer| lift.apply(rows, &mut writer.ended);
        let (lifted, released) = self.change(|_| Why::Cleared, edit);
        lifted.map(|lifted| Lifted { released, ..lifted })
    }

    /// Lifts everything: faults, conditions and latches.
    pub fn clear_all(&self) {
        // None is named that could be missing.
        let _ = self.lift(&Lift { everything: true, ..Lift::default() });
    }

    /// Takes these methods from every fault; one that is left without any goes. Conditions and
    /// latches stay.
    pub fn clear_methods(&self, methods: MethodSet) {
        let _ = self.lift(&Lift { methods, ..Lift::default() });
    }

    /// Lifts one fault; false if there is none of that number in force, nor one that was spent and
    /// holds something.
    pub fn remove(&self, id: FaultId) -> bool {
        self.lift(&Lift { faults: vec![FaultRef::Id(id)], ..Lift::default() }).is_ok()
    }

    /// The time of a fault is over, of one that was spent before it too: what that holds goes on.
    fn expire(&self, id: FaultId) {
        self.change(
            |_| Why::Expired,
            |rows, writer| {
                let over = rows.iter_mut().filter(|row| row.live.id == id);
                over.for_each(|row| row.methods = MethodSet::EMPTY);
                writer.ended.free(|live| live.id == id);
            },
        );
    }

    /// A fault has fired for the last time: it is in force no more, and what it holds stays held. For
    /// threads that serve operations: who is subscribed is told later, by another.
    #[cold]
    pub(super) fn retire(&self, id: FaultId) {
        let mut writer = self.writer.lock();
        let old = self.snapshot.load_full();
        let mut rows = old.rows.clone();
        let Some(place) = rows.iter().position(|row| row.live.id == id) else { return };
        let Row { live, methods } = rows.remove(place);
        writer.ended.push(live, methods, Why::Spent);
        self.install(&old, rows, Arc::clone(&old.onces));
        drop(writer);
        let own = Weak::clone(&self.own);
        self.line.help(Box::new(move || {
            if let Some(table) = own.upgrade() {
                table.tell();
            }
        }));
    }

    /// The faults in force, in order, and their counts.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        self.snapshot.load().rows.iter().map(Row::listed).collect()
    }

    /// The same, each with the fault that keeps it from firing as long as that stands, where the table
    /// tells it: each is held against all before it.
    #[must_use]
    pub(crate) fn list_hidden(&self) -> Vec<(Listed, Option<FaultId>)> {
        let snapshot = self.snapshot.load();
        let rows = (0..).zip(&snapshot.rows);
        rows.map(|(place, row)| (row.listed(), snapshot.hider(place))).collect()
    }

    /// Those that requests on a path meet, found as these find them; each as in a listing.
    #[must_use]
    pub(crate) fn meeting(&self, path: &[u8]) -> Vec<(Listed, Option<FaultId>)> {
        let snapshot = self.snapshot.load();
        with_matches(&snapshot, &Bare(path), |places| {
            let row =
                |place: &usize| Some((snapshot.rows.get(*place)?.listed(), snapshot.hider(*place)));
            places.iter().filter_map(row).collect()
        })
    }

    /// One of them.
    #[must_use]
    pub fn find(&self, fault: &FaultRef) -> Option<Listed> {
        let snapshot = self.snapshot.load();
        snapshot.rows.iter().find(|row| fault.means(&row.live)).map(Row::listed)
    }

    /// Whether there was ever a fault of that number.
    pub(crate) fn has_set(&self, id: FaultId) -> bool {
        id.0 <= self.writer.lock().last_id
    }

    /// The fault that keeps this one from firing as long as it stands.
    #[must_use]
    pub(crate) fn hider(&self, id: FaultId) -> Option<FaultId> {
        let snapshot = self.snapshot.load();
        let place = snapshot.rows.iter().position(|row| row.live.id == id)?;
        snapshot.hider(place)
    }

    /// Those that it keeps from firing as long as it stands, where the table tells it.
    #[must_use]
    pub(crate) fn hidden_by(&self, id: FaultId) -> Vec<FaultId> {
        self.snapshot.load().hidden_by(id)
    }

    /// The last faults that have gone, the latest last: [`super::ended::MOST_ENDED`], and those that
    /// still hold something.
    #[must_use]
    pub fn list_ended(&self) -> Vec<Gone> {
        self.writer.lock().ended.list()
    }

    /// The most operations that a fault, one in force or that has gone, holds at once from now on. None of
    /// one that is unknown, or of which nothing is left to be held.
    pub(crate) fn watch_held(&self, id: FaultId) -> Option<MostHeld> {
        let snapshot = self.snapshot.load();
        let row = snapshot.rows.iter().find(|row| row.live.id == id);
        // One that goes is among those that have gone before the snapshot is without it.
        row.map(|row| row.live.watch_held()).or_else(|| self.writer.lock().ended.watch_held(id))
    }

    /// Gives back memory of faults that have gone.
    pub(super) fn shrink(&self) {
        self.writer.lock().ended.shrink();
    }

    /// Calls `subscriber` after every change from now on, when it is in force and before the call
    /// that made it returns; with the table as it then is, and without any lock held. Changes made
    /// at the same time may be told at the same time. A call that finds nothing to change is none.
    pub(crate) fn subscribe(&self, subscriber: Box<dyn Fn(&Snapshot) + Send + Sync>) {
        self.subscribers.lock().push(Arc::from(subscriber));
    }

    #[inline]
    pub(super) fn mask(&self) -> Mask {
        self.mask.load()
    }

    /// The trace of what operations meet. Clearing faults leaves it alone.
    #[must_use]
    pub fn trace(&self) -> Tracing<'_> {
        Tracing::new(&self.trace, &self.mask)
    }

    /// What faults have made of bytes. Clearing faults leaves it alone.
    #[must_use]
    pub fn injections(&self) -> Injections<'_> {
        Injections::new(&self.injected, &self.mask)
    }

    /// What the dice were seeded with, by `--seed` or by chance.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn time_all(&self) {
        self.mask.time_all();
    }

    /// Has every operation timed while a scenario runs, or no longer.
    pub(crate) fn time_for_run(&self, on: bool) {
        self.mask.time_for_run(on);
    }

    pub(super) fn log_all(&self) {
        self.mask.log_all();
    }

    /// The snapshot's, or already the next one's.
    #[inline]
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Makes one change: everybody sees all of it or nothing. Entries left without methods go; `why`
    /// tells the reason of each. Also how many operations it let go.
    fn change<T>(
        &self,
        why: impl Fn(FaultId) -> Why,
        edit: impl FnOnce(&mut Vec<Row>, &mut Writer) -> T,
    ) -> (T, u64) {
        let (result, swapped) = self.alter(why, edit);
        (result, self.spread(swapped))
    }

    /// The same, told to nobody.
    fn alter<T>(
        &self,
        why: impl Fn(FaultId) -> Why,
        edit: impl FnOnce(&mut Vec<Row>, &mut Writer) -> T,
    ) -> (T, Swapped) {
        let (result, altered) = {
            let mut writer = self.writer.lock();
            let old = self.snapshot.load_full();
            let mut rows = old.rows.clone();
            let result = edit(&mut rows, &mut writer);
            // New ones may stand between; those that were there keep their order.
            let latest = old.rows.iter().map(|row| row.live.id).max();
            let kept = || rows.iter().filter(|row| Some(row.live.id) <= latest);
            let altered = rows.len() != old.rows.len()
                || kept().zip(&old.rows).any(|(new, old)| new.methods != old.methods);
            if altered {
                for (new, old) in kept().zip(&old.rows) {
                    if new.methods.is_empty() {
                        writer.ended.push(Arc::clone(&old.live), old.methods, why(old.live.id));
                    }
                }
                self.install(&old, rows, Arc::clone(&old.onces));
            }
            (result, altered)
        };
        (result, Swapped { altered })
    }

    /// Lets go what a change has let go, and has all know of it. How many operations that were.
    pub(crate) fn spread(&self, swapped: Swapped) -> u64 {
        // Also where nothing was altered: another caller may have cleared it and not yet released.
        let released = self.line.release();
        if swapped.altered {
            self.tell();
        }
        u64::try_from(released).unwrap_or(u64::MAX)
    }

    fn tell(&self) {
        let subscribers = self.subscribers.lock().clone();
        let now = self.snapshot.load_full();
        subscribers.iter().for_each(|subscriber| subscriber(&now));
    }

    /// Puts these rows in force. Only with the writer's lock.
    fn install(&self, before: &Snapshot, mut rows: Vec<Row>, onces: Arc<[Arc<Once>]>) {
        for row in rows.iter().filter(|row| row.methods != row.live.methods()) {
            row.live.reduce(row.methods);
        }
        rows.retain(|row| !row.methods.is_empty());
        let next = Snapshot { onces, ..Snapshot::after(before, rows) };
        let armed = next.armed();
        // First: whoever has met the new snapshot finds nothing remembered of the old one.
        self.version.store(next.version(), Ordering::Release);
        self.snapshot.store(Arc::new(next));
        self.mask.arm(armed);
    }
}

mod swap;
mod turn;

#[cfg(test)]
mod placing;
#[cfg(test)]
mod tests;
