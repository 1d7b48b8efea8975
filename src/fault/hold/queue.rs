//! What waits on the delay line, in the order it is due, and what is ready to run.
//!
//! Invariant: what waits is in one place: taken out of the queue, it is the taker's to run.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::callers::{Caller, Callers};
use super::spin::Moment;
use crate::fault::firing::Hit;
use crate::fault::live::Left;
use crate::fault::plan::Hold;

/// Why a held operation goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its delay is over: kill, errno or operation are due.
    Due,
    /// Its fault was cleared or replaced, or all ends: it runs as if there were no fault.
    Released,
    /// Its caller was killed: it does not run, and answers EINTR.
    CallerKilled,
    /// Its caller leaves by itself and would be held for too long: it runs as if there were no fault,
    /// unless a condition or a latch answers it.
    LetGo,
}

/// What becomes of an operation after it was held.
pub type Job = Box<dyn FnOnce(Hit, Outcome) + Send>;

pub(super) type Plain = Box<dyn FnOnce() + Send>;

/// When an operation is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    At(Instant),
    Never,
}

pub(super) struct Held {
    pub(super) hit: Hit,
    /// Runs even if a fault answers it.
    pub(super) must_run: bool,
    pub(super) job: Job,
    pub(super) arrived: Instant,
    /// Whether it ends before its time, because its caller leaves.
    pub(super) let_go: bool,
}

impl Held {
    /// When it is due, and whether it has been cut short, by what is known of its caller.
    fn due(&mut self, callers: &Callers) -> Due {
        let hold = self.hit.hold();
        let asked = match hold {
            Hold::No => Due::At(self.arrived),
            Hold::Until(due) => Due::At(due),
            Hold::UntilCleared => Due::Never,
        };
        let hangs = hold == Hold::UntilCleared;
        match callers.limit(&self.hit, self.arrived, hangs).map(Due::At) {
            Some(limit) if limit < asked => {
                self.let_go = true;
                limit
            }
            _ => {
                self.let_go = false;
                asked
            }
        }
    }
}

impl Held {
    /// Whether its job only answers then, which blocks nobody.
    pub(super) fn only_answers(&self, outcome: Outcome) -> bool {
        let answered = match outcome {
            Outcome::Due => self.hit.only_answers(),
            Outcome::Released | Outcome::LetGo => false,
            Outcome::CallerKilled => true,
        };
        answered && !self.must_run
    }
}

/// What waits in the queue.
pub(super) enum Waiting {
    Operation(Held),
    /// The end of a fault's lifetime. It keeps no fault: who holds one is an operation on its way.
    Lift(Left, Plain),
}

impl Waiting {
    /// Whether what it waits for may be another moment now, or none: a fault was cleared.
    fn has_lost(&self) -> bool {
        match self {
            Waiting::Operation(held) => held.hit.has_lost(),
            Waiting::Lift(left, _) => left.is_none(),
        }
    }

    /// The caller, if it is known.
    pub(super) fn caller(&self) -> Option<Caller> {
        match self {
            Waiting::Operation(held) => held.hit.known_caller(),
            Waiting::Lift(..) => None,
        }
    }
}

/// What a thread can run.
pub(super) enum Ready {
    Due(Held, Moment),
    Freed(Held, Outcome),
    Lift(Plain, Moment),
    /// The line's own housekeeping.
    Help(Plain),
}

impl Ready {
    /// The same, that has no processor to itself while it lies in the queue.
    fn without_spare(self) -> Ready {
        match self {
            Ready::Due(held, moment) => Ready::Due(held, moment.without_spare()),
            Ready::Lift(lift, moment) => Ready::Lift(lift, moment.without_spare()),
            other => other,
        }
    }

    /// Whether any thread may perform it, because it blocks nobody.
    fn is_light(&mut self) -> bool {
        match self {
            Ready::Due(held, _) => {
                held.hit.settle() && held.only_answers(Outcome::Due) && !held.let_go
            }
            Ready::Freed(held, outcome) => held.only_answers(*outcome),
            Ready::Lift(..) => true,
            Ready::Help(_) => false,
        }
    }
}

/// The number of an arrival, to tell apart what is due at the same moment.
pub(super) type Serial = u64;

#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: BTreeMap<(Due, Serial), Waiting>,
    /// What only answers: it goes first, and does not wait for a thread if none can be had.
    light: VecDeque<Ready>,
    /// What may block.
    ready: VecDeque<Ready>,
    /// Of the operations that wait.
    pub(super) callers: Callers,
    serial: Serial,
    /// When who leads wakes.
    pub(super) alarm: Alarm,
    pub(super) workers: usize,
    /// Workers that were woken or started and have not looked at the queue since.
    pub(super) coming: usize,
    pub(super) leading: bool,
    pub(super) watching: bool,
    pub(super) closed: bool,
}

impl Queue {
    /// Adds what a thread can run now.
    pub(super) fn push(&mut self, ready: Ready) {
        let mut ready = ready.without_spare();
        match ready.is_light() {
            true => self.light.push_back(ready),
            false => self.ready.push_back(ready),
        }
    }

    /// Takes what is to run next.
    pub(super) fn take_ready(&mut self) -> Option<Ready> {
        self.light.pop_front().or_else(|| self.ready.pop_front())
    }

