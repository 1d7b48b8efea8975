//! The question every operation asks: is anything wrong with me?
//!
//! Unarmed, the answer is one relaxed load. Armed, what matches a file by any of its paths is
//! remembered with the inode, so that a hot file costs neither a regular expression nor its paths.
//! Lock rule: no lock but a fault's tally, and that only where a path matches.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::firing::{Firing, Hit};
use super::live::{FaultId, Live, PastCache, Strike};
use super::mask::Mask;
use super::operation::Operation;
use super::snapshot::{Entry, Snapshot};
use super::table::FaultTable;
use crate::ops::MethodSet;

/// What an operation is about: a file, which may have several paths, and the methods it consults on
/// it. A fault matches it if its pattern matches any of the paths.
pub trait Subject {
    /// The methods consulted.
    fn methods(&self) -> MethodSet;

    /// Where to remember what the paths match; none where no inode is known yet.
    fn memo(&self) -> Option<&Memo>;

    /// A number that grows whenever the set of paths may have changed, and only after it has: what
    /// is read of the paths after this number belongs to it or to a later one.
    fn epoch(&self) -> u64;

    /// Visits every path, in no order.
    fn paths(&self, visit: &mut dyn FnMut(&[u8]));
}

/// Which faults match any path of one inode, as last found out.
#[derive(Default)]
pub struct Memo(ArcSwapOption<Matches>);

/// The faults of the table's `version` whose pattern matches any of the paths of `epoch`.
struct Matches {
    version: u64,
    epoch: u64,
    /// Places in the snapshot, ascending.
    places: Box<[usize]>,
}

/// What the gate says about an operation.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// Nothing is wrong with it.
    Run,
    /// This fault fired on it.
    Hit(Hit),
}

/// The question, over a table.
#[derive(Clone)]
pub struct Gate {
    table: Arc<FaultTable>,
}

impl Gate {
    /// A gate over this table.
    #[must_use]
    pub fn new(table: Arc<FaultTable>) -> Gate {
        Gate { table }
    }

    /// Gives back memory of faults that have gone.
    pub fn shrink(&self) {
        self.table.shrink();
    }

    /// What is looked at: one relaxed load.
    #[inline]
    #[must_use]
    pub fn mask(&self) -> Mask {
        self.table.mask()
    }

    /// Whether any of these methods has a fault. If not, there is nothing to decide.
    #[inline]
    #[must_use]
    pub fn armed(&self, methods: MethodSet) -> bool {
        self.mask().methods().intersects(methods)
    }

    /// Has every operation timed from now on, not only those while a fault is set.
    pub fn time_all(&self) {
        self.table.time_all();
    }

    /// Counts the operation and rolls the dice, for each fault in order that matches one of its
    /// subjects: at most once per fault. What stands adds up; the first fault that fires ends it.
    pub fn decide(&self, subjects: &[&dyn Subject], op: &Operation<'_>) -> Verdict {
        self.decide_by(subjects, op, |live| live.strike(op))
    }

    /// The same for one of several operations that are one system call: the faults in `rolled`,
    /// ascending, have counted and rolled for it and do not again; those that now do join them.
    pub fn decide_once(
        &self,
        subjects: &[&dyn Subject],
        op: &Operation<'_>,
        rolled: &mut Vec<FaultId>,
    ) -> Verdict {
        self.decide_by(subjects, op, |live| match rolled.binary_search(&live.id) {
            Ok(_) => None,
            Err(place) => {
                rolled.insert(place, live.id);
                live.strike(op)
            }
        })
    }

    fn decide_by(
        &self,
        subjects: &[&dyn Subject],
        op: &Operation<'_>,
        roll: impl FnMut(&Arc<Live>) -> Option<Strike>,
    ) -> Verdict {
        let snapshot = self.table.snapshot();
        let mut verdict = Verdict::Run;
        let mut decision = Decision { op, roll, verdict: &mut verdict, ended: false, spent: false };
        if let [subject] = subjects {
            let methods = subject.methods();
            with_matches(&snapshot, *subject, |places| {
                places.iter().for_each(|place| decision.ask(&snapshot, *place, methods));
            });
        } else {
            let matches = matches_of_all(&snapshot, subjects);
            matches.iter().for_each(|(place, methods)| decision.ask(&snapshot, *place, *methods));
        }
        if decision.spent {
            self.retire(&verdict);
        }
        verdict
    }

    /// Those that have fired for the last time leave the table.
    #[cold]
    fn retire(&self, verdict: &Verdict) {
        if let Verdict::Hit(hit) = verdict {
            let spent = hit.firings().filter(|firing| firing.last);
            spent.for_each(|firing| self.table.retire(firing.live.id));
        }
    }

    /// Whether a fault could fire on the operation so that the kernel must not answer it by itself:
    /// one that is not spent, on its methods and path. Counts nothing and rolls no dice.
    #[must_use]
    pub fn concerns(&self, subjects: &[&dyn Subject]) -> bool {
        let hidden = |live: &Live, methods| live.hidden_by_caches(methods);
        subjects.iter().any(|subject| self.concerning(*subject, hidden, |_| ()).is_some())
    }

    /// Counts an open file with the first fault that wants its reads past the page cache.
    #[must_use]
    pub fn past_cache(&self, subject: &dyn Subject) -> Option<PastCache> {
        let wanted = |live: &Live, methods| match live.opens_past_cache() {
            true => methods,
            false => MethodSet::EMPTY,
        };
        self.concerning(subject, wanted, PastCache::new)
    }

