//! How many operations there were and how many failed, per method.
//!
//! Sharded by thread, so that counting threads do not take a cache line from each other; sums are
//! exact once the counted operations have returned.

use std::array;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::ops::{Method, Request};

/// Threads beyond these share.
const SHARDS: usize = 16;

/// Calls and errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Operations answered, with or without error.
    pub calls: u64,
    /// Those answered with an error.
    pub errors: u64,
}

/// Two cache lines, since processors fetch them in pairs.
#[repr(align(128))]
struct Shard {
    calls: [AtomicU64; Request::COUNT],
    errors: [AtomicU64; Request::COUNT],
}

/// Counts of all operations of a mount.
pub struct Stats {
    shards: Box<[Shard]>,
}

impl Default for Stats {
    fn default() -> Stats {
        let zeros = || array::from_fn(|_| AtomicU64::new(0));
        let shard = |_| Shard { calls: zeros(), errors: zeros() };
        Stats { shards: (0..SHARDS).map(shard).collect() }
    }
}

impl Stats {
    /// Counts one operation.
    #[inline]
    pub fn count(&self, request: Request, failed: bool) {
        let place = request as usize;
        let Some(shard) = self.shards.get(own_shard()) else { return };
        if let Some(calls) = shard.calls.get(place) {
            calls.fetch_add(1, Ordering::Relaxed);
        }
        if failed && let Some(errors) = shard.errors.get(place) {
            errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The count of one kind of request.
    #[must_use]
    pub fn request(&self, request: Request) -> Count {
        let sum = |column: fn(&Shard) -> &[AtomicU64]| {
            let cells = self.shards.iter().filter_map(|shard| column(shard).get(request as usize));
            cells.map(|cell| cell.load(Ordering::Relaxed)).sum()
        };
        Count { calls: sum(|shard| &shard.calls), errors: sum(|shard| &shard.errors) }
    }

    /// The count of the requests that consult a method. A request that consults several counts for
    /// each.
    #[must_use]
    pub fn method(&self, method: Method) -> Count {
        method.requests().iter().map(|request| self.request(*request)).fold(
            Count::default(),
            |sum, count| Count {
                calls: sum.calls + count.calls,
                errors: sum.errors + count.errors,
            },
        )
    }
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
                        stats.count(Request::Write, n % 10 == 0);
                        stats.count(Request::Fdatasync, thread == 0);
                    }
                });
            }
        });
        assert_eq!(stats.request(Request::Write), Count { calls: 32_000, errors: 3_200 });
        assert_eq!(stats.request(Request::Fdatasync), Count { calls: 32_000, errors: 1_000 });
        assert_eq!(stats.request(Request::Read), Count::default());
    }

    #[test]
    fn method_sums_the_requests_that_consult_it() {
        let stats = Stats::default();
        stats.count(Request::Fsync, false);
        stats.count(Request::Fdatasync, true);
        let of = |name| stats.method(Method::from_name(name).unwrap());
        assert_eq!(of("fsync"), Count { calls: 2, errors: 1 });
        assert_eq!(of("fdatasync"), Count { calls: 1, errors: 1 });
        assert_eq!(of("write"), Count::default());
    }
}
