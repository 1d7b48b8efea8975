//! The fault engine under many threads: nothing stays held, nothing is lost, nothing runs twice.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use slowfs::fault::Hold;
use slowfs::fault::Plain;
use slowfs::fault::{Caller, Operation};
use slowfs::fault::{
    Chance, DelayLine, Fault, FaultId, FaultTable, Gate, Memo, Outcome, Pattern, Placement,
    Probability, Subject, Term,
};
use slowfs::ops::{Call, MethodSet};

const PATIENCE: Duration = Duration::from_secs(60);

const REQUESTS: [Call; 4] = [Call::Write, Call::Read, Call::Fsync, Call::Fdatasync];

/// A file that keeps its path.
struct File {
    path: &'static str,
    memo: Memo,
}

impl File {
    fn new(path: &'static str) -> File {
        File { path, memo: Memo::default() }
    }
}

struct At<'a>(&'a File, Call);

impl Subject for At<'_> {
    fn methods(&self) -> MethodSet {
        self.1.methods()
    }

    fn memo(&self) -> Option<&Memo> {
        Some(&self.0.memo)
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(self.0.path.as_bytes());
    }
}

/// What was begun and what became of it.
#[derive(Default)]
struct Book {
    /// How often each operation that was held has run.
    runs: parking_lot::Mutex<Vec<Arc<AtomicUsize>>>,
    early: AtomicUsize,
    ended: AtomicUsize,
}

struct Engine {
    line: Arc<DelayLine>,
    table: Arc<FaultTable>,
    gate: Gate,
    book: Arc<Book>,
}

impl Engine {
    fn new(seed: u64) -> Engine {
        let line = DelayLine::new().unwrap();
        let table = FaultTable::new(Arc::clone(&line), Some(seed));
        let gate = Gate::new(Arc::clone(&table));
        Engine { line, table, gate, book: Arc::default() }
    }

    /// One operation as the adapter runs it; true if it was held.
    fn operate(&self, file: &File, request: Call) -> bool {
        let arrived = Instant::now();
        if !self.gate.armed(request.methods()) {
            return false;
        }
        let op = Operation::new(request, Caller::default(), 7).arrived_at(arrived);
        let Some(hit) = self.gate.decide(&[&At(file, request)], &op) else { return false };
        let hold = hit.hold();
        if hold == Hold::No {
            return false;
        }
        let runs = Arc::new(AtomicUsize::new(0));
        self.book.runs.lock().push(Arc::clone(&runs));
        let book = Arc::clone(&self.book);
        let job = move |_, outcome| {
            runs.fetch_add(1, Ordering::Relaxed);
            let enough = matches!(hold, Hold::Until(due) if due <= Instant::now());
            if outcome == Outcome::Due && !enough {
                book.early.fetch_add(1, Ordering::Relaxed);
            }
            book.ended.fetch_add(1, Ordering::Release);
        };
        self.line.hold(hit, arrived, false, Box::new(job));
        true
    }

    /// Waits until everything that was held has run, and looks whether it ran once.
    fn settle(&self) {
        let begun = self.book.runs.lock().len();
        wait(
            || self.book.ended.load(Ordering::Acquire) == begun,
            || format!("{} of {begun} ended", self.book.ended.load(Ordering::Relaxed)),
        );
        assert!(self.book.runs.lock().iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
        assert_eq!(self.line.held(), 0);
        assert_eq!(self.book.early.load(Ordering::Relaxed), 0);
    }
}

fn wait(done: impl Fn() -> bool, state: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{}", state());
        thread::yield_now();
    }
}

fn delayed(delay: Duration) -> Plain {
    Plain { delay: Some(delay), ..Plain::default() }
}

fn hanging(methods: MethodSet) -> Fault {
    Plain { hang: true, ..Plain::default() }.done_by(Fault::on(methods).unwrap()).unwrap()
}

/// Numbers that look random (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn methods(&mut self) -> MethodSet {
        let bits = 1 + self.below(15);
        (0..REQUESTS.len())
            .filter(|n| bits >> n & 1 == 1)
            .fold(MethodSet::EMPTY, |set, n| set.union(REQUESTS[n].methods()))
    }

    fn fault(&mut self) -> Fault {
        let pattern = ["", ".*/a", ".*/b", "nothing", "(?!.*a).*"][self.below(5) as usize];
        let delay = [
            Plain::default(),
            Plain { hang: true, ..Plain::default() },
            delayed(Duration::from_micros(self.below(3000))),
        ];
        let doing = [0, 1, 1, 1, 2, 2, 2, 2][self.below(8) as usize];
        let chance = Chance {
            probability: Probability::from_fraction(self.below(5) as f64 / 4.0).unwrap(),
            after: self.below(3),
            count: NonZeroU64::new(1 + self.below(50)).filter(|_| self.below(2) > 0),
            ..Chance::default()
        };
        let lasts = Duration::from_micros(1 + self.below(2000));
        let lasts = Some(lasts).filter(|_| self.below(3) == 0);
        let fault = Fault::on(self.methods()).unwrap();
        let fault =
            delay[doing].done_by(fault.with_pattern(Pattern::new(pattern).unwrap())).unwrap();
        let fault = fault.with_chance(chance).unwrap();
        fault.with_term(Term { lasts, ..Term::default() }).unwrap()
    }

    fn change(&mut self, table: &FaultTable) {
        match self.below(8) {
            0 => table.clear_all(),
            1 => table.clear_methods(self.methods()),
            2 => {
                table.remove(FaultId(self.below(2000)));
            }
            3 => drop(table.list()),
            4 | 5 => {
                table.put(self.fault(), Placement::Add).unwrap();
            }
            _ => {
                table.put(self.fault(), Placement::Replace).unwrap();
            }
        }
    }
}