    /// Takes what still only answers: where a fault was cleared meanwhile, an operation runs.
    pub(super) fn take_light(&mut self) -> Option<Ready> {
        while let Some(mut ready) = self.light.pop_front() {
            if ready.is_light() {
                return Some(ready);
            }
            self.ready.push_front(ready);
        }
        None
    }

    pub(super) fn has_light(&self) -> bool {
        !self.light.is_empty()
    }

    /// How much can run now.
    pub(super) fn ready(&self) -> usize {
        self.light.len() + self.ready.len()
    }

    /// Has an operation wait until it is due; whether it is now the first.
    pub(super) fn hold(&mut self, mut held: Held) -> bool {
        let due = held.due(&self.callers);
        self.callers.add(&held.hit);
        self.insert(due, Waiting::Operation(held))
    }

    /// Has the end of a lifetime wait; whether it is now the first.
    pub(super) fn lift(&mut self, at: Instant, left: Left, lift: Plain) -> bool {
        self.insert(Due::At(at), Waiting::Lift(left, lift))
    }

    fn insert(&mut self, due: Due, waiting: Waiting) -> bool {
        self.serial += 1;
        let key = (due, self.serial);
        self.waiting.insert(key, waiting);
        self.waiting.first_key_value().is_some_and(|(first, _)| *first == key)
    }

    pub(super) fn anything_waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        match self.waiting.first_key_value() {
            Some(((Due::At(due), _), _)) => Some(*due),
            Some(((Due::Never, _), _)) | None => None,
        }
    }

    pub(super) fn take_earliest(&mut self, moment: Moment) -> Option<Ready> {
        match self.waiting.pop_first()? {
            ((Due::At(_), _), Waiting::Operation(held)) => {
                self.callers.remove(&held.hit);
                Some(Ready::Due(held, moment))
            }
            ((Due::At(_), _), Waiting::Lift(_, lift)) => Some(Ready::Lift(lift, moment)),
            (key, never_due) => {
                self.waiting.insert(key, never_due);
                None
            }
        }
    }

    /// Whether nothing else is due soon after the earliest.
    pub(super) fn is_alone(&self, soon: Duration) -> bool {
        let mut dues = self.waiting.keys().map(|(due, _)| *due);
        match (dues.next(), dues.next()) {
            (Some(Due::At(first)), Some(Due::At(second))) => second > first + soon,
            _ => true,
        }
    }

    /// Whether several are due by now.
    pub(super) fn is_crowded(&self, now: Instant) -> bool {
        self.waiting.keys().nth(1).is_some_and(|(due, _)| *due <= Due::At(now))
    }

    /// Takes all that is due by now, in the order of due times.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Vec<Ready> {
        std::iter::from_fn(|| self.take_due_by(now)).collect()
    }

    /// Takes the earliest if it is due: who is awake has it done before the thread that leads wakes.
    pub(super) fn take_overdue_one(&mut self) -> Option<Ready> {
        self.earliest()?;
        self.take_due_by(Instant::now())
    }

    fn take_due_by(&mut self, now: Instant) -> Option<Ready> {
        let due = self.earliest().filter(|due| *due <= now)?;
        self.take_earliest(Moment::due(due))
    }

    /// Takes what waits and answers to `gone`, in the order of due times.
    pub(super) fn take(&mut self, gone: impl Fn(Serial, &Waiting) -> bool) -> Vec<Waiting> {
        if !self.waiting.iter().any(|((_, serial), waiting)| gone(*serial, waiting)) {
            return Vec::new();
        }
        let (taken, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = mem::take(&mut self.waiting)
            .into_iter()
            .partition(|((_, serial), waiting)| gone(*serial, waiting));
        self.waiting = kept;
        let taken: Vec<_> = taken.into_values().collect();
        for waiting in &taken {
            if let Waiting::Operation(held) = waiting {
                self.callers.remove(&held.hit);
            }
        }
        taken
    }

    /// Takes what has no reason to wait any more. What others than a fault that was cleared still
    /// hold waits on, for them; whether one of that is now the first.
    pub(super) fn release(&mut self) -> (Vec<Waiting>, bool) {
        let (mut gone, mut is_first) = (Vec::new(), false);
        for mut waiting in self.take(|_, waiting| waiting.has_lost()) {
            let due = match &mut waiting {
                Waiting::Operation(held) => {
                    let is_left = held.hit.settle();
                    is_left.then(|| held.due(&self.callers))
                }
                Waiting::Lift(..) => None,
            };
            match (due, waiting) {
                (Some(due), Waiting::Operation(held)) => {
                    self.callers.add(&held.hit);
                    is_first |= self.insert(due, Waiting::Operation(held));
                }
                (_, waiting) => gone.push(waiting),
            }
        }
        (gone, is_first)
    }

    /// Has what is held for callers that leave end in time.
    pub(super) fn cut_short(&mut self) {
        let callers = mem::take(&mut self.callers);
        let taken = self.take(|_, waiting| match waiting {
            Waiting::Operation(held) => callers.is_limited(&held.hit),
            Waiting::Lift(..) => false,
        });
        self.callers = callers;
        for waiting in taken {
            if let Waiting::Operation(mut held) = waiting {
                let due = held.due(&self.callers);
                self.insert(due, Waiting::Operation(held));
            }
        }
    }

    /// The latest arrival.
    pub(super) fn latest(&self) -> Serial {
        self.serial
    }
}
