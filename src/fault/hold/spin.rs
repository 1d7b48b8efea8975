//! Waiting busily. No locks.

use std::time::{Duration, Instant};

/// Delays below this are not worth a change of thread: [`spin`] on the spot.
pub(crate) const SPIN_BELOW: Duration = Duration::from_micros(50);

/// Waits busily: to the microsecond, at the price of the processor.
pub(crate) fn spin(delay: Duration) {
    if let Some(due) = Instant::now().checked_add(delay) {
        spin_until(due);
    }
}

pub(super) fn spin_until(due: Instant) {
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}