/// Ends a storm, also when the test fails in it.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Operations and changes from many threads, until so many operations were held; then `end`, amid
/// the storm.
fn storm(engine: &Engine, enough: usize, end: impl FnOnce()) {
    let files = [File::new("/d/a"), File::new("/d/b"), File::new("/d/c")];
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        let (files, stop) = (&files, &stop);
        for thread in 0..4u64 {
            scope.spawn(move || {
                let mut dice = Dice(0x9e37_79b9 + thread);
                while !stop.load(Ordering::Relaxed) {
                    dice.change(&engine.table);
                }
            });
        }
        for thread in 0..6u64 {
            scope.spawn(move || {
                let mut dice = Dice(0xdead_beef + thread);
                while !stop.load(Ordering::Relaxed) {
                    let request = REQUESTS[dice.below(4) as usize];
                    engine.operate(&files[dice.below(3) as usize], request);
                }
            });
        }
        let held = || engine.book.runs.lock().len();
        wait(|| held() >= enough, || format!("only {} held", held()));
        end();
    });
}

#[test]
fn storm_of_changes_loses_no_operation_and_runs_none_twice() {
    let engine = Engine::new(1);
    storm(&engine, 20_000, || {});
    engine.table.clear_all();
    engine.settle();
    assert!(engine.table.list().is_empty());
    assert!(!engine.gate.armed(MethodSet::ALL));
}

#[test]
fn shutdown_in_a_storm_leaves_nothing_held() {
    let engine = Engine::new(2);
    storm(&engine, 5_000, || {
        engine.line.shutdown();
        let held = || engine.line.held();
        wait(|| held() == 0, || format!("{} held", held()));
    });
    engine.settle();
    assert!(engine.line.shutdown(), "its threads have ended");
}

#[test]
fn one_clear_frees_whatever_was_decided_before_it() {
    let engine = Engine::new(3);
    let file = File::new("/d/a");
    let held = AtomicUsize::new(0);
    for _ in 0..1_000 {
        let fault = hanging(Call::Write.methods());
        engine.table.put(fault, Placement::Replace).unwrap();
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let count = (0..3).filter(|_| engine.operate(&file, Call::Write)).count();
                    held.fetch_add(count, Ordering::Relaxed);
                });
            }
            engine.table.clear_all();
        });
        // No second clear: what the first one missed would stay for ever.
        engine.settle();
    }
    assert!(held.load(Ordering::Relaxed) > 0);
}

#[test]
fn replacing_one_method_frees_that_method_only() {
    let engine = Engine::new(4);
    let file = File::new("/d/a");
    let both = Call::Write.methods().union(Call::Fsync.methods());
    for _ in 0..300 {
        let fault = hanging(both);
        engine.table.put(fault, Placement::Replace).unwrap();
        let stays = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for request in [Call::Write, Call::Fsync, Call::Write] {
                        let held = engine.operate(&file, request);
                        if held && request == Call::Fsync {
                            stays.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            let other = Fault::on(Call::Write.methods()).unwrap();
            engine.table.put(other, Placement::Replace).unwrap();
        });
        let stays = stays.load(Ordering::Relaxed);
        assert_eq!(stays, 2, "fsync was armed all the time");
        let begun = engine.book.runs.lock().len();
        wait(
            || engine.book.ended.load(Ordering::Acquire) == begun - stays,
            || format!("{} held, {stays} should stay", engine.line.held()),
        );
        assert_eq!(engine.line.held(), stays);
        assert_eq!(engine.table.list()[0].held, stays as u64);
        engine.table.clear_all();
        engine.settle();
    }
}

#[test]
fn lifetime_frees_whatever_was_decided_before_its_end() {
    let engine = Engine::new(5);
    let file = File::new("/d/a");
    for round in 0..300 {
        let fault = hanging(Call::Write.methods());
        let lifetime = Duration::from_micros(1 + round);
        let term = Term { lasts: Some(lifetime), ..Term::default() };
        engine.table.put(fault.with_term(term).unwrap(), Placement::Replace).unwrap();
        while engine.gate.armed(Call::Write.methods()) {
            engine.operate(&file, Call::Write);
        }
        engine.settle();
    }
}

#[test]
fn count_is_exact_whatever_the_threads() {
    let engine = Engine::new(6);
    let file = File::new("/d/a");
    let fault = Fault::on(Call::Write.methods()).unwrap();
    let count = NonZeroU64::new(777);
    let chance = Chance { after: 100, count, ..Chance::default() };
    let fault = delayed(Duration::from_micros(100)).done_by(fault).unwrap();
    let fault = fault.with_chance(chance).unwrap();
    engine.table.put(fault, Placement::Replace).unwrap();
    let held: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| (0..1_000).filter(|_| engine.operate(&file, Call::Write)).count())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(held, 777);
    engine.settle();
    let listed = &engine.table.list_ended()[0].fault;
    assert_eq!((listed.matched, listed.fired, listed.held), (877, 777, 0));
}
