//! Whether the power is on: each request goes inside while it is, and leaves once it has run.
//!
//! A cut is prepared first: what comes then waits outside, and what is inside ends. Then it is committed, and
//! what has waited fails; or it is aborted, by itself when its time is over, and what has waited goes in as if
//! nothing had been. One that is inside may wait for one that is outside, as for a page that is to be read: so who
//! has waited for long goes in while a cut is being prepared.
//!
//! Invariant: while a cut is made, and before that once it is prepared, nobody is inside. Lock rule: the lock
//! is held for memory work only, and innermost. To be inside is no lock: nobody inside waits outside.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

/// A flag in the count of requests inside: whoever comes now must look at the state first.
const ASK: u64 = 1 << 63;

/// While a cut is being prepared, a request waits so long and then goes in after all: somebody inside may wait for it.
const LONG: Duration = Duration::from_secs(1);

/// A cut that is about to be committed stays prepared for at least so long: finding and killing processes takes time.
const LONGER: Duration = Duration::from_secs(30);

/// The power of a mount.
#[derive(Default)]
pub(crate) struct Power {
    /// How many are inside.
    inside: AtomicU64,
    /// How often the power was cut.
    cuts: AtomicU32,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    On,
    /// A cut is prepared, until that moment, for whoever has this ticket. `empty`: nobody is inside any more.
    Prepared {
        ticket: u64,
        until: Instant,
        empty: bool,
    },
    /// A cut is committed: the backing is being rewritten.
    Committed,
    Off,
}

/// Why the power cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCut {
    #[error("another power cut is under way: wait until it is over")]
    Another,
    #[error("the power is off already: power-on comes first")]
    Off,
    #[error(
        "requests that were under way have not ended within {0:?}: clear what holds the backing up, and cut again"
    )]
    Busy(Duration),
    #[error("its time to cut the power is over, and requests have gone on: begin again")]
    Late,
}

/// Why a request does not go in now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// It has to wait. The number of cuts so far, for [`Power::wait`].
    Waits(u32),
    /// There is no power.
    Off,
}

/// A request is inside until this is dropped.
pub(crate) struct Inside<'a>(&'a Power);

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The power is being cut. When this is dropped the power is off, unless [`Cutting::end`] was called.
pub(crate) struct Cutting<'a> {
    power: &'a Power,
    after: State,
}

impl Cutting<'_> {
    /// Ends the cut with the power on again.
    pub(crate) fn end(mut self) {
        self.after = State::On;
    }
}

impl Drop for Cutting<'_> {
    fn drop(&mut self) {
        let state = self.power.state.lock();
        self.power.turn(state, self.after);
    }
}

