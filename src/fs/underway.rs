//! What is under way on the mirror, and whose: how many loop threads it occupies, and who is to be
//! freed when killed meanwhile.
//!
//! A caller in uninterruptible sleep is free when its request is answered. So the answer is parted
//! from the run: each operation is a claim, by the number of its request, and who takes the claim
//! answers: the thread that runs the operation, once it has returned, or before that the warden,
//! with EINTR.
//!
//! Invariants: a claim is taken once. Of the loop threads one at least is free of work that can
//! block, or about to be: the last that is free does not enter. Lock rule: the claims away are
//! locked for memory work only, and innermost.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
use std::thread::{self, Thread};

use parking_lot::Mutex;

use crate::sys::process;

/// In the count of busy loop threads: the warden sleeps, and is to be woken.
const ASLEEP: usize = 1 << (usize::BITS - 1);

/// Likewise: somebody was freed lately, and is dying.
const DYING: usize = 1 << (usize::BITS - 2);

const COUNT: usize = !(ASLEEP | DYING);

/// Who waits for what: the number of a request, and the thread that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) unique: u64,
    /// 0 if unknown.
    pub(super) tid: u32,
}

/// How many loop threads an operation may find busy and still run on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// All but the last.
    Any,
    /// Half: what is known to be slow leaves the others to what is quick.
    Half,
}

/// What a loop thread runs. Its own to write, but that the warden may take the claim.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Seat {
    /// The request, until the claim is taken: then 0.
    unique: AtomicU64,
    tid: AtomicU32,
}

impl Seat {
    fn claim(&self) -> Option<Claim> {
        let unique = self.unique.load(Acquire);
        let tid = self.tid.load(Relaxed);
        (unique != 0).then_some(Claim { unique, tid })
    }
}

thread_local! {
    /// Which seat this loop thread has, from 1; 0 on every other thread.
    static SEAT: Cell<usize> = const { Cell::new(0) };
}

/// Everything under way.
pub(super) struct Underway {
    /// Loop threads that run what can block.
    busy: AtomicUsize,
    seats: Box<[Seat]>,
    seated: AtomicUsize,
    /// What other threads run, or will.
    away: Mutex<HashMap<u64, Claim>>,
    /// The threads freed lately. Each closes its files one after the other.
    dying: Mutex<HashSet<u32>>,
    warden: OnceLock<Thread>,
}

impl Underway {
    /// For so many loop threads.
    pub(super) fn new(threads: usize) -> Underway {
        Underway {
            busy: AtomicUsize::new(0),
            seats: (0..threads.max(1)).map(|_| Seat::default()).collect(),
            seated: AtomicUsize::new(0),
            away: Mutex::default(),
            dying: Mutex::default(),
            warden: OnceLock::new(),
        }
    }

    /// This thread is a loop thread.
    #[inline]
    pub(super) fn sit(&self) {
        if SEAT.get() == 0 {
            SEAT.set(self.seated.fetch_add(1, Relaxed) % self.seats.len() + 1);
        }
    }

    /// The seat of this thread; none if it is no loop thread.
    #[inline]
    pub(super) fn seat(&self) -> Option<&Seat> {
        self.seats.get(SEAT.get().wrapping_sub(1))
    }

    /// Whether an operation may occupy this loop thread. If so, [`Underway::leave`] is to follow.
    #[inline]
    pub(super) fn enter(&self, share: Share) -> bool {
        let limit = match share {
            Share::Any => self.seats.len() - 1,
            Share::Half => self.seats.len() / 2,
        };
        let before = self.busy.fetch_add(1, AcqRel);
        before < limit || self.enter_late(before, limit)
    }

    #[cold]
    fn enter_late(&self, before: usize, limit: usize) -> bool {
        if before & ASLEEP != 0 {
            self.wake();
        }
        // Nobody knows how long the next step of one that is dying will block.
        let admitted = before & COUNT < limit && before & DYING == 0;
        if !admitted {
            self.leave();
        }
        admitted
    }

    /// The operation no longer occupies this loop thread.
    #[inline]
    pub(super) fn leave(&self) {
        self.busy.fetch_sub(1, AcqRel);
    }

    /// An operation begins on this loop thread.
    #[inline]
    pub(super) fn begin(&self, seat: &Seat, claim: Claim) {
        seat.tid.store(claim.tid, Relaxed);
        seat.unique.store(claim.unique, Release);
    }

    /// It has returned. Whether its answer is still owed.
    #[inline]
    pub(super) fn end(&self, seat: &Seat) -> bool {
        seat.unique.swap(0, AcqRel) != 0
    }

    /// An operation begins on another thread, or waits for one.
    pub(super) fn begin_away(&self, claim: Claim) {
        self.away.lock().insert(claim.unique, claim);
        if self.busy.load(Acquire) & ASLEEP != 0 {
            self.wake();
        }
    }

    /// Whether the thread was freed lately, and still is to die.
    pub(super) fn is_dying(&self, tid: u32) -> bool {
        self.busy.load(Relaxed) & DYING != 0
            && self.dying.lock().contains(&tid)
            && process::sigkill_pending(tid)
    }

