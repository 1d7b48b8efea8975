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
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::ended::{Ended, Gone, Why};
use super::hold::DelayLine;
use super::live::{FaultId, Live};
use super::tuple::Fault;
use crate::ops::MethodSet;

/// How many faults may be in force at once: a client that adds and never clears is told, long
/// before it costs memory that others need.
pub const MAX_FAULTS: usize = 1_000;

/// One fault too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_FAULTS} faults are set, and a mount takes no more; clear some, or replace them")]
pub struct TooManyFaults;

/// What becomes of the faults that hold a new fault's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// They stay; the new one comes after them.
    Add,
    /// They lose these methods, and go if none is left to them.
    Replace,
}

/// A fault as a snapshot has it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) live: Arc<Live>,
    pub(super) methods: MethodSet,
}

/// The table at one moment.
#[derive(Default)]
pub struct Snapshot {
    version: u64,
    pub(super) entries: Vec<Entry>,
}

impl Snapshot {
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

    /// The methods that have a fault.
    #[must_use]
    pub fn armed(&self) -> MethodSet {
        self.entries.iter().fold(MethodSet::EMPTY, |set, entry| set.union(entry.methods))
    }
}

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
    /// Operations that ended before their time because their callers left.
    pub let_go: u64,
    /// Operations that it would have matched if it could kill their callers.
    pub skipped: u64,
    /// What is left of its lifetime, if it has one.
    pub expires_in: Option<Duration>,
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
            expires_in: live.until.map(|until| until.saturating_duration_since(Instant::now())),
        }
    }
}

type Subscriber = Arc<dyn Fn(&Snapshot) + Send + Sync>;

#[derive(Default)]
struct Writer {
    last_id: u64,
    ended: Ended,
}