impl Power {
    /// How often it was cut.
    pub(crate) fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::Acquire)
    }

    /// Whether it is off.
    pub(crate) fn is_off(&self) -> bool {
        matches!(*self.state.lock(), State::Committed | State::Off)
    }

    /// A request goes in, if it may at once.
    #[inline]
    pub(crate) fn enter(&self) -> Result<Inside<'_>, Outside> {
        let before = self.inside.fetch_add(1, Ordering::Acquire);
        if before & ASK == 0 {
            return Ok(Inside(self));
        }
        self.leave();
        self.ask()
    }

    #[cold]
    fn ask(&self) -> Result<Inside<'_>, Outside> {
        let mut state = self.state.lock();
        self.expire(&mut state);
        match *state {
            State::On => Ok(self.enter_by(&state)),
            State::Prepared { .. } => Err(Outside::Waits(self.cuts())),
            State::Committed | State::Off => Err(Outside::Off),
        }
    }

    /// Waits until a request may go in. None if the power is off, or was cut since the request came: `cuts` is the
    /// number of cuts at that time.
    pub(crate) fn wait(&self, cuts: u32) -> Option<Inside<'_>> {
        let came = Instant::now();
        let mut state = self.state.lock();
        loop {
            self.expire(&mut state);
            let until = match *state {
                _ if self.cuts() != cuts => return None,
                State::Committed | State::Off => return None,
                State::On => return Some(self.enter_by(&state)),
                State::Prepared { empty: false, .. } if came.elapsed() >= LONG => {
                    return Some(self.enter_by(&state));
                }
                State::Prepared { empty: false, until, .. } => until.min(came + LONG),
                State::Prepared { until, .. } => until,
            };
            self.moved.wait_until(&mut state, until);
        }
    }

    /// Counts a request. The caller has the lock, so that whoever prepares a cut sees the count.
    fn enter_by(&self, _: &MutexGuard<'_, State>) -> Inside<'_> {
        self.inside.fetch_add(1, Ordering::Acquire);
        Inside(self)
    }

    #[inline]
    fn leave(&self) {
        let before = self.inside.fetch_sub(1, Ordering::Release);
        if before == ASK | 1 {
            self.last_left();
        }
    }

    #[cold]
    fn last_left(&self) {
        // Whoever looks at the count has the lock, or waits for `moved`: so none misses this.
        drop(self.state.lock());
        self.moved.notify_all();
    }

    /// A cut that was prepared for too long is aborted.
    fn expire(&self, state: &mut MutexGuard<'_, State>) {
        if let State::Prepared { until, .. } = **state
            && until <= Instant::now()
        {
            **state = State::On;
            self.inside.fetch_and(!ASK, Ordering::AcqRel);
            self.moved.notify_all();
            tracing::warn!("a power cut was prepared and not made in time: requests go on");
        }
    }

    fn turn(&self, mut state: MutexGuard<'_, State>, to: State) {
        *state = to;
        if to == State::On {
            self.inside.fetch_and(!ASK, Ordering::AcqRel);
        }
        drop(state);
        self.moved.notify_all();
    }

    /// Prepares a cut: waits until all requests have left, for `patience` at most. The cut then stays prepared for
    /// `stays`. Returns its ticket.
    ///
    /// # Errors
    /// Another cut is under way, or a request did not leave in time. Nothing has changed then.
    pub(crate) fn prepare(&self, patience: Duration, stays: Duration) -> Result<u64, NoCut> {
        let mut state = self.state.lock();
        self.expire(&mut state);
        match *state {
            State::On => {}
            State::Prepared { .. } | State::Committed => return Err(NoCut::Another),
            State::Off => return Err(NoCut::Off),
        }
        let (now, ticket) = (Instant::now(), rand::random::<u64>() >> 1);
        let deadline = now + patience;
        *state = State::Prepared { ticket, until: deadline + stays, empty: false };
        self.inside.fetch_or(ASK, Ordering::AcqRel);
        while self.inside.load(Ordering::Acquire) != ASK {
            if Instant::now() >= deadline {
                self.turn(state, State::On);
                return Err(NoCut::Busy(patience));
            }
            self.moved.wait_until(&mut state, deadline);
        }
        *state = State::Prepared { ticket, until: Instant::now() + stays, empty: true };
        Ok(ticket)
    }

    /// Ends the preparation, and all requests go on. False if that cut is not prepared any more.
    pub(crate) fn abort(&self, ticket: u64) -> bool {
        let state = self.state.lock();
        let is_own = matches!(*state, State::Prepared { ticket: own, .. } if own == ticket);
        if is_own {
            self.turn(state, State::On);
        }
        is_own
    }

    /// Whether that cut is still prepared. If so, it stays prepared a while longer.
    pub(crate) fn keeps(&self, ticket: u64) -> bool {
        let mut state = self.state.lock();
        self.expire(&mut state);
        let now = Instant::now();
        match &mut *state {
            State::Prepared { ticket: own, empty: true, until } if *own == ticket => {
                *until = (*until).max(now + LONGER);
                true
            }
            _ => false,
        }
    }

    /// Commits a cut that was prepared: the requests that wait fail.
    ///
    /// # Errors
    /// The cut is not prepared any more.
    pub(crate) fn commit(&self, ticket: u64) -> Result<Cutting<'_>, NoCut> {
        let mut state = self.state.lock();
        self.expire(&mut state);
        match *state {
            State::Prepared { ticket: own, empty: true, .. } if own == ticket => {}
            _ => return Err(NoCut::Late),
        }
        self.cuts.fetch_add(1, Ordering::AcqRel);
        self.turn(state, State::Committed);
        Ok(Cutting { power: self, after: State::Off })
    }

    /// Switches the power on. Returns whether it was off.
    ///
    /// # Errors
    /// A cut is prepared or being made.
    pub(crate) fn on(&self) -> Result<bool, NoCut> {
        let mut state = self.state.lock();
        self.expire(&mut state);
        match *state {
            State::On => Ok(false),
            State::Prepared { .. } | State::Committed => Err(NoCut::Another),
            State::Off => {
                self.turn(state, State::On);
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::thread::{self, Scope, ScopedJoinHandle};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn prepared(power: &Power) -> u64 {
        power.prepare(PATIENCE, PATIENCE).unwrap()
    }

    /// Has something done by a thread that must come to wait for others on its way, and tells once it does.
    fn waiting<'s, T: Send + 's>(
        scope: &'s Scope<'s, '_>,
        act: impl FnOnce() -> T + Send + 's,
    ) -> ScopedJoinHandle<'s, T> {
        let (tell, told) = mpsc::channel();
        let thread = scope.spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero()).unwrap();
            act()
        });
        let path = format!("/proc/self/task/{}/syscall", told.recv().unwrap());
        let futex = format!("{} ", libc::SYS_futex);
        while !fs::read_to_string(&path).is_ok_and(|call| call.starts_with(&futex)) {
            assert!(!thread.is_finished(), "it did not wait");
            thread::yield_now();
        }
        thread
    }

    #[test]
    fn what_waits_outside_fails_by_a_cut_and_goes_on_without() {
        for cuts in [true, false] {
            let power = Power::default();
            let ticket = prepared(&power);
            assert_eq!(power.enter().err(), Some(Outside::Waits(0)));
            thread::scope(|scope| {
                let waiting = waiting(scope, || power.wait(0).is_some());
                match cuts {
                    true => power.commit(ticket).unwrap().end(),
                    false => assert!(power.abort(ticket)),
                }
                assert_eq!(waiting.join().unwrap(), !cuts);
            });
            assert!(power.enter().is_ok() && power.cuts() == u32::from(cuts));
            assert_eq!(power.wait(0).is_some(), !cuts, "one that came before");
        }
    }

    #[test]
    fn a_cut_is_prepared_once_all_have_left() {
        let power = Power::default();
        let [first, second] = [power.enter().unwrap(), power.enter().unwrap()];
        thread::scope(|scope| {
            let preparing = waiting(scope, || prepared(&power));
            drop(first);
            assert_eq!(power.enter().err(), Some(Outside::Waits(0)));
            assert!(!preparing.is_finished());
            drop(second);
            assert!(power.commit(preparing.join().unwrap()).is_ok());
        });
    }

    #[test]
    fn who_stays_inside_has_it_refused_and_all_goes_on() {
        let power = Power::default();
        let inside = power.enter().unwrap();
        let brief = Duration::from_millis(10);
        assert_eq!(power.prepare(brief, PATIENCE), Err(NoCut::Busy(brief)));
        assert!(power.enter().is_ok());
        drop(inside);
        let ticket = prepared(&power);
        assert_eq!(power.prepare(brief, PATIENCE), Err(NoCut::Another));
        drop(power.commit(ticket).unwrap());
        assert_eq!(power.prepare(brief, PATIENCE), Err(NoCut::Off));
    }

    /// Else a request that waits for another, as for a page, had the cut refused.
    #[test]
    fn who_waits_for_long_goes_in_while_another_is_inside() {
        let power = Power::default();
        let inside = power.enter().unwrap();
        thread::scope(|scope| {
            let preparing = scope.spawn(|| prepared(&power));
            while power.enter().is_ok() {}
            let waited = Instant::now();
            drop(power.wait(0).unwrap());
            assert!(waited.elapsed() >= LONG);
            drop(inside);
            preparing.join().unwrap();
        });
    }

    /// Else all waited for a client that hangs.
    #[test]
    fn a_cut_that_is_not_made_is_aborted_by_itself() {
        let power = Power::default();
        let ticket = power.prepare(PATIENCE, Duration::from_millis(30)).unwrap();
        assert!(power.wait(0).is_some(), "one that waits");
        assert_eq!(power.commit(ticket).err(), Some(NoCut::Late));
        power.prepare(PATIENCE, Duration::ZERO).unwrap();
        assert!(power.enter().is_ok(), "one that comes");
    }

    #[test]
    fn the_power_stays_off_until_it_is_turned_on() {
        let power = Power::default();
        drop(power.commit(prepared(&power)).unwrap());
        assert!(power.is_off() && power.enter().err() == Some(Outside::Off));
        assert!(power.wait(1).is_none());
        assert_eq!((power.on(), power.on()), (Ok(true), Ok(false)));
        assert!(power.enter().is_ok());
    }

    /// Else who asks is told that it was on, and finds that requests wait.
    #[test]
    fn while_it_is_cut_nobody_turns_it_on() {
        let power = Power::default();
        let ticket = prepared(&power);
        assert_eq!(power.on(), Err(NoCut::Another));
        let cutting = power.commit(ticket).unwrap();
        assert_eq!(power.on(), Err(NoCut::Another));
        cutting.end();
        assert_eq!(power.on(), Ok(false));
    }
}
