//! How many operations a fault holds, and the most at once for those who wait for a number of them.
//!
//! Lock rule: the lock is innermost, and covers a few additions. An operation takes it only while somebody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

/// What a fault holds.
#[derive(Default)]
pub(super) struct Holding {
    now: AtomicU64,
    /// How many wait.
    waiting: AtomicUsize,
    /// What each of them has seen.
    seen: Mutex<Vec<Arc<AtomicU64>>>,
}

impl Holding {
    pub(super) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// One more. Either it sees who begins to wait, or that one finds it counted.
    pub(super) fn add(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.show(now);
        }
    }

    pub(super) fn remove(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    #[cold]
    fn show(&self, now: u64) {
        for seen in &*self.seen.lock() {
            seen.fetch_max(now, Ordering::Relaxed);
        }
    }

    /// Sees from now on the most that it holds at once.
    pub(super) fn watch(self: Arc<Holding>) -> MostHeld {
        let seen = Arc::<AtomicU64>::default();
        self.seen.lock().push(Arc::clone(&seen));
        self.waiting.fetch_add(1, Ordering::SeqCst);
        seen.fetch_max(self.now.load(Ordering::SeqCst), Ordering::Relaxed);
        MostHeld { of: self, seen }
    }
}

/// The most operations that a fault has held at once since this was made.
pub(crate) struct MostHeld {
    of: Arc<Holding>,
    seen: Arc<AtomicU64>,
}

impl MostHeld {
    /// So many.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Drop for MostHeld {
    fn drop(&mut self) {
        self.of.waiting.fetch_sub(1, Ordering::SeqCst);
        self.of.seen.lock().retain(|seen| !Arc::ptr_eq(seen, &self.seen));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_who_waits_sees_the_most_at_once_since_it_began() {
        let holding = Arc::<Holding>::default();
        holding.add();
        let first = Arc::clone(&holding).watch();
        holding.add();
        holding.remove();
        holding.remove();
        let second = Arc::clone(&holding).watch();
        assert_eq!((first.count(), second.count(), holding.now()), (2, 0, 0));
        holding.add();
        assert_eq!((first.count(), second.count()), (2, 1));
        drop(first);
        holding.add();
        assert_eq!((second.count(), holding.now()), (2, 2));
    }
}
