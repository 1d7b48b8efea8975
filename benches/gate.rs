//! The gate's cost per operation: unarmed; armed with faults that do not match, on a hot inode;
//! armed and matching. And the counters' beside it.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may fail by panic")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use slowfs::fault::{Caller, Operation};
use slowfs::fault::{
    Chance, DelayLine, Fault, FaultTable, Gate, Memo, Pattern, Placement, Probability, Subject,
};
use slowfs::ops::{Call, MethodSet};
use slowfs::stats::{Answered, Stats};

/// An inode as the adapter shows it; its path is costly, as a real one's.
#[derive(Default)]
struct File {
    memo: Memo,
}

impl Subject for File {
    fn methods(&self) -> MethodSet {
        Call::Write.methods()
    }

    fn memo(&self) -> Option<&Memo> {
        Some(&self.memo)
    }

    fn epoch(&self) -> u64 {
        1
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(b"/data/raw/etcd2/member/snap/0000000000000001-0000000000000002.snap");
    }
}

fn gate() -> (Arc<FaultTable>, Gate) {
    let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
    let gate = Gate::new(Arc::clone(&table));
    (table, gate)
}

fn fault(pattern: &str) -> Fault {
    let fault = Fault::on(Call::Write.methods()).unwrap();
    fault.with_pattern(Pattern::new(pattern).unwrap())
}

const CALLER: Caller = Caller { tid: 1, uid: 0, gid: 0 };

/// What the adapter does for every operation.
fn ask(gate: &Gate, file: &File) -> bool {
    gate.armed(Call::Write.methods()) && decide(gate, file)
}

/// Apart from the rest, as there, so that an operation that nothing concerns makes no room for it.
#[inline(never)]
fn decide(gate: &Gate, file: &File) -> bool {
    gate.decide(&[file], &Operation::new(Call::Write, CALLER, 7)).is_some()
}

fn gates(criterion: &mut Criterion) {
    let file = File::default();
    let (table, gate) = gate();
    criterion.bench_function("unarmed", |b| b.iter(|| ask(black_box(&gate), black_box(&file))));
    for faults in [1usize, 10, 1_000] {
        table.clear_all();
        for n in 0..faults {
            table.put(fault(&format!("(^|.*/)member/wal/{n}.*")), Placement::Add).unwrap();
        }
        assert!(!ask(&gate, &file));
        criterion.bench_function(&format!("armed with {faults}, none matching"), |b| {
            b.iter(|| ask(black_box(&gate), black_box(&file)));
        });
    }
    for (name, probability) in
        [("matching, firing", Probability::ALWAYS), ("matching, not firing", Probability::NEVER)]
    {
        table.clear_all();
        table
            .put(
                fault(".*snap").with_chance(Chance { probability, ..Chance::default() }).unwrap(),
                Placement::Add,
            )
            .unwrap();
        criterion.bench_function(name, |b| b.iter(|| ask(black_box(&gate), black_box(&file))));
    }
    let stats = Stats::default();
    criterion.bench_function("stats count", |b| {
        b.iter(|| black_box(&stats).count(black_box(Call::Write), black_box(Answered::Well)));
    });
    criterion.bench_function("stats time, with both clock reads", |b| {
        b.iter(|| {
            let arrived = Instant::now();
            black_box(&stats).time(black_box(Call::Write), arrived.elapsed());
        });
    });
}

criterion_group!(benches, gates);
criterion_main!(benches);
