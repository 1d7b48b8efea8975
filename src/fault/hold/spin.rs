//! Waiting busily: to the microsecond, at the price of a processor. No locks.

use std::num::NonZero;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Delays below this are not worth a change of thread where a processor is to spare: another thread would have
/// to wake some 60 us before the moment, on another processor, and the answer would come 20 us later.
const ON_THE_SPOT: Duration = Duration::from_micros(150);

/// Below this a change of thread takes more of the processors than the wait does.
const ALWAYS: Duration = Duration::from_micros(3);

/// How many may be spent on waiting, so that as many are left for everybody else. Where there is only one it may
/// be spent, too, since that is over soon.
static TO_SPARE: LazyLock<usize> =
    LazyLock::new(|| (available_parallelism().map_or(1, NonZero::get) / 2).max(1));

static SPENT: AtomicUsize = AtomicUsize::new(0);

/// Looks how many processors there are, which takes reading files.
pub(super) fn prepare() {
    LazyLock::force(&TO_SPARE);
}

/// A processor that may be spent on waiting, until this is dropped.
pub(super) struct Spare(());

impl Spare {
    pub(super) fn take() -> Option<Spare> {
        let taken = SPENT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spent| {
            (spent < *TO_SPARE).then_some(spent + 1)
        });
        taken.ok().map(|_| Spare(()))
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        SPENT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A moment that is waited for busily.
pub(crate) struct Moment {
    due: Instant,
    _spare: Option<Spare>,
}

impl Moment {
    /// That of an operation which arrived then, if it is better waited for on the spot than held.
    pub(crate) fn on_the_spot(arrived: Instant, due: Instant) -> Option<Moment> {
        match due.saturating_duration_since(arrived) {
            delay if delay < ALWAYS => Some(Moment { due, _spare: None }),
            delay if delay < ON_THE_SPOT => Moment::spared(due),
            _ => None,
        }
    }

    /// One soon, if a processor is to spare for it.
    pub(super) fn spared(due: Instant) -> Option<Moment> {
        Spare::take().map(|spare| Moment { due, _spare: Some(spare) })
    }

    /// One that has come, or comes so soon that nobody is in its way.
    pub(super) fn due(due: Instant) -> Moment {
        Moment { due, _spare: None }
    }

    /// The same, for which another may wait busily meanwhile.
    pub(super) fn without_spare(self) -> Moment {
        Moment::due(self.due)
    }

    /// Waits for it.
    pub(crate) fn come(self) {
        while Instant::now() < self.due {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_never_short() {
        for delay in [0, 1, 2].map(Duration::from_micros) {
            let arrived = Instant::now();
            Moment::on_the_spot(arrived, arrived + delay).unwrap().come();
            assert!(arrived.elapsed() >= delay);
        }
    }

    #[test]
    fn what_is_long_is_held() {
        let arrived = Instant::now();
        assert!(Moment::on_the_spot(arrived, arrived + ON_THE_SPOT).is_none());
        // One that is over.
        assert!(Moment::on_the_spot(arrived + ON_THE_SPOT, arrived).is_some());
    }

    #[test]
    fn no_more_wait_busily_than_processors_are_to_spare() {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut spared = Vec::new();
        // Other tests may have some for a moment.
        while spared.len() < *TO_SPARE {
            assert!(Instant::now() < deadline);
            spared.extend(Spare::take());
        }
        assert!(Spare::take().is_none());
        let arrived = Instant::now();
        let delay = ON_THE_SPOT - Duration::from_micros(1);
        let moment = || Moment::on_the_spot(arrived, arrived + delay);
        assert!(moment().is_none());
        drop(spared);
        while moment().is_none() {
            assert!(Instant::now() < deadline, "what was taken is given back");
        }
    }
}
