//! The threads that no fault meets and no power cut keeps, the daemon's own: one looks whether the mount answers, one
//! writes the state, whose path may lead through the mount in a way that is not seen. No locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::gettid;

/// How many there may be at once.
const MOST: usize = 2;

/// Which threads these are now; 0 is none.
#[derive(Clone, Default)]
pub(crate) struct Spared(Arc<[AtomicU32; MOST]>);

/// It is over when this is dropped.
pub(crate) struct SparedNow<'a>(Option<&'a AtomicU32>);

impl Spared {
    /// The calling thread is one, until the end of that; unless there are as many already.
    pub(crate) fn me(&self) -> SparedNow<'_> {
        let own = gettid().as_raw_nonzero().get().unsigned_abs();
        let (taken, failed) = (Ordering::Relaxed, Ordering::Relaxed);
        let takes = |place: &&AtomicU32| place.compare_exchange(0, own, taken, failed).is_ok();
        SparedNow(self.0.iter().find(takes))
    }

    /// Whether that thread is one.
    pub(super) fn is(&self, tid: u32) -> bool {
        tid != 0 && self.0.iter().any(|place| place.load(Ordering::Relaxed) == tid)
    }
}

impl Drop for SparedNow<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|place| place.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_threads_are_spared_and_only_meanwhile() {
        let spared = Spared::default();
        let own = gettid().as_raw_nonzero().get().unsigned_abs();
        assert!(!spared.is(own) && !spared.is(0));
        let now = spared.me();
        assert!(spared.is(own) && !spared.is(own + 1) && !spared.is(0));
        let (also, one_too_many) = (spared.me(), spared.me());
        drop(one_too_many);
        drop(now);
        assert!(spared.is(own));
        drop(also);
        assert!(!spared.is(own));
        let again = [spared.me(), spared.me()];
        assert!(again.iter().all(|now| now.0.is_some()));
    }
}