    fn concerning<T>(
        &self,
        subject: &dyn Subject,
        of: impl Fn(&Live, MethodSet) -> MethodSet,
        then: impl FnOnce(&Arc<Live>) -> T,
    ) -> Option<T> {
        let methods = subject.methods();
        if !self.armed(methods) {
            return None;
        }
        let snapshot = self.table.snapshot();
        with_matches(&snapshot, subject, |places| {
            let mut entries = places.iter().filter_map(|place| snapshot.entries.get(*place));
            let could_fire = |entry: &&Entry| {
                entry.methods.intersects(of(&entry.live, methods)) && !entry.live.is_spent()
            };
            entries.find(could_fire).map(|entry| then(&entry.live))
        })
    }
}

/// What is decided about one operation, fault by fault.
struct Decision<'a, R> {
    op: &'a Operation<'a>,
    roll: R,
    verdict: &'a mut Verdict,
    /// Nothing else may fire; those that follow still learn of it.
    ended: bool,
    /// One has fired for the last time.
    spent: bool,
}

impl<R: FnMut(&Arc<Live>) -> Option<Strike>> Decision<'_, R> {
    #[inline]
    fn ask(&mut self, snapshot: &Snapshot, place: usize, methods: MethodSet) {
        let Some(Entry { live, methods: own }) = snapshot.entries.get(place) else { return };
        let consulted = own.intersects(live.decided_at(self.op, methods));
        let strike = if consulted && !self.ended { (self.roll)(live) } else { None };
        if strike.is_none() && !live.follows().intersects(methods) {
            return;
        }
        let firing = Firing::new(live, strike.as_ref());
        match &mut *self.verdict {
            Verdict::Hit(hit) => hit.add(firing, methods),
            run @ Verdict::Run => *run = Verdict::Hit(Hit::new(firing, methods, self.op)),
        }
        if let (Verdict::Hit(hit), Some(strike)) = (&mut *self.verdict, strike) {
            self.ended = hit.fire(self.op, &strike).ends();
            self.spent |= strike.last;
        }
    }
}

/// The places whose pattern matches any of the subjects, ascending, each once, with the methods of
/// the subjects it matches.
fn matches_of_all(snapshot: &Snapshot, subjects: &[&dyn Subject]) -> Vec<(usize, MethodSet)> {
    let mut matches: Vec<(usize, MethodSet)> = Vec::new();
    for subject in subjects {
        let methods = subject.methods();
        with_matches(snapshot, *subject, |places| {
            matches.extend(places.iter().map(|place| (*place, methods)));
        });
    }
    matches.sort_unstable_by_key(|(place, _)| *place);
    matches.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.union(next.1);
        }
        same
    });
    matches
}

/// Finds the places whose pattern matches any of the subject's paths, remembered or afresh.
fn with_matches<T>(
    snapshot: &Snapshot,
    subject: &dyn Subject,
    then: impl FnOnce(&[usize]) -> T,
) -> T {
    // Before the paths, so that an answer is never remembered under a later epoch than its own.
    let epoch = subject.epoch();
    let version = snapshot.version();
    let Some(memo) = subject.memo() else {
        return then(&find(snapshot, subject, subject.methods()));
    };
    let known = memo.0.load();
    if let Some(known) = known.as_ref().filter(|k| k.version == version && k.epoch == epoch) {
        return then(&known.places);
    }
    let places = find(snapshot, subject, MethodSet::ALL);
    let found = Arc::new(Matches { version, epoch, places });
    memo.0.store(Some(Arc::clone(&found)));
    then(&found.places)
}

/// Asks every pattern that has one of these methods, of each path until one matches.
fn find(snapshot: &Snapshot, subject: &dyn Subject, methods: MethodSet) -> Box<[usize]> {
    let mut places = Vec::new();
    subject.paths(&mut |path| {
        for (place, entry) in snapshot.entries.iter().enumerate() {
            if entry.concerned().intersects(methods)
                && let Err(at) = places.binary_search(&place)
                && entry.live.fault.scope().pattern.matches(path)
            {
                places.insert(at, place);
            }
        }
    });
    places.into()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use parking_lot::Mutex;
    use proptest::prelude::*;

    use super::*;
    use crate::fault::Errno;
    use crate::fault::testing::request;
    use crate::fault::{
        Chance, DelayLine, Fault, FaultId, Pattern, Placement, Probability, testing,
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
        match gate.decide(subjects, &request(Call::Write, 0)) {
            Verdict::Run => None,
            Verdict::Hit(hit) => Some(hit.id()),
        }
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
        let errno = || match gate.decide(&[&file.on(Call::Write)], &request(Call::Write, 7)) {
            Verdict::Hit(hit) => {
                assert_eq!(hit.caller(), 7);
                hit.errno().and_then(Errno::name)
            }
            Verdict::Run => None,
        };
        assert_eq!([errno(), errno(), errno()], [Some("EIO"), Some("ENOSPC"), Some("ENOSPC")]);
        assert_eq!(counts(&gate), [(3, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn operations_of_one_call_roll_once() {
        let gate = gate();
        let set = || never(fault(Call::Getattr, ""));
        gate.table.put(set(), Placement::Add).unwrap();
        let (dir, file) = (File::new("/d"), File::new("/d/f"));
        let mut rolled = Vec::new();
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
        assert_eq!(
            decided(&gate, &[&to.on(Call::CopyFrom), &from.on(Call::CopyTo)]),
            Some(FaultId(2))
        );
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
}
