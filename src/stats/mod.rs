//! How many operations there were, how many failed and how long they took, per method.
//!
//! Sharded by thread, so that counting threads do not take a cache line from each other; sums are
//! exact once the counted operations have returned. Reading a clock costs more than counting, so
//! operations are timed only where the caller already has.

use std::array;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use self::latency::Histogram;
pub use self::latency::Latency;
pub(crate) use self::usual::is_usual;
use crate::ops::{Call, Method};

mod latency;
mod usual;

/// Threads beyond these share.
const SHARDS: usize = 16;

/// How an operation was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Without an error.
    Well,
    /// With an error that a fault gave.
    Injected,
    /// With an error that nothing is wrong for.
    Usual,
    /// With any other.
    Failed,
}

/// Calls and errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Operations answered, with or without error.
    pub calls: u64,
    /// Those answered with an error.
    pub errors: u64,
    /// Of these errors, those that a fault gave.
    pub injected: u64,
    /// Of these errors, those that nothing is wrong for.
    pub usual: u64,
}

impl Count {
    fn plus(self, other: Count) -> Count {
        Count {
            calls: self.calls + other.calls,
            errors: self.errors + other.errors,
            injected: self.injected + other.injected,
            usual: self.usual + other.usual,
        }
    }
}

/// What there was of the requests that a method names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// The method.
    pub method: Method,
    /// How many.
    pub count: Count,
    /// How long they took, as far as they were timed.
    pub latency: Latency,
    /// And in all, in nanoseconds.
    pub took: u64,
}

/// Two cache lines, since processors fetch them in pairs.
#[repr(align(128))]
struct Shard {
    calls: [AtomicU64; Call::COUNT],
    errors: [AtomicU64; Call::COUNT],
    injected: [AtomicU64; Call::COUNT],
    usual: [AtomicU64; Call::COUNT],
    /// Made when the first operation is timed.
    times: [OnceLock<Box<Histogram>>; Call::COUNT],
}

/// A row of counters of a shard.
type Counters = fn(&Shard) -> &[AtomicU64; Call::COUNT];

impl Shard {
    #[inline]
    fn add(&self, counters: Counters, call: Call) {
        if let Some(counter) = counters(self).get(call as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What operations take of the daemon just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Threads for what may block: those for held operations and those for the rest.
    pub threads: u64,
    /// Operations that wait for such a thread.
    pub waiting: u64,
    /// Bytes that held operations keep in memory.
    pub held_in_memory: u64,
    /// Bytes that they keep in the file of `--held-dir`.
    pub held_in_file: u64,
}

/// Counts of all operations of a mount.
pub struct Stats {
    started: Instant,
    /// Who knows what is taken just now.
    taken: OnceLock<Box<dyn Fn() -> Taken + Send + Sync>>,
    callers_freed: AtomicU64,
    shards: Box<[Shard]>,
    passthrough: Passthrough<AtomicU64>,
}

/// Files that the kernel serves by itself, where read and write faults do not reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passthrough<N> {
    /// Files handed over so far, each counted once from its first open to its last close.
    pub begun: N,
    /// Of these, files that are closed again.
    pub ended: N,
    /// Files that should have been, but the kernel did not take them.
    pub refused: N,
}

impl Passthrough<u64> {
    /// Those that are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.begun.saturating_sub(self.ended)
    }
}

impl Default for Stats {
    fn default() -> Stats {
        let zeros = || array::from_fn(|_| AtomicU64::new(0));
        let times = || array::from_fn(|_| OnceLock::new());
        let shard = |_| Shard {
            calls: zeros(),
            errors: zeros(),
            injected: zeros(),
            usual: zeros(),
            times: times(),
        };
        Stats {
            started: Instant::now(),
            taken: OnceLock::new(),
            callers_freed: AtomicU64::new(0),
            shards: (0..SHARDS).map(shard).collect(),
            passthrough: Passthrough::default(),
        }
    }
}

impl Stats {
    /// Counts one operation.
    #[inline]
    pub fn count(&self, call: Call, answered: Answered) {
        let Some(shard) = self.shards.get(own_shard()) else { return };
        shard.add(|shard| &shard.calls, call);
        if answered != Answered::Well {
            shard.add(|shard| &shard.errors, call);
        }
        match answered {
            Answered::Well | Answered::Failed => {}
            Answered::Injected => shard.add(|shard| &shard.injected, call),
            Answered::Usual => shard.add(|shard| &shard.usual, call),
        }
    }

