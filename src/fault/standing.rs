//! Conditions and latches beside faults, at the gate.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use parking_lot::Mutex;

use super::kinds::sketches::{SERVICE, State, sketch};
use super::operation::{Done, Operation, Span};
use super::plan::Hold;
use super::testing::{fault, request};
use super::{
    DelayLine, Fault, FaultRef, FaultTable, Gate, Hit, Memo, Once, Placement, Rolled, Subject,
};
use crate::ops::{Call, MethodSet};

/// A file without a memory.
struct File(MethodSet);

impl Subject for File {
    fn methods(&self) -> MethodSet {
        self.0
    }

    fn memo(&self) -> Option<&Memo> {
        None
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(b"/f");
    }
}

struct Room {
    table: Arc<FaultTable>,
    gate: Gate,
}

impl Room {
    fn new() -> Room {
        let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
        Room { gate: Gate::new(Arc::clone(&table)), table }
    }

    fn add(&self, fault: Fault) {
        self.table.put(fault, Placement::Add).unwrap();
    }

    /// A sketch of every method.
    fn stand(&self, name: &str) -> Arc<Mutex<State>> {
        let (fault, state) = sketch(name, MethodSet::ALL);
        self.add(fault);
        state
    }

    fn decide(&self, call: Call) -> Option<Hit> {
        decided(&self.gate, &request(call, 0))
    }

    /// Whether another read is decided, and what is in force told, while somebody waits for that.
    fn goes_on(&self) -> bool {
        let (table, gate) = (Arc::clone(&self.table), self.gate.clone());
        let (done, is_done) = channel();
        std::thread::spawn(move || {
            let _ = decided(&gate, &on_sector(Call::Read, 0));
            done.send(table.list().len())
        });
        is_done.recv_timeout(Duration::from_secs(10)).is_ok()
    }

    /// How often each has matched, in the order in which they are asked.
    fn matched(&self) -> Vec<u64> {
        self.table.list().iter().map(|listed| listed.matched).collect()
    }
}

/// A request on one sector of a file.
fn on_sector(call: Call, n: u64) -> Operation<'static> {
    let mut op = request(call, 0);
    op.span = Some(Span { offset: n * 512, len: 512 });
    op
}

fn decided(gate: &Gate, op: &Operation<'_>) -> Option<Hit> {
    gate.decide(&[&File(op.call.methods())], op)
}

fn errno(hit: &Hit) -> Option<i32> {
    hit.errno().map(super::Errno::raw)
}

#[test]
fn what_answers_ends_what_is_asked_after_its_rank() {
    let room = Room::new();
    room.add(fault("error EPERM -m write"));
    room.stand("filled");
    room.stand("timed");
    // A full disk answers; the device is charged all the same, and the fault counts nothing.
    let hit = room.decide(Call::Write).unwrap();
    assert_eq!(errno(&hit), Some(libc::ENOSPC));
    assert!(matches!(hit.hold(), Hold::Until(_)));
    assert_eq!(room.matched(), [1, 1, 0]);
    // A latch answers before either.
    room.stand("shut-off");
    let hit = room.decide(Call::Write).unwrap();
    assert_eq!((errno(&hit), hit.hold()), (Some(libc::ESHUTDOWN), Hold::No));
    assert_eq!(room.matched(), [1, 1, 1, 0]);
}

#[test]
fn a_condition_of_time_adds_to_the_fault_that_fires() {
    let room = Room::new();
    for line in ["error EPERM -m write", "error EIO -m write"] {
        room.add(fault(line));
    }
    room.stand("timed");
    let op = request(Call::Write, 0);
    let Some(hit) = room.gate.decide(&[&File(Call::Write.methods())], &op) else {
        panic!("nothing fired")
    };
    assert_eq!(hit.hold(), Hold::for_time(op.arrived(), SERVICE));
    assert_eq!((errno(&hit), hit.id().0), (Some(libc::EPERM), 1), "the fault decides");
    assert_eq!(room.matched(), [1, 1, 0]);
}

#[test]
fn what_stands_is_asked_at_each_step_of_a_call_and_faults_once() {
    let room = Room::new();
    room.stand("timed");
    room.add(fault("error EIO -m getattr -p 0"));
    let mut rolled = Rolled::default();
    for call in [Call::Lookup, Call::Getattr, Call::Getattr] {
        let op = request(call, 0);
        let hit = room.gate.decide_once(&[&File(call.methods())], &op, &mut rolled);
        assert!(hit.is_some(), "{call:?}");
    }
    assert_eq!(room.matched(), [3, 1]);
}

#[test]
fn those_that_follow_are_told_once_of_each_request() {
    let room = Room::new();
    let syncs = Call::Fdatasync.methods();
    let (sync, state) = sketch("failing-sync", syncs);
    room.add(fault("error EPERM -m write --count 1"));
    room.add(sync);
    let done = |hit: &Hit, ran| {
        hit.done(&request(Call::Write, 0), &Done { ran, ..Done::default() });
    };
    // A fault answered: it did not run.
    let hit = room.decide(Call::Write).unwrap();
    done(&hit, false);
    done(&hit.repeat().unwrap(), false);
    // Nothing fired: it is told how it ended.
    done(&room.decide(Call::Write).unwrap(), true);
    assert_eq!(*state.lock(), State { done: vec![false, true], ..State::default() });
    assert!(room.decide(Call::Read).is_none(), "it follows writes");
    // What it planned for it learns too.
    let hit = room.decide(Call::Fsync).unwrap();
    done(&hit, false);
    assert_eq!(
        *state.lock(),
        State { planned: 1, done: vec![false, true, false], ..State::default() }
    );
}

/// That takes a system call, which a backing that hangs does not answer.
#[test]
fn where_a_file_ends_is_asked_without_a_lock_and_only_of_what_is_bad() {
    let room = Room::new();
    room.add(fault("bad-sector --range 4096..4608"));
    let once = || Once::new(FaultRef::new("another"), 1, || None);
    for pending in [false, true] {
        if pending {
            room.table.watch(vec![once()]);
        }
        for (sector, bad) in [(0, false), (8, true)] {
            let asked = Cell::new(0);
            let end = || {
                asked.set(asked.get() + 1);
                assert!(room.goes_on(), "sector {sector}, pending: {pending}");
                Some(1 << 20)
            };
            let mut read = on_sector(Call::Read, sector);
            read.ending(&end);
            let hit = decided(&room.gate, &read);
            assert_eq!(hit.as_ref().and_then(errno), bad.then_some(libc::EIO), "{sector}");
            assert_eq!(asked.get(), u32::from(bad), "sector {sector}, pending: {pending}");
        }
    }
}

/// That takes two system calls.
#[test]
fn how_large_a_file_is_is_found_out_only_for_a_write_that_may_heal() {
    let room = Room::new();
    room.add(fault("bad-sector --range 4096..4608"));
    let wants_size = |op: &Operation<'_>| decided(&room.gate, op).unwrap().wants(op).size;
    let bad = on_sector(Call::Write, 8);
    assert!(wants_size(&bad) && !wants_size(&on_sector(Call::Write, 0)));
    let written = Done { ran: true, bytes: 512, ..Done::default() };
    decided(&room.gate, &bad).unwrap().done(&bad, &written);
    assert!(!wants_size(&bad), "it is healed");
}
