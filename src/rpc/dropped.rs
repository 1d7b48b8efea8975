//! Connections that the server dropped: each is counted, few are told.
//!
//! A peer that knocks a thousand times would else fill the log. The first is told at once, those that
//! follow together. Lock rule: locked for memory work only.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::warn;

use crate::fault::Origin;

/// How long the log is quiet about them after it told of some.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Dropped {
    total: AtomicU64,
    untold: Mutex<Untold>,
}

#[derive(Default)]
struct Untold {
    count: u64,
    told: Option<Instant>,
}

impl Dropped {
    /// How many there were.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Counts one, whoever it was of.
    pub(super) fn count(&self, peer: Option<Origin>, why: impl Display) {
        self.total.fetch_add(1, Ordering::Relaxed);
        {
            let mut untold = self.untold.lock();
            if untold.told.is_some_and(|at| at.elapsed() < QUIET) {
                untold.count += 1;
                return;
            }
            untold.told = Some(Instant::now());
        }
        match peer {
            Some(peer) => warn!(%peer, "control connection dropped: {why}"),
            None => warn!("control connection dropped: {why}"),
        }
    }

    /// In how long those that are not told yet are due; None if there are none.
    pub(super) fn due(&self) -> Option<Duration> {
        let untold = self.untold.lock();
        let at = untold.told.filter(|_| untold.count > 0)?;
        Some(QUIET.saturating_sub(at.elapsed()))
    }

    /// Tells of those that are not told yet.
    pub(super) fn tell(&self) {
        let count = {
            let mut untold = self.untold.lock();
            untold.told = Some(Instant::now());
            std::mem::take(&mut untold.count)
        };
        if count > 0 {
            let total = self.total();
            warn!(
                "{total} control connections were dropped in all, {count} since that was last told"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_the_others_are_counted() {
        let dropped = Dropped::default();
        assert_eq!(dropped.due(), None);
        dropped.count(None, "for a test");
        assert_eq!(dropped.due(), None, "told");
        (0..9).for_each(|_| dropped.count(None, "for a test"));
        assert_eq!(dropped.total(), 10);
        assert!(dropped.due().unwrap() <= QUIET);
        dropped.tell();
        assert_eq!((dropped.due(), dropped.total()), (None, 10));
    }
}