    /// Records how long an operation took, from its arrival to its answer.
    pub fn time(&self, call: Call, took: Duration) {
        let shard = self.shards.get(own_shard());
        if let Some(times) = shard.and_then(|shard| shard.times.get(call as usize)) {
            times.get_or_init(Box::default).add(took);
        }
    }

    /// Whom to ask what is taken just now; the first word counts.
    pub(crate) fn ask_what_is_taken(&self, of: Box<dyn Fn() -> Taken + Send + Sync>) {
        let _ = self.taken.set(of);
    }

    /// What operations take of the daemon just now.
    #[must_use]
    pub fn taken(&self) -> Taken {
        self.taken.get().map(|of| of()).unwrap_or_default()
    }

    /// A caller that was killed is freed while its operation is blocked.
    pub(crate) fn caller_freed(&self) {
        self.callers_freed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were.
    #[must_use]
    pub(crate) fn callers_freed(&self) -> u64 {
        self.callers_freed.load(Ordering::Relaxed)
    }

    /// The kernel begins to serve a file by itself.
    pub(crate) fn passthrough_begun(&self) {
        self.passthrough.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// It has ended that.
    pub(crate) fn passthrough_ended(&self) {
        self.passthrough.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// It did not take a file. Whether this was the first.
    pub(crate) fn passthrough_refused(&self) -> bool {
        self.passthrough.refused.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// The files that the kernel serves and has served by itself.
    #[must_use]
    pub fn passthrough(&self) -> Passthrough<u64> {
        let Passthrough { begun, ended, refused } = &self.passthrough;
        let [begun, ended, refused] = [begun, ended, refused].map(|n| n.load(Ordering::Relaxed));
        Passthrough { begun, ended, refused }
    }

    /// Since when it counts.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The count of one kind of request.
    #[must_use]
    pub fn call(&self, call: Call) -> Count {
        let sum = |counters: Counters| {
            let cells = self.shards.iter().filter_map(|shard| counters(shard).get(call as usize));
            cells.map(|cell| cell.load(Ordering::Relaxed)).sum()
        };
        Count {
            calls: sum(|shard| &shard.calls),
            errors: sum(|shard| &shard.errors),
            injected: sum(|shard| &shard.injected),
            usual: sum(|shard| &shard.usual),
        }
    }

    /// The count of the requests that consult a method. A request that consults several counts for
    /// each.
    #[must_use]
    pub fn method(&self, method: Method) -> Count {
        self.sum(counted(method))
    }

    /// The count of these requests together.
    #[must_use]
    pub fn sum(&self, calls: impl IntoIterator<Item = Call>) -> Count {
        calls.into_iter().map(|call| self.call(call)).fold(Count::default(), Count::plus)
    }

    /// How long the requests took that consult a method; empty if none was timed.
    #[must_use]
    pub fn latency(&self, method: Method) -> Latency {
        self.latency_of(counted(method))
    }

    /// How long these requests took together, likewise.
    #[must_use]
    pub(crate) fn latency_of(&self, calls: impl IntoIterator<Item = Call>) -> Latency {
        let mut sum = Latency::default();
        self.times(calls).for_each(|histogram| histogram.add_to(&mut sum));
        sum
    }

    fn times(&self, calls: impl IntoIterator<Item = Call>) -> impl Iterator<Item = &Histogram> {
        let of = |call: Call| {
            let times = self.shards.iter().filter_map(move |shard| shard.times.get(call as usize));
            times.filter_map(OnceLock::get).map(Box::as_ref)
        };
        calls.into_iter().flat_map(of)
    }

    /// All requests that there were, each once: by the method that names it of those that it consults.
    #[must_use]
    pub fn requests(&self) -> Vec<Requests> {
        Method::all()
            .map(|method| self.requests_of(method))
            .filter(|requests| requests.count.calls > 0)
            .collect()
    }

    /// Those that are told by the name of that method: none, where another names all that consult it.
    #[must_use]
    pub(crate) fn requests_of(&self, method: Method) -> Requests {
        let named = move |call: &Call| call.name() == method.name();
        let calls = || method.calls().iter().copied().filter(named);
        let took = self.times(calls()).map(Histogram::sum).sum();
        Requests { method, count: self.sum(calls()), latency: self.latency_of(calls()), took }
    }

    /// The count of all requests, each once.
    #[must_use]
    pub fn total(&self) -> Count {
        self.sum(Call::all())
    }
}

/// The requests that count for a method, each once. A COPY_FILE_RANGE is one request that consults
/// methods on two paths: it is counted as [`Call::CopyTo`].
fn counted(method: Method) -> impl Iterator<Item = Call> {
    let of = method.calls();
    let copies = of.contains(&Call::CopyFrom) && !of.contains(&Call::CopyTo);
    of.iter().copied().chain(copies.then_some(Call::CopyTo))
}

/// The shard of this thread, for its life.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let own = OWN.get();
    if own != usize::MAX {
        return own;
    }
    let new = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    OWN.set(new);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_whatever_the_threads() {
        let stats = Stats::default();
        std::thread::scope(|scope| {
            for thread in 0..2 * SHARDS {
                let stats = &stats;
                scope.spawn(move || {
                    for n in 0..1000 {
                        let failed = |yes| if yes { Answered::Failed } else { Answered::Well };
                        stats.count(Call::Write, failed(n % 10 == 0));
                        stats.count(Call::Fdatasync, failed(thread == 0));
                        stats.time(Call::Fdatasync, Duration::from_micros(n));
                    }
                });
            }
        });
        let of = |calls, errors| Count { calls, errors, ..Count::default() };
        assert_eq!(stats.call(Call::Write), of(32_000, 3_200));
        assert_eq!(stats.call(Call::Fdatasync), of(32_000, 1_000));
        assert_eq!(stats.call(Call::Read), Count::default());
        assert_eq!(stats.total(), of(64_000, 4_200));
        let method = |name| Method::from_name(name).unwrap();
        assert_eq!(stats.latency(method("write")), Latency::default());
        let fsync = stats.latency(method("fsync"));
        assert_eq!((fsync.timed(), fsync.max), (32_000, 999_000));
    }

    #[test]
    fn method_sums_the_requests_that_consult_it() {
        let stats = Stats::default();
        stats.count(Call::Fsync, Answered::Well);
        stats.count(Call::Fdatasync, Answered::Injected);
        let of = |name| stats.method(Method::from_name(name).unwrap());
        let failed = Count { calls: 1, errors: 1, injected: 1, usual: 0 };
        assert_eq!(of("fsync"), Count { calls: 2, ..failed });
        assert_eq!(of("fdatasync"), failed);
        assert_eq!(of("write"), Count::default());
    }

    #[test]
    fn errors_are_told_apart_and_counted_together() {
        let stats = Stats::default();
        for answered in [Answered::Well, Answered::Injected, Answered::Usual, Answered::Failed] {
            stats.count(Call::Lookup, answered);
        }
        assert_eq!(stats.total(), Count { calls: 4, errors: 3, injected: 1, usual: 1 });
    }

    #[test]
    fn a_copy_counts_for_each_of_its_methods_once() {
        let stats = Stats::default();
        stats.count(Call::CopyTo, Answered::Well);
        for name in ["copy_file_range", "write", "read", "read_buf"] {
            assert_eq!(stats.method(Method::from_name(name).unwrap()).calls, 1, "{name}");
        }
        assert_eq!(stats.total().calls, 1);
    }

    #[test]
    fn quantiles_are_exact_to_a_sixteenth() {
        let stats = Stats::default();
        let write = Method::from_name("write").unwrap();
        for us in 1..=1000 {
            stats.time(Call::Write, Duration::from_micros(us));
        }
        let latency = stats.latency(write);
        for (fraction, us) in [(0.0, 1), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let (exact, got) = (us * 1000, latency.quantile(fraction));
            assert!((exact..=exact + exact / 16).contains(&got), "{fraction}: {got} ns");
        }
        assert_eq!(latency.max, 1_000_000);
        stats.time(Call::Write, Duration::from_millis(300));
        let fresh = stats.latency(write).since(&latency);
        assert_eq!((fresh.timed(), fresh.max), (1, 300_000_000));
        assert_eq!((fresh.quantile(0.5), Latency::default().quantile(0.5)), (300_000_000, 0));
    }
}
