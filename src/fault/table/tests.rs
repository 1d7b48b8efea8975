//! The table by itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::fault::Put;
use crate::fault::{Hit, MOST_ENDED, Outcome, testing};
use crate::ops::{Call, Method};

fn methods(names: &[&str]) -> MethodSet {
    names.iter().map(|name| Method::from_name(name).unwrap()).collect()
}

fn fault(names: &[&str]) -> Fault {
    Fault::on(methods(names)).unwrap()
}

pub(super) fn table() -> Arc<FaultTable> {
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
    assert_eq!(table.mask().methods(), methods(&["fsync", "read", "write"]));
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
    assert_eq!(table.mask().methods(), MethodSet::EMPTY);
    assert_eq!(table.put(fault(&["write"]), Placement::Replace), Ok(FaultId(3)));
}

#[test]
fn counts_survive_the_loss_of_a_method() {
    let table = table();
    table.put(fault(&["fsync", "write"]), Placement::Add).unwrap();
    let live = Arc::clone(&table.snapshot().rows[0].live);
    testing::strike(&live, Call::Write, 0).unwrap();
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
    table.put(testing::fault("hang -m write --for 30ms"), Placement::Add).unwrap();
    assert!(table.list()[0].expires_in <= Some(lifetime));
    let live = Arc::clone(&table.snapshot().rows[0].live);
    let hit = testing::strike(&live, Call::Write, 0).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    line.hold(hit, begin, false, Box::new(move |_, outcome| tell.send(outcome).unwrap()));
    let outcome = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(outcome, Outcome::Released);
    assert!(begin.elapsed() >= lifetime);
    assert!(table.list().is_empty());
    assert_eq!(table.mask().methods(), MethodSet::EMPTY);
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

pub(super) fn ended(table: &FaultTable) -> Vec<(u64, Vec<&'static str>, Why)> {
    let ended = table.list_ended();
    ended.iter().map(|gone| (gone.fault.id.0, gone.fault.methods.names(), gone.why)).collect()
}

/// Has the first fault fire on a write.
fn strike(table: &Arc<FaultTable>) -> Option<Hit> {
    let live = Arc::clone(&table.snapshot().rows.first()?.live);
    let hit = testing::strike(&live, Call::Write, 0)?;
    if hit.firings().any(|firing| firing.last) {
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
    for line in ["error EIO -m write --count 2", "error EIO -m write --count 2 --for 1h"] {
        let table = table();
        table.put(testing::fault(line), Placement::Add).unwrap();
        drop(strike(&table).unwrap());
        assert_eq!(listed(&table), [(1, vec!["write"])]);
        drop(strike(&table).unwrap());
        assert_eq!(listed(&table), []);
        assert_eq!(table.mask().methods(), MethodSet::EMPTY);
        assert!(strike(&table).is_none());
        assert_eq!(ended(&table), [(1, vec!["write"], Why::Spent)]);
        let gone = &table.list_ended()[0];
        assert_eq!((gone.fault.matched, gone.fault.fired), (2, 2));
        assert!(!gone.to_come, "{line}: nothing is on its way");
        assert!(!table.remove(FaultId(1)), "{line}: there is nothing to clear");
    }
}

/// A read that failed may be repeated by the kernel: it is done all the same.
#[test]
fn an_outcome_that_is_kept_for_a_repetition_is_nothing_to_come() {
    let table = table();
    table.put(testing::fault("error EIO -m write --count 1"), Placement::Add).unwrap();
    let hit = strike(&table).unwrap();
    let kept = hit.repeat().unwrap();
    let again = kept.repeat().unwrap();
    assert!(table.list_ended()[0].to_come);
    drop(hit);
    assert!(!table.list_ended()[0].to_come);
    assert!(!table.remove(FaultId(1)), "there is nothing to clear");
    drop((kept, again));
    assert!(!table.list_ended()[0].to_come);
}

#[test]
fn what_a_spent_fault_holds_is_released_by_its_methods_or_id() {
    let clears: [fn(&FaultTable); 4] = [
        |table| table.clear_methods(methods(&["write"])),
        |table| assert!(table.remove(FaultId(1)), "it holds something"),
        |table| assert!(table.put(fault(&["write"]), Placement::Replace).is_ok()),
        |table| table.clear_all(),
    ];
    for clear in clears {
        let line = DelayLine::new().unwrap();
        let table = FaultTable::new(Arc::clone(&line), None);
        let hang = testing::fault("hang -m write --count 1");
        table.put(hang, Placement::Add).unwrap();
        let hit = strike(&table).unwrap();
        assert!(table.list_ended()[0].to_come, "it is on its way to be held");
        let (tell, told) = std::sync::mpsc::channel();
        let job = move |_, outcome| tell.send(outcome).unwrap();
        line.hold(hit, Instant::now(), false, Box::new(job));
        table.clear_methods(methods(&["fsync"]));
        let gone = &table.list_ended()[0];
        assert_eq!((line.held(), gone.fault.held, gone.to_come), (1, 1, false));
        clear(&table);
        let outcome = told.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(outcome, Outcome::Released);
    }
}

#[test]
fn what_a_spent_fault_holds_is_released_when_its_time_is_over() {
    let line = DelayLine::new().unwrap();
    let table = FaultTable::new(Arc::clone(&line), None);
    let hang = testing::fault("hang -m write --count 1 --for 300ms");
    table.put(hang, Placement::Add).unwrap();
    let hit = strike(&table).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let job = move |_, outcome| tell.send(outcome).unwrap();
    line.hold(hit, Instant::now(), false, Box::new(job));
    let outcome = told.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(outcome, Outcome::Released);
}

/// Whoever clears it is told so, and what it fired on is not held when it comes.
#[test]
fn a_spent_fault_is_cleared_while_what_it_fired_on_is_on_its_way() {
    let line = DelayLine::new().unwrap();
    let table = FaultTable::new(Arc::clone(&line), Some(1));
    table.put(testing::fault("hang -m write --count 1"), Placement::Add).unwrap();
    let hit = strike(&table).unwrap();
    let lift = Lift { faults: vec![FaultRef::Id(FaultId(1))], ..Lift::default() };
    assert_eq!(table.lift(&lift).unwrap().faults, [FaultId(1)]);
    let (tell, told) = std::sync::mpsc::channel();
    let job = move |_, outcome| tell.send(outcome).unwrap();
    line.hold(hit, Instant::now(), false, Box::new(job));
    assert_eq!(told.try_recv(), Ok(Outcome::Released));
    assert_eq!(table.lift(&lift).unwrap_err(), [0], "there is nothing to clear any more");
}

#[test]
fn the_last_hundred_are_remembered_and_what_still_holds() {
    let table = table();
    table.put(testing::fault("error EIO -m write --count 1"), Placement::Add).unwrap();
    let held = strike(&table);
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
            prop_assert_eq!(table.mask().methods(), armed);
        }
    }
}

