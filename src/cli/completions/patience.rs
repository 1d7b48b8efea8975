//! Work that nobody waits for longer than that. No locks.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// What the work comes to; none where it takes longer. It is left to itself then, and ends with the process.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, outcome) = mpsc::channel();
    // Whoever has gone takes no answer.
    let work = move || drop(done.send(work()));
    thread::Builder::new().name("completions".to_owned()).spawn(work).ok()?;
    outcome.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_left() {
        assert_eq!(within(Duration::from_secs(20), || 7), Some(7));
        let (never, ends) = mpsc::channel::<()>();
        assert_eq!(within(Duration::from_millis(1), move || ends.recv().is_ok()), None);
        drop(never);
    }
}
