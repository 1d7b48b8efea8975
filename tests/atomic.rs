//! Every operation's outcome belongs to one table of faults that was in force between its start
//! and its end, however fast the table changes.
//!
//! Each change replaces the table by one that can be told by its outcome: an errno of its own, or
//! success. Who changes notes when each call began and when it had returned; who operates notes
//! the same, and the outcome. A table may have been in force from the beginning of the call that
//! installed it until the first call had returned that surely came later: one that began after
//! that call's return, or that was given a higher id. An outcome is right if a table that has it
//! may have been in force at some moment of the operation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Mount, failing, fault_on, long_or};
use slowfs::fault::{FaultWords, PlainFault};
use slowfs::rpc::Client;

const WRITERS: u32 = 8;
const OPERATORS: usize = 8;

/// Changes per second, of all writers together.
const RATE: u32 = 1_000;

/// Errnos that Linux has no name for: no operation meets them but by a fault.
const FIRST_ERRNO: u64 = 140;
const ERRNOS: u64 = 360;

/// A stretch of time, in nanoseconds since the test began.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    begin: u64,
    end: u64,
}

/// A change of the table.
#[derive(Clone, Copy, Debug)]
struct Change {
    span: Span,
    /// The fault's, if the call tells it.
    id: Option<i64>,
    /// What each operation meets from then on; 0 for success.
    outcome: i32,
    /// It holds operations first, and releases them, to succeed, when it is replaced.
    holds: bool,
}

/// An operation and what it met; 0 for success.
#[derive(Clone, Copy, Debug)]
struct Operation {
    what: &'static str,
    span: Span,
    outcome: i32,
}

/// When a table may have been in force.
#[derive(Clone, Copy, Debug)]
struct Reign {
    span: Span,
    /// When the first call began that may have ended it.
    threatened: u64,
    holds: bool,
}

#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }

    fn span<T>(self, of: impl FnOnce() -> T) -> (Span, T) {
        let begin = self.now();
        let value = of();
        (Span { begin, end: self.now() }, value)
    }
}

type Op = fn(&Path, &File, usize) -> io::Result<()>;

/// Each consults at least one method of every fault.
const OPS: [(&str, Op); 6] = [
    ("stat", |m, _, _| fs::metadata(m.join("file")).map(drop)),
    ("open", |m, _, _| File::open(m.join("file")).map(drop)),
    ("cached read", |_, f, _| f.read_at(&mut [0; 512], 0).map(drop)),
    ("write", |_, f, n| f.write_at(&[1; 64], 1 << 16 | (n as u64 % 64) << 12).map(drop)),
    ("fsync", |_, f, _| f.sync_all()),
    ("mkdir", |m, _, n| fs::create_dir(m.join(format!("dir{n}")))),
];

const METHODS: [&str; 6] = ["getattr", "open", "read", "write", "fsync", "mkdir"];

/// Makes the `n`-th change of all.
fn change(client: &mut Client, clock: Clock, n: u64) -> Change {
    let methods = METHODS.map(str::to_owned);
    let outcome = i32::try_from(FIRST_ERRNO + n % ERRNOS).unwrap();
    let fails = failing(&METHODS, &outcome.to_string());
    let held = |delay| fails.clone().and("delay", delay);
    let put = |client: &mut Client, fault: &FaultWords| {
        let (span, put) = clock.span(|| client.put_fault(fault, false).unwrap());
        Change { span, id: Some(put.id), outcome, holds: false }
    };
    let passes = |span| Change { span, id: None, outcome: 0, holds: false };
    match n % 16 {
        0 => passes(clock.span(|| client.clear_all_faults().unwrap()).0),
        4 => passes(clock.span(|| client.clear_methods(&methods).unwrap()).0),
        8 => {
            let fault = fault_on(&METHODS).with("probability", "0");
            let fault = fault.and("kill", "");
            Change { outcome: 0, ..put(client, &fault) }
        }
        12 => {
            let elsewhere = FaultWords { pattern: ".*/elsewhere".to_owned(), ..fails };
            Change { outcome: 0, ..put(client, &elsewhere) }
        }
        // On the spot, or on the delay line where no processor is to spare; always there.
        1 => Change { holds: true, ..put(client, &held("20us")) },
        2 => Change { holds: true, ..put(client, &held("1500us")) },
        5 | 9 | 13 => {
            let fault = PlainFault { err_nos: vec![outcome.into()], ..PlainFault::default() };
            let (span, ()) = clock.span(|| client.set_fault(Some(&methods), &fault).unwrap());
            Change { span, id: None, outcome, holds: false }
        }
        _ => put(client, &fails),
    }
}