fn put(table: &FaultTable, line: &str) -> Put {
    let change =
        Change { faults: vec![(testing::fault(line), Placement::Replace)], ..Change::default() };
    table.put_all(change).unwrap().remove(0)
}

/// The kinds of the faults in force, in order.
fn kinds(table: &FaultTable) -> Vec<&'static str> {
    let listed = table.list();
    listed.iter().map(|l| l.fault.effects()[0].kind().name()).collect()
}

#[test]
fn conditions_stay_when_faults_come_and_go() {
    let table = table();
    put(&table, "error EIO -m write");
    put(&table, "throttle --iops 9");
    put(&table, "delay 1s -m write");
    assert_eq!(kinds(&table), ["throttle", "delay"]);
    table.clear_methods(MethodSet::ALL);
    assert_eq!(kinds(&table), ["throttle"]);
    let faults = vec![(testing::fault("hang -m fsync"), Placement::Replace)];
    put(&table, "delay 1s -m write");
    table.put_all(Change { faults, only_these: true, ..Change::default() }).unwrap();
    assert_eq!(kinds(&table), ["throttle", "hang"]);
    table.clear_all();
    assert!(kinds(&table).is_empty());
}

#[test]
fn a_condition_takes_the_place_of_its_like() {
    let table = table();
    let first = put(&table, "throttle --iops 9");
    put(&table, "throttle --iops 9 -r .*/wal/.*");
    put(&table, "throttle --iops 9 --name disk");
    let again = put(&table, "throttle --iops 8");
    assert_eq!(again.replaced, [first.id]);
    let ids: Vec<u64> = table.list().iter().map(|l| l.id.0).collect();
    assert_eq!(ids, [4, 2, 3], "in its place");
}

#[test]
fn a_name_that_stands_is_replaced_in_its_place_and_takes_nothing_from_others() {
    let table = table();
    let named = put(&table, "delay 1s -m fsync --name slow");
    put(&table, "delay 2s -m write");
    let again = put(&table, "delay 3s -m write,read --name slow");
    assert_eq!((again.replaced, again.unchanged), (vec![named.id], false));
    assert_eq!(listed(&table), [(3, vec!["read", "write"]), (2, vec!["write"])]);
    let same = put(&table, "delay 3s -m read,write --name slow");
    assert_eq!((same.id, same.replaced, same.unchanged), (FaultId(3), vec![], true));
    put(&table, "hang -m read");
    assert!(!put(&table, "delay 3s -m read,write --name slow").unchanged, "it had lost a method");
}

#[test]
fn several_changes_are_one_step() {
    let table = table();
    put(&table, "hang -m fsync");
    put(&table, "hang -m read");
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    table.subscribe(Box::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let faults = ["hang -m write", "kill -m write"];
    let faults = faults.map(|line| (testing::fault(line), Placement::Add)).into();
    let remove = vec![FaultId(1)];
    let put = table.put_all(Change { faults, remove, ..Change::default() }).unwrap();
    assert_eq!(put.iter().map(|put| put.id.0).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(told.load(Ordering::Relaxed), 1);
    assert_eq!(listed(&table), [(2, vec!["read"]), (3, vec!["write"]), (4, vec!["write"])]);
}
