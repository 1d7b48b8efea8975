//! Whose callers are gone: frees held operations of callers that were killed.
//!
//! Lock rule: the queue's lock is not held while a caller is looked at.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::Line;
use super::queue::Outcome;
use crate::sys::process::sigkill_pending;

/// How often held callers are looked at for a pending SIGKILL: with the look itself, a thousand
/// callers at 20 us, well within the 200 ms in which a killed caller is promised to be free.
const WATCH_EVERY: Duration = Duration::from_millis(80);

impl Line {
    /// The watcher's life: frees operations whose caller was killed.
    pub(super) fn watch(self: Arc<Self>) {
        let mut queue = self.queue.lock();
        while !queue.closed {
            if !queue.watching {
                self.watch.wait(&mut queue);
                continue;
            }
            self.watch.wait_for(&mut queue, WATCH_EVERY);
            let (mut callers, latest) = queue.callers();
            queue.watching = !callers.is_empty();
            MutexGuard::unlocked(&mut queue, || callers.retain(|tid| sigkill_pending(*tid)));
            if callers.is_empty() {
                continue;
            }
            // A later arrival may be of a new thread with an old number.
            let killed = queue.take(|serial, waiting| {
                serial <= latest
                    && waiting.caller().is_some_and(|tid| callers.binary_search(&tid).is_ok())
            });
            self.free(&mut queue, killed, Outcome::CallerKilled);
        }
    }
}
