//! What is to be done to one request: plain data, which effects add to and the adapter carries out.
//!
//! Invariant: every part is carried out. Whoever adds one is told by the compiler where, as the
//! adapter takes a plan apart by name. It lies on the stack and allocates nothing by itself. No
//! locks.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::words::Errno;

/// What is to be done to one request.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How long it waits before it runs.
    pub before: Hold,
    /// How long its answer waits once it has run.
    pub after: Duration,
    /// Whether its caller is killed when it has waited.
    pub kill: bool,
    /// How much of it runs.
    pub run: Run,
    /// What it is answered.
    pub reply: Reply,
}

impl Plan {
    /// Adds what another asks: the latest due counts, and of what runs and what is answered the
    /// first that is not the operation's own.
    pub fn add(&mut self, other: &Plan) {
        let Plan { before, after, kill, run, reply } = other;
        self.before.add(*before);
        self.after = self.after.max(*after);
        self.kill |= kill;
        if self.run == Run::Whole {
            self.run = run.clone();
        }
        if self.reply == Reply::Own {
            self.reply = *reply;
        }
    }

    /// The errno it is answered, if it is.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self.reply {
            Reply::Own | Reply::Whole => None,
            Reply::Errno(errno, _) => Some(errno),
        }
    }
}

/// How long something waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// Not at all.
    #[default]
    No,
    /// Until this moment.
    Until(Instant),
    /// Until the fault is cleared.
    UntilCleared,
}

impl Hold {
    /// For so long from that moment. What the clock cannot add up, beyond centuries, is until
    /// cleared.
    #[must_use]
    pub fn for_time(from: Instant, time: Duration) -> Hold {
        from.checked_add(time).map_or(Hold::UntilCleared, Hold::Until)
    }

    /// Waits for the other one too: the later counts.
    pub fn add(&mut self, other: Hold) {
        *self = match (*self, other) {
            (Hold::No, other) => other,
            (own, Hold::No) => own,
            (Hold::Until(own), Hold::Until(other)) => Hold::Until(own.max(other)),
            _ => Hold::UntilCleared,
        };
    }
}

/// How much of a request runs on the backing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Run {
    /// All of it.
    #[default]
    Whole,
    /// Of a write these ranges of its bytes, ascending and apart, and no others: none, if there is
    /// none.
    Part(Box<[Range<u64>]>),
}

/// What a request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// Its own result.
    #[default]
    Own,
    /// This error.
    Errno(Errno, When),
    /// As if all of it had been done.
    Whole,
}

/// Whether an error comes in place of a request, or once it has been carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// In its place: it does not run, unless the plan says how much does.
    #[default]
    Before,
    /// Once it has run.
    After,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_due_wins() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        for (one, other, both) in [
            (Hold::No, Hold::Until(now), Hold::Until(now)),
            (Hold::Until(later), Hold::Until(now), Hold::Until(later)),
            (Hold::Until(now), Hold::UntilCleared, Hold::UntilCleared),
            (Hold::UntilCleared, Hold::No, Hold::UntilCleared),
        ] {
            let mut hold = one;
            hold.add(other);
            assert_eq!(hold, both, "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_the_clock_cannot_add_is_until_cleared() {
        assert_eq!(Hold::for_time(Instant::now(), Duration::MAX), Hold::UntilCleared);
    }
}
