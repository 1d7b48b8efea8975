//! This thread's timers. No locks.

use std::io;
use std::num::NonZeroU64;

/// Lets this thread's timed waits end as close to their time as the machine can: the kernel
/// otherwise adds up to 50 us to gather wake-ups (prctl(2), PR_SET_TIMERSLACK).
///
/// # Errors
/// None known.
pub(crate) fn wake_on_time() -> io::Result<()> {
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    Ok(())
}