/// The faults in force, in order. The first that matches an operation and fires decides.
pub struct FaultTable {
    /// Bits of the methods that have a fault.
    armed: AtomicU64,
    snapshot: ArcSwap<Snapshot>,
    writer: Mutex<Writer>,
    subscribers: Mutex<Vec<Subscriber>>,
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
            armed: AtomicU64::new(0),
            snapshot: ArcSwap::default(),
            writer: Mutex::default(),
            subscribers: Mutex::default(),
            line,
            seed: seed.unwrap_or_else(rand::random),
            own: Weak::clone(own),
        })
    }

    /// Puts a fault in force, behind those there are; in one step with what it replaces.
    ///
    /// # Errors
    /// As many as may be would stay beside it; nothing is changed then.
    pub fn put(&self, fault: Fault, placement: Placement) -> Result<FaultId, TooManyFaults> {
        let methods = fault.methods();
        let replaced = if placement == Placement::Replace { methods } else { MethodSet::EMPTY };
        let fault = Arc::new(fault);
        let live = self.change(Why::Replaced, |entries, writer| {
            let stays = |entry: &&Entry| !entry.methods.minus(replaced).is_empty();
            if entries.iter().filter(stays).count() >= MAX_FAULTS {
                return Err(TooManyFaults);
            }
            withdraw(entries, writer, replaced);
            writer.last_id += 1;
            let live = Arc::new(Live::new(FaultId(writer.last_id), fault, self.seed));
            entries.push(Entry { live: Arc::clone(&live), methods });
            Ok(live)
        })?;
        let id = live.id;
        if let Some(until) = live.until {
            let own = Weak::clone(&self.own);
            let lift = move || {
                if let Some(table) = own.upgrade() {
                    table.end(id, Why::Expired);
                }
            };
            self.line.lift_at(until, live, Box::new(lift));
        }
        Ok(id)
    }

    /// Lifts every fault.
    pub fn clear_all(&self) {
        self.clear_methods(MethodSet::ALL);
    }

    /// Takes these methods from every fault; one that is left without any goes.
    pub fn clear_methods(&self, methods: MethodSet) {
        self.change(Why::Cleared, |entries, writer| withdraw(entries, writer, methods));
    }

    /// Lifts one fault; false if there is none of that number in force, nor one that was spent and
    /// holds something.
    pub fn remove(&self, id: FaultId) -> bool {
        self.end(id, Why::Cleared)
    }

    fn end(&self, id: FaultId, why: Why) -> bool {
        self.change(why, |entries, writer| {
            let found = entries.iter_mut().find(|entry| entry.live.id == id);
            match found {
                Some(entry) => entry.methods = MethodSet::EMPTY,
                None => return writer.ended.remove(id),
            }
            true
        })
    }

    /// A fault has fired for the last time: it is in force no more, and what it holds stays held. For
    /// threads that serve operations: who is subscribed is told later, by another.
    #[cold]
    pub(super) fn retire(&self, id: FaultId) {
        let mut writer = self.writer.lock();
        let old = self.snapshot.load_full();
        let mut entries = old.entries.clone();
        let Some(place) = entries.iter().position(|entry| entry.live.id == id) else { return };
        let Entry { live, methods } = entries.remove(place);
        writer.ended.push(live, methods, Why::Spent);
        self.install(old.version + 1, entries);
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
        let snapshot = self.snapshot.load();
        snapshot.entries.iter().map(|entry| Listed::of(&entry.live, entry.methods)).collect()
    }

    /// The last faults that have gone, the latest last: [`super::ended::MOST_ENDED`], and those that
    /// still hold something.
    #[must_use]
    pub fn list_ended(&self) -> Vec<Gone> {
        self.writer.lock().ended.list()
    }

    /// Gives back memory of faults that have gone.
    pub(super) fn shrink(&self) {
        self.writer.lock().ended.shrink();
    }

    /// Calls `subscriber` after every change from now on, when it is in force and before the call
    /// that made it returns; with the table as it then is, and without any lock held. Changes made
    /// at the same time may be told at the same time. A call that finds nothing to change is none.
    pub fn subscribe(&self, subscriber: Box<dyn Fn(&Snapshot) + Send + Sync>) {
        self.subscribers.lock().push(Arc::from(subscriber));
    }

    /// The bits of the methods that have a fault.
    ///
    /// Relaxed is enough: a change is in force for operations that begin after the call that made
    /// it has returned, and word of that return reaches their callers through the kernel.
    #[inline]
    pub(super) fn armed(&self) -> MethodSet {
        MethodSet::from_bits(self.armed.load(Ordering::Relaxed))
    }

    pub(super) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Makes one change: everybody sees all of it or nothing. Entries left without methods go, for
    /// that reason.
    fn change<T>(&self, why: Why, edit: impl FnOnce(&mut Vec<Entry>, &mut Writer) -> T) -> T {
        let (result, altered) = {
            let mut writer = self.writer.lock();
            let old = self.snapshot.load_full();
            let mut entries = old.entries.clone();
            let result = edit(&mut entries, &mut writer);
            let altered = entries.len() != old.entries.len()
                || entries.iter().zip(&old.entries).any(|(new, old)| new.methods != old.methods);
            if altered {
                for (new, old) in entries.iter().zip(&old.entries) {
                    if new.methods.is_empty() {
                        writer.ended.push(Arc::clone(&old.live), old.methods, why);
                    }
                }
                self.install(old.version + 1, entries);
            }
            (result, altered)
        };
        // Also where nothing was altered: another caller may have cleared it and not yet released.
        self.line.release();
        if altered {
            self.tell();
        }
        result
    }

    fn tell(&self) {
        let subscribers = self.subscribers.lock().clone();
        let now = self.snapshot.load_full();
        subscribers.iter().for_each(|subscriber| subscriber(&now));
    }

    /// Puts these entries in force. Only with the writer's lock.
    fn install(&self, version: u64, mut entries: Vec<Entry>) {
        for entry in entries.iter().filter(|entry| entry.methods != entry.live.methods()) {
            entry.live.reduce(entry.methods);
        }
        entries.retain(|entry| !entry.methods.is_empty());
        let next = Snapshot { version, entries };
        let armed = next.armed();
        self.snapshot.store(Arc::new(next));
        self.armed.store(armed.bits(), Ordering::Release);
    }
}