/// One writer's changes, at an even pace.
fn write(mut client: Client, clock: Clock, writer: u32, over: &AtomicBool) -> Vec<Change> {
    let mut changes = Vec::new();
    let pace = Duration::from_secs(1) * WRITERS / RATE;
    let start = clock.0 + pace * writer / WRITERS;
    for turn in 0u32.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        thread::sleep((start + pace * turn).saturating_duration_since(Instant::now()));
        changes.push(change(&mut client, clock, u64::from(turn * WRITERS + writer)));
    }
    changes
}

/// One operator's operations, one after another.
fn operate(
    (mnt, file): (&Path, File),
    clock: Clock,
    operator: usize,
    over: &AtomicBool,
) -> Vec<Operation> {
    let mut operations = Vec::new();
    for turn in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let n = turn * OPERATORS + operator;
        let (what, op) = OPS[(turn + operator) % OPS.len()];
        let (span, result) = clock.span(|| op(mnt, &file, n));
        let outcome = result.map_or_else(|e| e.raw_os_error().unwrap(), |()| 0);
        operations.push(Operation { what, span, outcome });
    }
    operations
}

/// The reigns of the tables with each outcome, in the order of their beginning.
fn reigns(changes: &[Change]) -> HashMap<i32, Vec<Reign>> {
    // What surely came later than a moment: of the calls that began after it, the first returned.
    let mut by_begin = changes.to_vec();
    by_begin.sort_by_key(|c| c.span.begin);
    let mut first_return = vec![u64::MAX; by_begin.len() + 1];
    for (n, later) in by_begin.iter().enumerate().rev() {
        first_return[n] = first_return[n + 1].min(later.span.end);
    }
    let begun_by = |moment: u64| by_begin.partition_point(|c| c.span.begin <= moment);
    // Ids are given in the order in which the faults came into force.
    let mut by_id: Vec<Change> = changes.iter().filter(|c| c.id.is_some()).copied().collect();
    by_id.sort_by_key(|c| c.id);
    let mut begin_of = HashMap::new();
    let mut end_of = HashMap::new();
    by_id.iter().fold(0, |latest, c| {
        let begin = c.span.begin.max(latest);
        begin_of.insert(c.id, begin);
        begin
    });
    by_id.iter().rev().fold(u64::MAX, |first, c| {
        end_of.insert(c.id, first);
        first.min(c.span.end)
    });
    let mut reigns: HashMap<i32, Vec<Reign>> = HashMap::new();
    let start = Span { begin: 0, end: 0 };
    let empty = Change { span: start, id: None, outcome: 0, holds: false };
    for c in changes.iter().chain([&empty]) {
        let known = |of: &HashMap<_, u64>, or| c.id.map_or(or, |id| of[&Some(id)]);
        let begin = known(&begin_of, c.span.begin);
        let end = first_return[begun_by(c.span.end)].min(known(&end_of, u64::MAX));
        // Any other call that had not returned when this one began may have ended it.
        let threats = changes.iter().filter(|d| d.span != c.span && d.span.end >= c.span.begin);
        let threatened = if c.holds { threats.map(|d| d.span.begin).min() } else { None };
        let reign = Reign {
            span: Span { begin, end },
            threatened: threatened.unwrap_or(u64::MAX),
            holds: c.holds,
        };
        reigns.entry(c.outcome).or_default().push(reign);
    }
    for of_outcome in reigns.values_mut() {
        of_outcome.sort_by_key(|r| r.span.begin);
    }
    reigns
}

