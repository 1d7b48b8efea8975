//! What goes when others come.

use super::tests::{ended, table};
use super::*;
use crate::fault::kinds::sketches::sketch;
use crate::fault::testing::{self, fault};
use crate::fault::{Change, FaultRef, Lift, Pattern, Put, in_the_way};
use crate::ops::{Call, MethodSet};

fn set(table: &FaultTable, fault: Fault, placement: Placement) -> Put {
    let change = Change { faults: vec![(fault, placement)], ..Change::default() };
    table.put_all(change).unwrap().remove(0)
}

fn stand(name: &str) -> Fault {
    sketch(name, MethodSet::ALL).0
}

fn ids(table: &FaultTable) -> Vec<u64> {
    table.list().iter().map(|listed| listed.id.0).collect()
}

#[test]
fn a_fault_in_the_same_words_goes_on_unless_it_is_spent() {
    let table = table();
    let once = || fault("error EIO -m write --count 1 --name one");
    assert!(!set(&table, once(), Placement::Replace).unchanged);
    let put = set(&table, once(), Placement::Replace);
    assert!(put.unchanged && put.id == FaultId(1) && put.replaced.is_empty());
    // It fires for the last time, and is about to leave the table.
    let live = Arc::clone(&table.snapshot().rows[0].live);
    testing::strike(&live, Call::Write, 0).unwrap();
    let put = set(&table, once(), Placement::Replace);
    assert!(!put.unchanged, "it would never fire again");
    assert_eq!((put.id, put.replaced), (FaultId(2), vec![FaultId(1)]));
}

#[test]
fn conditions_and_latches_are_replaced_by_class() {
    let table = table();
    let (full, other) =
        (stand("filled"), stand("filled").with_pattern(Pattern::new("/a").unwrap()));
    for fault in [fault("hang -m write"), full, other, stand("timed")] {
        set(&table, fault, Placement::Replace);
    }
    assert_eq!(ids(&table), [2, 3, 4, 1], "conditions first, and none took the fault's methods");
    let put = set(&table, stand("filled"), Placement::Replace);
    assert_eq!((put.id, put.replaced), (FaultId(5), vec![FaultId(2)]));
    assert_eq!(ids(&table), [5, 3, 4, 1]);
    set(&table, fault("delay 1s -m all"), Placement::Replace);
    assert_eq!(ids(&table), [5, 3, 4, 6], "they stay when a fault comes");
    table.clear_methods(MethodSet::ALL);
    assert_eq!(ids(&table), [5, 3, 4]);
    // Two latches may stand: each stays until it is cleared.
    for id in [7, 8] {
        let put = set(&table, stand("shut-off"), Placement::Replace);
        assert_eq!((put.id, put.replaced), (FaultId(id), vec![]));
    }
    assert_eq!(ids(&table), [7, 8, 5, 3, 4], "latches before conditions");
    table.clear_all();
    assert_eq!(ids(&table), [0; 0]);
}

#[test]
fn a_latch_takes_the_place_of_one_of_its_kind_and_paths_that_has_yet_to_set_in() {
    let table = table();
    let put = |line: &str| {
        let put = set(&table, fault(line), Placement::Add);
        (put.id.0, put.replaced.iter().map(|id| id.0).collect::<Vec<_>>())
    };
    assert_eq!(put("shutdown --at write --after 5"), (1, vec![]));
    assert_eq!(put("shutdown --at write --after 5 -r /a"), (2, vec![]), "other paths");
    assert_eq!(put("read-only --at write --after 5"), (3, vec![]), "another kind");
    assert_eq!(put("shutdown --at write --after 5 --name own"), (4, vec![]), "a name");
    assert_eq!(put("shutdown --at write"), (5, vec![1]));
    // What has set in stays until it is cleared.
    let live = Arc::clone(&table.snapshot().rows[0].live);
    assert!(live.id == FaultId(5) && testing::strike(&live, Call::Write, 0).is_some());
    assert_eq!(put("shutdown --at write"), (6, vec![]));
    assert_eq!(ids(&table).len(), 5);
}