fn withdraw(entries: &mut [Entry], writer: &Writer, methods: MethodSet) {
    writer.ended.withdraw(methods);
    for entry in entries {
        entry.methods = entry.methods.minus(methods);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use proptest::prelude::*;

    use super::*;
    use crate::fault::{Delay, MOST_ENDED};
    use crate::ops::Method;

    fn methods(names: &[&str]) -> MethodSet {
        names.iter().map(|name| Method::from_name(name).unwrap()).collect()
    }

    fn fault(names: &[&str]) -> Fault {
        Fault::on(methods(names)).unwrap()
    }

    fn table() -> Arc<FaultTable> {
        FaultTable::new(DelayLine::new().unwrap(), Some(1))
    }

    fn listed(table: &FaultTable) -> Vec<(u64, Vec<&'static str>)> {
        table.list().iter().map(|l| (l.id.0, l.methods.names())).collect()
    }

    #[test]
    fn replace_takes_the_methods_from_others() {
        let table = table();
        table.put(fault(&["fsync", "write"]), Placement::Add).unwrap();
        table.put(fault(&["read"]), Placement::Add).unwrap();
        table.put(fault(&["write", "read"]), Placement::Replace).unwrap();
        assert_eq!(listed(&table), [(1, vec!["fsync"]), (3, vec!["read", "write"])]);
        assert_eq!(table.armed(), methods(&["fsync", "read", "write"]));
    }

    #[test]
    fn add_leaves_others_alone() {
        let table = table();
        table.put(fault(&["write"]), Placement::Add).unwrap();
        table.put(fault(&["write"]), Placement::Add).unwrap();
        assert_eq!(listed(&table), [(1, vec!["write"]), (2, vec!["write"])]);
    }

    #[test]
    fn ids_are_never_reused() {
        let table = table();
        table.put(fault(&["write"]), Placement::Replace).unwrap();
        assert!(table.remove(FaultId(1)));
        assert!(!table.remove(FaultId(1)));
        assert_eq!(table.put(fault(&["write"]), Placement::Replace), Ok(FaultId(2)));
        table.clear_all();
        assert_eq!(table.armed(), MethodSet::EMPTY);
        assert_eq!(table.put(fault(&["write"]), Placement::Replace), Ok(FaultId(3)));
    }

    #[test]
    fn counts_survive_the_loss_of_a_method() {
        let table = table();
        table.put(fault(&["fsync", "write"]), Placement::Add).unwrap();
        let live = Arc::clone(&table.snapshot().entries[0].live);
        live.strike(methods(&["write"]), 0).unwrap();
        table.clear_methods(methods(&["write"]));
        let listed = table.list();
        assert_eq!((listed[0].matched, listed[0].fired), (1, 1));
        assert_eq!(listed[0].methods, methods(&["fsync"]));
    }

    #[test]
    fn lifetime_lifts_the_fault_and_what_it_holds() {
        let line = DelayLine::new().unwrap();
        let table = FaultTable::new(Arc::clone(&line), None);
        let lifetime = Duration::from_millis(30);
        let begin = Instant::now();
        let fault = fault(&["write"]).with_delay(Delay::UntilCleared);
        table.put(fault.with_lifetime(lifetime).unwrap(), Placement::Add).unwrap();
        assert!(table.list()[0].expires_in <= Some(lifetime));
        let live = Arc::clone(&table.snapshot().entries[0].live);
        let hit = live.strike(methods(&["write"]), 0).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        line.hold(hit, begin, false, Box::new(move |_, outcome| tell.send(outcome).unwrap()));
        let outcome = told.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(outcome, crate::fault::Outcome::Released);
        assert!(begin.elapsed() >= lifetime);
        assert!(table.list().is_empty());
        assert_eq!(table.armed(), MethodSet::EMPTY);
    }

    #[test]
    fn subscribers_see_the_change_before_it_returns_and_may_change_more() {
        let table = table();
        let told = Arc::new(AtomicUsize::new(0));
        let (again, count) = (Arc::clone(&table), Arc::clone(&told));
        table.subscribe(Box::new(move |snapshot| {
            count.fetch_add(1, Ordering::Relaxed);
            if snapshot.armed().intersects(methods(&["fsync"])) {
                again.clear_methods(methods(&["fsync"]));
            }
        }));
        table.put(fault(&["fsync", "write"]), Placement::Add).unwrap();
        assert_eq!(told.load(Ordering::Relaxed), 2);
        assert_eq!(listed(&table), [(1, vec!["write"])]);
    }

    #[test]
    fn a_call_that_changes_nothing_tells_nobody() {
        let table = table();
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        table.subscribe(Box::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        table.clear_all();
        table.clear_methods(methods(&["fsync"]));
        table.remove(FaultId(1));
        assert_eq!((told.load(Ordering::Relaxed), table.snapshot().version()), (0, 0));
        table.put(fault(&["write"]), Placement::Add).unwrap();
        table.clear_methods(methods(&["fsync"]));
        assert_eq!((told.load(Ordering::Relaxed), table.snapshot().version()), (1, 1));
        table.clear_all();
        assert_eq!((told.load(Ordering::Relaxed), table.snapshot().version()), (2, 2));
    }

    fn ended(table: &FaultTable) -> Vec<(u64, Vec<&'static str>, Why)> {
        let ended = table.list_ended();
        ended.iter().map(|gone| (gone.fault.id.0, gone.fault.methods.names(), gone.why)).collect()
    }

    fn strike(table: &Arc<FaultTable>, names: &[&str]) -> Option<crate::fault::Hit> {
        let live = Arc::clone(&table.snapshot().entries.first()?.live);
        let hit = live.strike(methods(names), 0)?;
        if hit.is_last() {
            table.retire(hit.id());
        }
        Some(hit)
    }

    #[test]
    fn what_has_gone_is_listed_with_its_reason() {
        let table = table();
        table.put(fault(&["fsync", "write"]), Placement::Add).unwrap();
        table.put(fault(&["write"]), Placement::Replace).unwrap();
        assert_eq!(ended(&table), [], "it has a method left");
        table.put(fault(&["fsync"]), Placement::Replace).unwrap();
        table.remove(FaultId(2));
        table.clear_methods(methods(&["read", "fsync"]));
        assert_eq!(
            ended(&table),
            [
                (1, vec!["fsync"], Why::Replaced),
                (2, vec!["write"], Why::Cleared),
                (3, vec!["fsync"], Why::Cleared)
            ]
        );
    }

    #[test]
    fn a_spent_fault_leaves_table_mask_and_limit() {
        let table = table();
        let twice = std::num::NonZeroU64::new(2).unwrap();
        table.put(fault(&["write"]).with_count(twice), Placement::Add).unwrap();
        drop(strike(&table, &["write"]).unwrap());
        assert_eq!(listed(&table), [(1, vec!["write"])]);
        drop(strike(&table, &["write"]).unwrap());
        assert_eq!(listed(&table), []);
        assert_eq!(table.armed(), MethodSet::EMPTY);
        assert!(strike(&table, &["write"]).is_none());
        assert_eq!(ended(&table), [(1, vec!["write"], Why::Spent)]);
        let gone = &table.list_ended()[0].fault;
        assert_eq!((gone.matched, gone.fired), (2, 2));
        assert!(!table.remove(FaultId(1)), "there is nothing to clear");
    }

    #[test]
    fn what_a_spent_fault_holds_is_released_by_its_methods_or_id() {
        let once = std::num::NonZeroU64::MIN;
        let clears: [fn(&FaultTable); 4] = [
            |table| table.clear_methods(methods(&["write"])),
            |table| assert!(table.remove(FaultId(1)), "it holds something"),
            |table| assert!(table.put(fault(&["write"]), Placement::Replace).is_ok()),
            |table| table.clear_all(),
        ];
        for clear in clears {
            let line = DelayLine::new().unwrap();
            let table = FaultTable::new(Arc::clone(&line), None);
            let hang = fault(&["write"]).with_delay(Delay::UntilCleared).with_count(once);
            table.put(hang, Placement::Add).unwrap();
            let hit = strike(&table, &["write"]).unwrap();
            let (tell, told) = std::sync::mpsc::channel();
            let job = move |_, outcome| tell.send(outcome).unwrap();
            line.hold(hit, Instant::now(), false, Box::new(job));
            table.clear_methods(methods(&["fsync"]));
            assert_eq!((line.held(), table.list_ended()[0].fault.held), (1, 1));
            clear(&table);
            let outcome = told.recv_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!(outcome, crate::fault::Outcome::Released);
        }
    }

    #[test]
    fn the_last_hundred_are_remembered_and_what_still_holds() {
        let table = table();
        let once = std::num::NonZeroU64::MIN;
        table.put(fault(&["write"]).with_count(once), Placement::Add).unwrap();
        let held = strike(&table, &["write"]);
        for _ in 0..2 * MOST_ENDED {
            let id = table.put(fault(&["fsync"]), Placement::Add).unwrap();
            table.remove(id);
        }
        let ids = |table: &FaultTable| ended(table).iter().map(|gone| gone.0).collect::<Vec<_>>();
        let all: Vec<_> = [1].into_iter().chain(103..=201).collect();
        assert_eq!(ids(&table), all);
        drop(held);
        let id = table.put(fault(&["fsync"]), Placement::Add).unwrap();
        table.remove(id);
        assert_eq!(ids(&table), (103..=202).collect::<Vec<_>>());
    }

    #[test]
    fn one_fault_too_many_is_refused_and_changes_nothing() {
        let table = table();
        for _ in 0..MAX_FAULTS {
            table.put(fault(&["fsync", "write"]), Placement::Add).unwrap();
        }
        assert_eq!(table.put(fault(&["read"]), Placement::Add), Err(TooManyFaults));
        assert_eq!(table.put(fault(&["write"]), Placement::Replace), Err(TooManyFaults));
        assert_eq!(table.list().len(), MAX_FAULTS);
        assert!(table.list().iter().all(|l| l.methods == methods(&["fsync", "write"])));
        let id = table.put(fault(&["fsync", "write"]), Placement::Replace).unwrap();
        assert_eq!(listed(&table), [(id.0, vec!["fsync", "write"])]);
        assert_eq!(id.0, MAX_FAULTS as u64 + 1, "a refusal uses up no number");
    }

    proptest! {
        /// Against a model: a list of id and methods.
        #[test]
        fn table_is_an_ordered_list_of_method_sets(
            steps in prop::collection::vec((0u8..4, 1u64..64, 1u64..10), 1..30),
        ) {
            let table = table();
            let mut model: Vec<(u64, MethodSet)> = Vec::new();
            let mut last = 0;
            for (kind, bits, id) in steps {
                let set = MethodSet::from_bits(bits);
                let placement = if kind == 0 { Placement::Add } else { Placement::Replace };
                match kind {
                    0 | 1 => {
                        if kind == 1 {
                            model.iter_mut().for_each(|m| m.1 = m.1.minus(set));
                        }
                        last += 1;
                        model.push((last, set));
                        prop_assert_eq!(table.put(Fault::on(set).unwrap(), placement), Ok(FaultId(last)));
                    }
                    2 => {
                        model.iter_mut().for_each(|m| m.1 = m.1.minus(set));
                        table.clear_methods(set);
                    }
                    _ => {
                        let known = model.iter().any(|m| m.0 == id);
                        model.retain(|m| m.0 != id);
                        prop_assert_eq!(table.remove(FaultId(id)), known);
                    }
                }
                model.retain(|m| !m.1.is_empty());
                let got: Vec<_> = table.list().iter().map(|l| (l.id.0, l.methods)).collect();
                prop_assert_eq!(&got, &model);
                let armed = model.iter().fold(MethodSet::EMPTY, |set, m| set.union(m.1));
                prop_assert_eq!(table.armed(), armed);
            }
        }
    }
}