/// Whether a table may have been in force at some moment of the operation.
fn overlaps(reign: &Reign, operation: &Operation) -> bool {
    reign.span.begin <= operation.span.end && reign.span.end >= operation.span.begin
}

fn is_right(operation: &Operation, reigns: &HashMap<i32, Vec<Reign>>, holding: &[Reign]) -> bool {
    let of_outcome = reigns.get(&operation.outcome).map_or(&[][..], |r| r);
    let begun = of_outcome.partition_point(|r| r.span.begin <= operation.span.end);
    if of_outcome[..begun].iter().rev().any(|r| overlaps(r, operation)) {
        return true;
    }
    // Held, and released by the change that ended the fault.
    let released = |r: &Reign| overlaps(r, operation) && r.threatened <= operation.span.end;
    operation.outcome == 0 && holding.iter().any(released)
}

/// How much the check can tell: of how many tables an operation may have met one.
fn tables_each(operations: &[Operation], all: &[Reign]) -> f64 {
    let sampled: Vec<_> = operations.iter().step_by(101).collect();
    let possible: usize =
        sampled.iter().map(|o| all.iter().filter(|r| overlaps(r, o)).count()).sum();
    possible as f64 / sampled.len() as f64
}

#[test]
fn each_outcome_belongs_to_one_table_in_force_meanwhile() {
    let mount = Mount::new();
    let mnt = mount.mnt();
    fs::write(mnt.join("file"), vec![1; 1 << 20]).unwrap();
    fs::read(mnt.join("file")).unwrap();
    let open = || File::options().read(true).write(true).open(mnt.join("file")).unwrap();
    let files: Vec<_> = (0..OPERATORS).map(|_| open()).collect();
    let clients: Vec<_> = (0..WRITERS).map(|_| mount.client()).collect();
    let clock = Clock(Instant::now());
    let over = AtomicBool::new(false);
    let length = long_or(Duration::from_secs(30), Duration::from_secs(3));
    let (changes, operations) = thread::scope(|scope| {
        let (mnt, over) = (&mnt, &over);
        let operators: Vec<_> = (0..)
            .zip(files)
            .map(|(operator, file)| {
                scope.spawn(move || operate((mnt, file), clock, operator, over))
            })
            .collect();
        let writers: Vec<_> = (0..)
            .zip(clients)
            .map(|(writer, client)| scope.spawn(move || write(client, clock, writer, over)))
            .collect();
        thread::sleep(length);
        over.store(true, Ordering::Relaxed);
        let changes: Vec<_> = writers.into_iter().flat_map(|w| w.join().unwrap()).collect();
        let operations: Vec<_> = operators.into_iter().flat_map(|o| o.join().unwrap()).collect();
        (changes, operations)
    });
    mount.clear();
    let reigns = reigns(&changes);
    let all: Vec<_> = reigns.values().flatten().copied().collect();
    let holding: Vec<_> = all.iter().filter(|r| r.holds).copied().collect();
    let wrong: Vec<_> =
        operations.iter().filter(|o| !is_right(o, &reigns, &holding)).copied().collect();
    let mut outcomes: BTreeMap<_, usize> = BTreeMap::new();
    operations.iter().for_each(|o| *outcomes.entry(o.outcome).or_default() += 1);
    println!(
        "{} changes, {} operations, {} of them succeeded, {} outcomes, one of {:.1} tables each",
        changes.len(),
        operations.len(),
        outcomes.get(&0).unwrap_or(&0),
        outcomes.len(),
        tables_each(&operations, &all),
    );
    let mut of_what: BTreeMap<_, usize> = BTreeMap::new();
    wrong.iter().for_each(|o| *of_what.entry((o.what, o.outcome == 0)).or_default() += 1);
    assert!(
        wrong.is_empty(),
        "{} outcomes of no table in force, by operation and success: {of_what:?}, as {:?}",
        wrong.len(),
        wrong[0]
    );
    // The ordinary run shares its machine with other tests.
    let rate = long_or(0.5, 0.1) * f64::from(RATE);
    assert!(changes.len() as f64 > rate * length.as_secs_f64(), "{} changes", changes.len());
    assert!(outcomes.len() > 100, "too few tables were met: {outcomes:?}");
}
