//! The gate by itself.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::fault::Errno;
use crate::fault::kinds::sketches::sketch;
use crate::fault::testing::request;
use crate::fault::{
    Chance, DelayLine, Fault, FaultId, Memo, Pattern, Placement, Probability, testing,
};
use crate::ops::Call;

/// A file that can be renamed and linked and counts how often it was asked for its paths.
struct File {
    paths: Mutex<Vec<Vec<u8>>>,
    epoch: AtomicU64,
    memo: Option<Memo>,
    asked: AtomicUsize,
}

impl File {
    fn new(path: &str) -> File {
        File {
            paths: Mutex::new(vec![path.into()]),
            epoch: AtomicU64::new(0),
            memo: Some(Memo::default()),
            asked: AtomicUsize::new(0),
        }
    }

    fn rename(&self, path: &str) {
        *self.paths.lock() = vec![path.into()];
        self.epoch.fetch_add(1, Ordering::Release);
    }

    fn link(&self, path: &str) {
        self.paths.lock().push(path.into());
        self.epoch.fetch_add(1, Ordering::Release);
    }

    fn on(&self, call: Call) -> At<'_> {
        At { file: self, methods: call.methods() }
    }
}

struct At<'a> {
    file: &'a File,
    methods: MethodSet,
}

impl Subject for At<'_> {
    fn methods(&self) -> MethodSet {
        self.methods
    }

    fn memo(&self) -> Option<&Memo> {
        self.file.memo.as_ref()
    }

    fn epoch(&self) -> u64 {
        self.file.epoch.load(Ordering::Acquire)
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        self.file.asked.fetch_add(1, Ordering::Relaxed);
        self.file.paths.lock().iter().for_each(|path| visit(path));
    }
}

fn gate() -> Gate {
    Gate::new(FaultTable::new(DelayLine::new().unwrap(), Some(1)))
}

fn fault(call: Call, pattern: &str) -> Fault {
    Fault::on(call.methods()).unwrap().with_pattern(Pattern::new(pattern).unwrap())
}

fn never(fault: Fault) -> Fault {
    let probability = Probability::NEVER;
    fault.with_chance(Chance { probability, ..Chance::default() }).unwrap()
}

fn decided(gate: &Gate, subjects: &[&dyn Subject]) -> Option<FaultId> {
    gate.decide(subjects, &request(Call::Write, 0)).map(|hit| hit.id())
}

/// Of every fault, in force or spent, in the order in which they were set.
fn counts(gate: &Gate) -> Vec<(u64, u64)> {
    let ended = gate.table.list_ended().into_iter().map(|gone| gone.fault);
    let mut all: Vec<_> = gate.table.list().into_iter().chain(ended).collect();
    all.sort_by_key(|listed| listed.id);
    all.iter().map(|l| (l.matched, l.fired)).collect()
}

#[test]
fn fires_on_its_methods_and_paths_only() {
    let gate = gate();
    assert!(!gate.armed(MethodSet::ALL));
    gate.table.put(fault(Call::Fsync, ".*/wal/.*"), Placement::Add).unwrap();
    assert!(gate.armed(Call::Fdatasync.methods()));
    assert!(!gate.armed(Call::Write.methods()));
    let (log, other) = (File::new("/d/wal/1"), File::new("/d/snap/1"));
    for _ in 0..2 {
        assert_eq!(decided(&gate, &[&log.on(Call::Fsync)]), Some(FaultId(1)));
        assert_eq!(decided(&gate, &[&log.on(Call::Fdatasync)]), Some(FaultId(1)));
        assert_eq!(decided(&gate, &[&log.on(Call::Write)]), None);
        assert_eq!(decided(&gate, &[&other.on(Call::Fsync)]), None);
    }
    assert_eq!(counts(&gate), [(4, 4)]);
}

