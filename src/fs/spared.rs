//! The thread that no fault meets and no power cut keeps: the daemon's own, which looks whether the mount answers. No locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::gettid;

/// Which thread that is now, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Spared(Arc<AtomicU32>);

/// It is over when this is dropped.
pub(crate) struct SparedNow<'a>(&'a Spared);

impl Spared {
    /// The calling thread is, until the end of that.
    pub(crate) fn me(&self) -> SparedNow<'_> {
        self.0.store(gettid().as_raw_nonzero().get().unsigned_abs(), Ordering::Relaxed);
        SparedNow(self)
    }

    /// Whether that thread is.
    pub(super) fn is(&self, tid: u32) -> bool {
        tid != 0 && self.0.load(Ordering::Relaxed) == tid
    }
}

impl Drop for SparedNow<'_> {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_is_spared_and_only_meanwhile() {
        let spared = Spared::default();
        let own = gettid().as_raw_nonzero().get().unsigned_abs();
        assert!(!spared.is(own) && !spared.is(0));
        let now = spared.me();
        assert!(spared.is(own) && !spared.is(own + 1) && !spared.is(0));
        drop(now);
        assert!(!spared.is(own));
    }
}