    /// The thread was freed, and is to die.
    pub(super) fn remember_dying(&self, tid: u32) {
        self.dying.lock().insert(tid);
        self.busy.fetch_or(DYING, AcqRel);
    }

    /// Those freed lately have died.
    pub(super) fn forget_dying(&self) {
        self.busy.fetch_and(!DYING, AcqRel);
        self.dying.lock().clear();
    }

    /// Whether the answer of an operation away is still owed.
    pub(super) fn is_owed(&self, claim: Claim) -> bool {
        self.away.lock().contains_key(&claim.unique)
    }

    /// An operation away has returned. Whether its answer is still owed.
    pub(super) fn end_away(&self, claim: Claim) -> bool {
        self.away.lock().remove(&claim.unique).is_some()
    }

    /// The claims that are not taken, in the order of their requests; none whose thread is unknown.
    pub(super) fn all(&self) -> Vec<Claim> {
        let seated = self.seats.iter().filter_map(Seat::claim);
        let mut all: Vec<Claim> = seated.chain(self.away.lock().values().copied()).collect();
        all.retain(|claim| claim.tid != 0);
        all.sort_unstable_by_key(|claim| claim.unique);
        all
    }

    /// Takes a claim from whoever runs it; false if it was taken.
    pub(super) fn take(&self, claim: Claim) -> bool {
        let take =
            |seat: &Seat| seat.unique.compare_exchange(claim.unique, 0, AcqRel, Relaxed).is_ok();
        self.seats.iter().any(take) || self.end_away(claim)
    }

    fn wake(&self) {
        self.busy.fetch_and(!ASLEEP, AcqRel);
        if let Some(warden) = self.warden.get() {
            warden.unpark();
        }
    }

    /// This thread is the warden, to be woken when it sleeps.
    pub(super) fn watched_by_this_thread(&self) {
        let _ = self.warden.set(thread::current());
    }

    /// Sleeps until something begins, unless something is under way.
    pub(super) fn sleep(&self) {
        let busy = self.busy.fetch_or(ASLEEP, AcqRel);
        if busy & COUNT != 0 || !self.away.lock().is_empty() {
            self.busy.fetch_and(!ASLEEP, AcqRel);
        }
        while self.busy.load(Acquire) & ASLEEP != 0 {
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn claim(unique: u64) -> Claim {
        Claim { unique, tid: 7 }
    }

    #[test]
    fn the_last_free_loop_thread_does_not_enter() {
        let underway = Underway::new(4);
        assert!((0..3).all(|_| underway.enter(Share::Any)));
        assert!(!underway.enter(Share::Any));
        underway.leave();
        assert!(!underway.enter(Share::Half));
        assert!(underway.enter(Share::Any));
        (0..3).for_each(|_| underway.leave());
        assert!(underway.enter(Share::Half) && underway.enter(Share::Half));
        assert!(!underway.enter(Share::Half));
        assert!(!Underway::new(1).enter(Share::Any), "the only one never does");
    }

    #[test]
    fn threads_that_come_together_never_all_enter() {
        const THREADS: usize = 4;
        let underway = Underway::new(THREADS);
        let (inside, barrier) = (AtomicUsize::new(0), Barrier::new(THREADS));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    for round in 0..20_000 {
                        if underway.enter(Share::Any) {
                            let others = inside.fetch_add(1, AcqRel);
                            assert!(others < THREADS - 1, "all are inside");
                            if round % 16 == 0 {
                                thread::yield_now();
                            }
                            inside.fetch_sub(1, AcqRel);
                            underway.leave();
                        }
                    }
                });
            }
        });
        assert_eq!(underway.busy.load(Acquire), 0);
    }

    #[test]
    fn a_claim_is_taken_once() {
        let underway = Underway::new(2);
        underway.sit();
        let seat = underway.seat().unwrap();
        underway.begin(seat, claim(1));
        underway.begin_away(claim(2));
        assert_eq!(underway.all(), [claim(1), claim(2)]);
        assert!(underway.take(claim(1)) && !underway.take(claim(1)));
        assert!(!underway.end(seat));
        assert!(underway.is_owed(claim(2)) && underway.take(claim(2)));
        assert!(!underway.is_owed(claim(2)) && !underway.end_away(claim(2)));
        underway.begin(seat, claim(3));
        assert!(underway.end(seat) && !underway.take(claim(3)));
        assert!(underway.all().is_empty());
    }

    #[test]
    fn a_sleeping_warden_is_woken_by_whatever_begins() {
        let underway = Underway::new(4);
        for away in [false, true] {
            thread::scope(|scope| {
                let sleeper = scope.spawn(|| {
                    underway.watched_by_this_thread();
                    underway.sleep();
                });
                while underway.busy.load(Acquire) & ASLEEP == 0 {
                    thread::yield_now();
                }
                if away {
                    underway.begin_away(claim(1));
                    underway.warden.get().unwrap().unpark();
                } else {
                    assert!(underway.enter(Share::Any));
                }
                sleeper.thread().unpark();
                sleeper.join().unwrap();
            });
            assert_eq!(underway.busy.load(Acquire), usize::from(!away));
            if !away {
                underway.leave();
            }
        }
        underway.sleep();
        assert_eq!(underway.busy.load(Acquire), 0, "not while something is away");
    }
}