#[test]
fn what_a_change_lifts_is_cleared_and_what_it_displaces_replaced() {
    let table = table();
    for line in ["hang -m write", "hang -m read", "hang -m fsync"] {
        set(&table, fault(line), Placement::Add);
    }
    let change = Change {
        faults: vec![(fault("delay 1s -m read"), Placement::Replace)],
        remove: vec![FaultId(1)],
        ..Change::default()
    };
    table.put_all(change).unwrap();
    let why = |table: &FaultTable| {
        ended(table).into_iter().map(|(id, _, why)| (id, why)).collect::<Vec<_>>()
    };
    assert_eq!(why(&table), [(1, Why::Cleared), (2, Why::Replaced)]);
    let change = Change {
        faults: vec![(fault("delay 2s -m read"), Placement::Replace)],
        only_these: true,
        ..Change::default()
    };
    table.put_all(change).unwrap();
    assert_eq!(why(&table)[2..], [(3, Why::Replaced), (4, Why::Replaced)]);
}

#[test]
fn only_these_keeps_what_stands_in_the_same_words() {
    let table = table();
    set(&table, stand("timed"), Placement::Replace);
    for line in ["hang -m write", "error EIO -m write --name one"] {
        set(&table, fault(line), Placement::Add);
    }
    table.remove(FaultId(2));
    let recipe = || Change {
        faults: ["error EIO -m write --name one", "delay 1s -m write --name two"]
            .map(|line| (fault(line), Placement::Add))
            .into(),
        only_these: true,
        ..Change::default()
    };
    let put = table.put_all(recipe()).unwrap();
    assert_eq!(put.iter().map(|put| put.unchanged).collect::<Vec<_>>(), [true, false]);
    assert_eq!(ids(&table), [1, 3, 4]);
    assert!(table.put_all(recipe()).unwrap().iter().all(|put| put.unchanged), "twice the same");
}