#[test]
fn remembered_answer_asks_for_no_path() {
    let gate = gate();
    gate.table.put(fault(Call::Write, ".*/wal/.*"), Placement::Add).unwrap();
    let (log, other) = (File::new("/d/wal/1"), File::new("/d/snap/1"));
    for _ in 0..10 {
        decided(&gate, &[&log.on(Call::Write)]);
        decided(&gate, &[&other.on(Call::Write)]);
    }
    assert_eq!(log.asked.load(Ordering::Relaxed), 1);
    assert_eq!(other.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn answer_follows_rename_and_table() {
    let gate = gate();
    gate.table.put(fault(Call::Write, ".*/wal/.*"), Placement::Add).unwrap();
    let log = File::new("/d/wal.tmp/1");
    assert_eq!(decided(&gate, &[&log.on(Call::Write)]), None);
    log.rename("/d/wal/1");
    assert_eq!(decided(&gate, &[&log.on(Call::Write)]), Some(FaultId(1)));
    gate.table.put(fault(Call::Write, ".*tmp.*"), Placement::Replace).unwrap();
    assert_eq!(decided(&gate, &[&log.on(Call::Write)]), None);
    log.rename("/d/wal.tmp/1");
    assert_eq!(decided(&gate, &[&log.on(Call::Write)]), Some(FaultId(2)));
    gate.table.clear_all();
    assert_eq!(decided(&gate, &[&log.on(Call::Write)]), None);
}

#[test]
fn any_path_matches_and_each_fault_rolls_once() {
    let gate = gate();
    for pattern in [".*/bak/.*", ".*/none/.*", ".*/wal/.*", ".*"] {
        let never = never(fault(Call::Fsync, pattern));
        gate.table.put(never, Placement::Add).unwrap();
    }
    let log = File::new("/d/wal/1");
    let sync = |file: &File| assert_eq!(decided(&gate, &[&file.on(Call::Fsync)]), None);
    sync(&log);
    log.link("/d/bak/1");
    sync(&log);
    sync(&log);
    assert_eq!(counts(&gate), [(2, 0), (0, 0), (3, 0), (3, 0)]);
    assert_eq!(log.asked.load(Ordering::Relaxed), 2, "one answer covers all paths");
    log.rename("/d/bak/1");
    sync(&log);
    assert_eq!(counts(&gate), [(3, 0), (0, 0), (3, 0), (4, 0)]);
}

#[test]
fn first_that_fires_decides_and_later_ones_do_not_roll() {
    let gate = gate();
    gate.table.put(never(fault(Call::Write, "")), Placement::Add).unwrap();
    for line in ["error EIO -m write --count 1", "error ENOSPC -m write"] {
        gate.table.put(testing::fault(line), Placement::Add).unwrap();
    }
    let file = File::new("/f");
    let errno = || {
        let hit = gate.decide(&[&file.on(Call::Write)], &request(Call::Write, 7))?;
        assert_eq!(hit.caller(), 7);
        hit.errno().and_then(Errno::name)
    };
    assert_eq!([errno(), errno(), errno()], [Some("EIO"), Some("ENOSPC"), Some("ENOSPC")]);
    assert_eq!(counts(&gate), [(3, 0), (1, 1), (2, 2)]);
}

#[test]
fn behind_one_that_fires_nobody_is_looked_at_unless_somebody_follows() {
    let gate = gate();
    for _ in 0..3 {
        gate.table.put(testing::fault("error EIO -m write"), Placement::Add).unwrap();
    }
    let methods = Call::Write.methods();
    let left = || {
        let (op, snapshot) = (request(Call::Write, 0), gate.table.snapshot());
        let roll = |live: &Arc<Live>| live.strike(&op);
        let (snapshot, op) = (&**snapshot, &op);
        let hit = &mut None;
        let mut decision = Decision { op, snapshot, roll, hit, ended: None, spent: false };
        let mut places = (0..snapshot.rows.len()).map(|place| (place, methods));
        decision.ask_all(&mut places, methods);
        places.count()
    };
    assert_eq!(left(), 1, "the first fired, the second was seen to be over");
    let (follower, _) = sketch("failing-sync", Call::Fdatasync.methods());
    gate.table.put(follower, Placement::Add).unwrap();
    assert_eq!(left(), 0);
}

#[test]
fn operations_of_one_call_roll_once() {
    let gate = gate();
    let set = || never(fault(Call::Getattr, ""));
    gate.table.put(set(), Placement::Add).unwrap();
    let (dir, file) = (File::new("/d"), File::new("/d/f"));
    let mut rolled = Rolled::default();
    let mut step = |of: &File| {
        let op = request(Call::Getattr, 0);
        let _ = gate.decide_once(&[&of.on(Call::Getattr)], &op, &mut rolled);
    };
    step(&dir);
    step(&file);
    // Set meanwhile: it has not rolled yet.
    gate.table.put(set(), Placement::Add).unwrap();
    step(&file);
    step(&file);
    assert_eq!(counts(&gate), [(1, 0), (1, 0)]);
}

#[test]
fn two_paths_roll_once() {
    let gate = gate();
    gate.table.put(fault(Call::Rename, ".*"), Placement::Add).unwrap();
    let (from, to) = (File::new("/a"), File::new("/b"));
    let rename = Call::Rename;
    assert_eq!(decided(&gate, &[&from.on(rename), &to.on(rename)]), Some(FaultId(1)));
    assert_eq!(counts(&gate), [(1, 1)]);
}

#[test]
fn each_path_is_consulted_with_its_own_methods() {
    let gate = gate();
    gate.table.put(fault(Call::Write, "/destination"), Placement::Add).unwrap();
    gate.table.put(fault(Call::Read, "/destination"), Placement::Add).unwrap();
    let (from, to) = (File::new("/source"), File::new("/destination"));
    let subjects: [&dyn Subject; 2] = [&from.on(Call::CopyFrom), &to.on(Call::CopyTo)];
    assert_eq!(decided(&gate, &subjects), Some(FaultId(1)));
    assert_eq!(decided(&gate, &[&to.on(Call::CopyFrom), &from.on(Call::CopyTo)]), Some(FaultId(2)));
    assert_eq!(counts(&gate), [(1, 1), (1, 1)]);
}

#[test]
fn concerns_tells_without_counting() {
    let gate = gate();
    gate.table.put(testing::fault("hang -m read -r /a --count 1"), Placement::Add).unwrap();
    let (a, b) = (File::new("/a"), File::new("/b"));
    assert!(gate.concerns(&[&a.on(Call::Read)]));
    assert!(gate.concerns(&[&b.on(Call::Read), &a.on(Call::Read)]));
    assert!(!gate.concerns(&[&a.on(Call::Write)]));
    assert!(!gate.concerns(&[&b.on(Call::Read)]));
    assert_eq!(counts(&gate), [(0, 0)]);
    decided(&gate, &[&a.on(Call::Read)]);
    assert!(!gate.concerns(&[&a.on(Call::Read)]), "spent");
}

proptest! {
    /// With a memo or without, one file or two, one path or two: as a plain reading of the
    /// rules says.
    #[test]
    fn decision_is_that_of_the_rules(
        faults in prop::collection::vec((0usize..4, "[ab]?", 0u64..3, 1u64..4), 0..6),
        calls in prop::collection::vec((0usize..4, 0usize..4, 0usize..4), 0..40),
    ) {
        let requests = [Call::Write, Call::Read, Call::Rename, Call::Fsync];
        let gate = gate();
        let mut model = Vec::new();
        for (request, pattern, after, count) in &faults {
            let count = NonZeroU64::new(*count).unwrap();
            let chance = Chance { after: *after, count: Some(count), ..Chance::default() };
            let fault = fault(requests[*request], pattern).with_chance(chance).unwrap();
            gate.table.put(fault, Placement::Add).unwrap();
            model.push((0u64, 0u64));
        }
        let bare = File { memo: None, ..File::new("b") };
        let files = [File::new("a"), File::new("b"), bare, File::new("a")];
        files[3].link("b");
        for (request, first, second) in calls {
            let mut expected = None;
            for (place, (of, pattern, after, count)) in faults.iter().enumerate() {
                let matches = |file: usize| {
                    let paths = files[file].paths.lock();
                    pattern.is_empty() || paths.iter().any(|path| pattern.as_bytes() == path)
                };
                let (matched, fired) = &mut model[place];
                if *of != request || !(matches(first) || matches(second)) || *fired >= *count {
                    continue;
                }
                *matched += 1;
                if *matched > *after {
                    *fired += 1;
                    expected = Some(FaultId(place as u64 + 1));
                    break;
                }
            }
            let subjects: [&dyn Subject; 2] =
                [&files[first].on(requests[request]), &files[second].on(requests[request])];
            prop_assert_eq!(decided(&gate, &subjects), expected);
        }
        prop_assert_eq!(counts(&gate), model);
    }
}

/// What is remembered of a file that nothing matches holds for that table and those paths only, also
/// where their numbers do not fit where it is remembered.
#[test]
fn a_file_that_nothing_matches_is_met_by_what_comes_later() {
    // Of 28 bits each fits into a word.
    for epoch in [0, (1 << 28) - 3, 1 << 28] {
        let gate = gate();
        let file = File::new("/a/x");
        file.epoch.store(epoch, Ordering::Relaxed);
        let met = || decided(&gate, &[&file.on(Call::Write)]);
        let matching = gate.table.put(fault(Call::Write, ".*/b/.*"), Placement::Add).unwrap();
        for _ in 0..3 {
            assert_eq!(met(), None);
            assert_eq!(file.asked.load(Ordering::Relaxed), 1, "it is remembered");
        }
        for _ in 0..4 {
            file.rename("/b/x");
            assert_eq!(met(), Some(matching), "{epoch}");
            file.rename("/a/x");
            assert_eq!(met(), None);
            assert_eq!(met(), None);
        }
        let other = gate.table.put(fault(Call::Write, ".*/a/.*"), Placement::Add).unwrap();
        assert_eq!(met(), Some(other));
        gate.table.clear_all();
        assert_eq!(met(), None);
        let again = gate.table.put(fault(Call::Write, ".*/a/.*"), Placement::Add).unwrap();
        assert_eq!(met(), Some(again));
    }
}

/// It is moved several times on its way.
#[test]
fn a_hit_stays_small() {
    assert!(size_of::<Hit>() <= 128, "{} bytes", size_of::<Hit>());
}

/// What was remembered for another version says nothing of the table that is asked.
#[test]
fn what_is_known_of_another_version_is_not_believed() {
    let gate = gate();
    let file = File::new("/a/x");
    let matching = gate.table.put(fault(Call::Write, ".*"), Placement::Add).unwrap();
    let snapshot = gate.table.snapshot();
    let (op, subject) = (request(Call::Write, 0), file.on(Call::Write));
    for (version, place, fires) in
        [(snapshot.version(), None, false), (snapshot.version() + 1, None, true)]
    {
        let mut hit = None;
        let asked = Asked { subjects: &[&subject], known: Some(Known { version, place }), op: &op };
        ask_by(&snapshot, &mut hit, asked, |live| live.strike(&op));
        assert_eq!(hit.map(|hit| hit.id()), fires.then_some(matching));
    }
}
