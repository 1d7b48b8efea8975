//! Operations a second as cloud disks count them: so many at all, more as long as credits last. No locks.

use crate::fault::io_size::operations;
use crate::fault::rate::{Rate, Reached};

/// How many operations a device takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credits {
    /// Beyond what it is good for, so many a second as long as credits last.
    pub(super) burst: Rate,
    /// So many a second earn credits, of which there may be so many.
    pub(super) earned: Rate,
    /// How many bytes count as one operation at most.
    pub(super) io_size: u64,
}

/// What it has taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    burst: Reached,
    earned: Reached,
}

impl Credits {
    /// When it takes a request of so many bytes that comes at `now`.
    pub(super) fn admit(&self, spent: &mut Spent, now: u64, len: u64) -> u64 {
        let cost = operations(len, self.io_size);
        let burst = self.burst.take(&mut spent.burst, now, cost);
        burst.max(self.earned.take(&mut spent.earned, now, cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_run_out_and_are_earned_again() {
        let rate = |each_second, burst| Rate { each_second, burst };
        let credits = Credits { burst: rate(1000, 1), earned: rate(10, 5), io_size: 4096 };
        let mut spent = Spent::default();
        let mut ms = |now: u64, len| credits.admit(&mut spent, now * 1_000_000, len) / 1_000_000;
        // Five at the rate of the burst, then at that of what is earned.
        assert_eq!([1, 1, 1, 1, 1, 1, 1].map(|len| ms(0, len)), [0, 1, 2, 3, 4, 100, 200]);
        // Half a second after the last three have been earned, and one costs two.
        assert_eq!([8192, 1, 1].map(|len| ms(500, len)), [501, 502, 600]);
    }
}