#[test]
fn what_is_gone_at_the_end_of_a_change_has_lost_no_methods_to_it() {
    let table = table();
    for line in ["error ENOSPC -m read,write,fsync", "hang -m mkdir,rmdir,unlink"] {
        set(&table, fault(line), Placement::Add);
    }
    let change = |lines: &[&str], only_these| Change {
        faults: lines.iter().map(|line| (fault(line), Placement::Replace)).collect(),
        only_these,
        ..Change::default()
    };
    let told = |change| {
        let put = table.put_all(change).unwrap();
        put.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let lines = ["kill -m read,mkdir", "delay 1s -m write,fsync,rmdir"];
    assert_eq!(
        told(change(&lines, false)),
        [
            "fault 3: kill -m mkdir,read; takes mkdir from 2 (left: unlink)",
            "fault 4: delay 1s -m fsync,rmdir,write; replaces 1; takes rmdir from 2 (left: unlink)"
        ]
    );
    let other = ["hang -m write", "hang -m read"];
    assert_eq!(
        told(change(&other, true)),
        ["fault 5: hang -m write; replaces 2, 3, 4", "fault 6: hang -m read"],
        "what only lost a method is lifted with the others"
    );
}

#[test]
fn what_a_change_lets_go_is_counted_whoever_held_it() {
    let line = DelayLine::new().unwrap();
    let table = FaultTable::new(Arc::clone(&line), Some(1));
    let hold = |live: &Arc<Live>, call| {
        let hit = testing::strike(live, call, 0).unwrap();
        line.hold(hit, std::time::Instant::now(), false, Box::new(|_, _| ()));
    };
    let set = |fault: Fault| set(&table, fault, Placement::Replace);
    set(fault("hang -m fsync --count 1"));
    let spent = Arc::clone(&table.snapshot().rows[0].live);
    hold(&spent, Call::Fsync);
    table.retire(spent.id);
    set(fault("hang -m write,read"));
    let partly = Arc::clone(&table.snapshot().rows[0].live);
    hold(&partly, Call::Write);
    hold(&partly, Call::Read);
    let put = set(fault("delay 1s -m fsync,write"));
    let told = "fault 3: delay 1s -m fsync,write; takes write from 2 (left: read); released 2 held";
    assert_eq!(put.to_string(), told, "one fault was spent, one has a method left");
    assert_eq!((put.released, &*put.replaced), (2, &[][..]));
    let [taken] = put.taken.as_slice() else { panic!("{put}") };
    let only = |line: &str| fault(line).scope().methods;
    let expected = (partly.id, only("kill -m write"), only("kill -m read"));
    assert_eq!((taken.id, taken.methods, taken.left), expected);
    let put = set(fault("delay 1s -m read"));
    assert_eq!((put.released, &*put.replaced, &*put.taken), (1, &[partly.id][..], &[][..]));
    assert_eq!(put.to_string(), "fault 4: delay 1s -m read; replaces 2; released 1 held");
}

#[test]
fn a_fault_that_has_times_begins_anew() {
    let table = table();
    let again = |line: &str| {
        let before = set(&table, fault(line), Placement::Replace);
        let put = set(&table, fault(line), Placement::Replace);
        table.clear_all();
        (put.replaced == [before.id], put.changed().join("; "))
    };
    for times in ["--for 1h", "--starts 1h", "--on-for 1s --off-for 1s"] {
        let (renewed, told) = again(&format!("error EIO -m write --name one {times}"));
        assert!(renewed && told.contains("begin anew"), "{times}: {told}");
    }
    assert_eq!(again("error EIO -m write --name one"), (false, String::new()));
}

#[test]
fn what_is_lifted_is_lifted_whole_or_not_at_all() {
    let table = table();
    for line in ["hang -m write,read --name one", "hang -m mkdir", "throttle --iops 5 --name slow"]
    {
        set(&table, fault(line), Placement::Add);
    }
    let named = |names: &[&str]| names.iter().map(|name| FaultRef::new(name)).collect();
    let methods = Call::Mkdir.methods();
    let lift = Lift { methods, faults: named(&["one", "two", "slow", "9"]), ..Lift::default() };
    assert_eq!(table.lift(&lift).unwrap_err(), [1, 3]);
    assert_eq!(ids(&table).len(), 3);
    let reads = Lift { methods: Call::Read.methods(), ..Lift::default() };
    let lifted = table.lift(&reads).unwrap();
    assert_eq!(
        (lifted.faults.len(), lifted.to_string().as_str()),
        (0, "; takes read from 1 (left: write)")
    );
    let lift = Lift { methods, faults: named(&["1", "slow"]), ..Lift::default() };
    let mut lifted: Vec<u64> = table.lift(&lift).unwrap().faults.iter().map(|id| id.0).collect();
    lifted.sort_unstable();
    assert_eq!(lifted, [1, 2, 3]);
    assert!(table.list().is_empty() && table.lift(&Lift::default()).unwrap().faults.is_empty());
}

fn applied(table: &FaultTable, lines: &[&str], prune: bool) -> (Vec<(u64, bool)>, Vec<u64>) {
    let (put, lifted) = table.apply(lines.iter().map(|line| fault(line)).collect(), prune).unwrap();
    let told = put.iter().map(|put| (put.id.0, put.unchanged)).collect();
    (told, lifted.faults.iter().map(|id| id.0).collect())
}

#[test]
fn a_list_that_is_applied_again_changes_nothing() {
    let table = table();
    let told = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&told);
    table.subscribe(Box::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let list = [
        "hang -m write --name one",
        "error EIO -m read -p 50%",
        "error EIO -m read -p 50%",
        "throttle --iops 9",
        "delay 1s -m fsync --for 1h",
        "shutdown --at write --after 5",
    ];
    let (put, _) = applied(&table, &list, false);
    assert_eq!(put, [1, 2, 3, 4, 5, 6].map(|id| (id, false)));
    assert_eq!(told.load(Ordering::Relaxed), 1, "in one step");
    let listed = ids(&table);
    for prune in [false, true] {
        let (put, cleared) = applied(&table, &list, prune);
        assert_eq!(put, [1, 2, 3, 4, 5, 6].map(|id| (id, true)));
        assert_eq!((ids(&table), cleared), (listed.clone(), vec![]));
    }
    assert_eq!(told.load(Ordering::Relaxed), 1, "nobody is told of nothing");
    // One more of the same words is one more.
    let (put, _) = applied(&table, &[list[1]; 3], false);
    assert_eq!(put, [(2, true), (3, true), (7, false)]);
}

#[test]
fn what_goes_on_neither_takes_from_what_comes_with_it_nor_loses_to_it() {
    let (delay, error, hang) = ("delay 1ms -m read", "error EIO -m read", "hang -m read");
    let put = |table: &FaultTable, lines: &[(&str, Placement)]| {
        let faults = lines.iter().map(|(line, placement)| (fault(line), *placement)).collect();
        let change = Change { faults, applied: true, ..Change::default() };
        table.put_all(change).unwrap();
        ids(table)
    };
    let (replace, add) = (Placement::Replace, Placement::Add);
    for together in [[(error, replace), (delay, add)], [(delay, replace), (error, add)]] {
        let table = table();
        applied(&table, &[delay, hang], false);
        // The hang is of nobody, and goes to a new one that replaces.
        let left: &[u64] = if together[0].0 == error { &[1, 3] } else { &[1, 2, 3] };
        assert_eq!(put(&table, &together), left, "{together:?}");
    }
}

#[test]
fn what_a_list_has_not_stays_unless_it_is_pruned() {
    let table = table();
    for line in
        ["hang -m write --name one", "throttle --iops 9", "error EIO -m write", "shutdown -r a"]
    {
        set(&table, fault(line), Placement::Add);
    }
    let list = ["kill -m write", "hang -m write,read --name one"];
    let (put, cleared) = applied(&table, &list, false);
    assert_eq!((put, cleared), (vec![(5, false), (6, false)], vec![]));
    assert_eq!(ids(&table), [4, 2, 6, 3, 5], "in its place, and beside the others");
    let (put, mut cleared) = applied(&table, &list, true);
    cleared.sort_unstable();
    assert_eq!((put, cleared), (vec![(5, true), (6, true)], vec![2, 3, 4]));
    assert_eq!(ids(&table), [6, 5]);
    let gone = ended(&table).into_iter().map(|(id, _, why)| (id, why)).collect::<Vec<_>>();
    assert_eq!(gone[0], (1, Why::Replaced));
    assert!(gone[1..].iter().all(|(_, why)| *why == Why::Cleared), "{gone:?}");
    let (_, cleared) = applied(&table, &[], true);
    assert_eq!((cleared.len(), ids(&table)), (2, vec![]));
}

#[test]
fn what_has_lost_a_method_or_is_spent_is_set_anew() {
    let table = table();
    let list = ["error EIO -m write,read", "error EIO -m write --count 1 --name one"];
    applied(&table, &list, false);
    table.clear_methods(Call::Read.methods());
    let live = Arc::clone(&table.snapshot().rows[1].live);
    testing::strike(&live, Call::Write, 0).unwrap();
    let (put, _) = applied(&table, &list, false);
    assert_eq!(put, [(3, false), (4, false)]);
    assert_eq!(ids(&table), [1, 4, 3], "what is left of the first is not of the list");
}

#[test]
fn one_of_a_list_that_would_take_the_place_of_another_is_found() {
    let found = |lines: &[&str]| {
        let faults: Vec<Fault> = lines.iter().map(|line| fault(line)).collect();
        in_the_way(&faults.iter().collect::<Vec<_>>())
    };
    assert_eq!(found(&["hang -m read", "throttle --iops 1", "throttle --iops 2"]), Some((1, 2)));
    assert_eq!(found(&["shutdown --at write", "shutdown --after 3"]), Some((0, 1)));
    for beside in [
        ["throttle --iops 1", "throttle --iops 2 -r a"],
        ["throttle --iops 1 --name a", "throttle --iops 1"],
        ["throttle --iops 1", "full --free 0"],
        ["shutdown -r a", "shutdown -r a"],
        ["hang -m read", "hang -m read"],
    ] {
        assert_eq!(found(&beside), None, "{beside:?}");
    }
}
