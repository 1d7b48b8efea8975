//! The one way by which every request runs, whether a fault hit it or not: here on the loop thread, or
//! away on a thread of its own; and the one place where it is answered.
//!
//! What may block in the backing takes the loop thread only while others are free (`underway` counts
//! them); what needs no backing is answered by whoever finds it. Away, an operation owns its
//! arguments. Lock rule: none is held while it runs or is answered.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Core;
use super::noted::Told;
use super::op::{Op, Operands, OwnedOperands};
use super::plug::Barred;
use super::reply::Answer;
use super::struck::Struck;
use crate::fault::hold::Moment;
use crate::fault::plan::{CutPower, Hold};
use crate::fault::{FaultId, Hit, trace};
use crate::kept::Kept;
use crate::mirror::Caller;
use crate::stats::{Answered, is_usual};

/// The work of a request on the mirror, run at most once.
pub(super) trait Work<R: Answer>:
    FnOnce(&Core, &Caller, &Operands<'_>, &mut R) -> io::Result<R::Value> + Send + 'static
{
}

impl<R: Answer, F> Work<R> for F where
    F: FnOnce(&Core, &Caller, &Operands<'_>, &mut R) -> io::Result<R::Value> + Send + 'static
{
}

/// A request on its way: what it is, how it is answered, what it does.
pub(super) struct Task<R, F> {
    pub(super) op: Op,
    pub(super) reply: R,
    pub(super) run: F,
}

/// How an operation ended.
struct Ended<R: Answer> {
    result: io::Result<R::Value>,
    /// Whether an error is a fault's.
    injected: bool,
    /// How long it ran on the mirror, if it did and somebody asks.
    took: Option<Duration>,
}

impl Core {
    /// Lets an operation that a fault hit go on.
    pub(super) fn run_struck<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        task: Task<R, F>,
        operands: Operands<'_>,
        struck: Box<Struck>,
    ) {
        let Task { op, reply, run } = task;
        match struck.error() {
            Some(error) if struck.only_answers(&op) => {
                struck.come();
                struck.tell_not_run(&op, operands, errno_of(&error));
                self.told_failed(&op);
                let ended = Ended { result: Err(error), injected: struck.injects(), took: None };
                self.answer(&op, operands, reply, ended, Some(struck));
            }
            _ => self.run(&op, operands, Some(struck), reply, run),
        }
    }

    /// The same for one that was held, with the data that it kept. On a loop thread it was not held
    /// at all, and these are in memory.
    pub(super) fn run_held<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        task: Task<R, F>,
        operands: &OwnedOperands,
        kept: Option<Arc<Kept>>,
        struck: Box<Struck>,
    ) {
        let only_answers = struck.only_answers(&task.op);
        let Some(kept) = kept.filter(|_| !only_answers) else {
            return self.run_struck(task, operands.lend(), struck);
        };
        let here = self.underway.seat().is_some();
        if !here {
            self.underway.begin_away(task.op.claim());
        }
        match kept.take() {
            Ok(taken) if here => self.run_struck(task, operands.lend_with(taken.bytes()), struck),
            Ok(taken) => self.run_away(task, operands.lend_with(taken.bytes()), Some(struck)),
            Err(error) => {
                tracing::error!("a held operation fails: its data cannot be read back: {error}");
                let Task { op, reply, .. } = task;
                let operands = operands.lend();
                struck.tell_not_run(&op, operands, errno_of(&error));
                self.cut_missed(&op, &struck);
                let owed = here || self.underway.end_away(op.claim());
                let ended = Ended { result: Err(error), injected: false, took: None };
                if owed {
                    self.answer_now(&op, operands, reply, ended, || hits_of(Some(struck)))
                } else {
                    self.take_back(&op, operands, reply, ended, Some(struck))
                }
            }
        }
    }

    /// Runs an operation on the mirror and answers it.
    #[inline]
    pub(super) fn run<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        op: &Op,
        operands: Operands<'_>,
        struck: Option<Box<Struck>>,
        mut reply: R,
        run: F,
    ) {
        let Some(seat) = self.underway.seat() else {
            self.underway.begin_away(op.claim());
            return self.run_away(Task { op: *op, reply, run }, operands, struck);
        };
        if !self.underway.enter(op.share) {
            let operands = Operands { cuts: self.cuts(), ..operands };
            return self.send_away(Task { op: *op, reply, run }, operands, struck);
        }
        let powered = match self.powered(op) {
            Ok(powered) => powered,
            Err(barred) => {
                self.underway.leave();
                return self.bar(barred, Task { op: *op, reply, run }, operands, struck);
            }
        };
        self.underway.begin(seat, op.claim());
        let ended = self.perform(op, operands, struck.as_deref(), (&mut reply, run));
        drop(powered);
        let owed = self.underway.end(seat);
        self.underway.leave();
        if owed {
            self.answer(op, operands, reply, ended, struck)
        } else {
            self.cut_behind(op, struck.as_deref());
            self.take_back(op, operands, reply, ended, struck)
        }
    }

    /// It does not run now, for want of power: it waits on a thread of its own, or fails.
    #[cold]
    fn bar<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        barred: Barred,
        task: Task<R, F>,
        operands: Operands<'_>,
        struck: Option<Box<Struck>>,
    ) {
        match barred {
            Barred::Waits(cuts) => self.send_away(task, Operands { cuts, ..operands }, struck),
            Barred::Fails(errno) => {
                let Task { op, reply, .. } = task;
                let ended = self.not_run(&op, operands, struck.as_deref(), errno);
                self.answer_now(&op, operands, reply, ended, || hits_of(struck))
            }
        }
    }

    /// Has it run on a thread of its own.
    #[cold]
    fn send_away<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        task: Task<R, F>,
        operands: Operands<'_>,
        struck: Option<Box<Struck>>,
    ) {
        let (core, operands) = (Arc::clone(self), operands.to_owned());
        let claim = task.op.claim();
        self.underway.begin_away(claim);
        if self.underway.is_dying(claim.tid) {
            self.let_go(claim);
        }
        self.line.run(Box::new(move || core.run_away(task, operands.lend(), struck)));
    }

    /// Runs it on a thread that may block.
    fn run_away<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        task: Task<R, F>,
        operands: Operands<'_>,
        struck: Option<Box<Struck>>,
    ) {
        let Task { op, mut reply, run } = task;
        let powered = self.powered_later(&op, operands.cuts);
        let runs = powered.is_ok();
        if !op.must_run && !self.underway.is_owed(op.claim()) {
            drop(powered);
            let ended = self.not_run(&op, operands, struck.as_deref(), libc::EINTR);
            return self.take_back(&op, operands, reply, ended, struck);
        }
        let operands = self.guarded_now(operands);
        let ended = match powered {
            Ok(_powered) => self.perform(&op, operands, struck.as_deref(), (&mut reply, run)),
            Err(errno) => self.not_run(&op, operands, struck.as_deref(), errno),
        };
        let owed = self.underway.end_away(op.claim());
        match (owed, runs) {
            (true, true) => self.answer(&op, operands, reply, ended, struck),
            (true, false) => self.answer_now(&op, operands, reply, ended, || hits_of(struck)),
            (false, runs) => {
                if runs {
                    self.cut_behind(&op, struck.as_deref());
                }
                self.take_back(&op, operands, reply, ended, struck);
            }
        }
    }

    /// The operation itself.
    #[inline(always)]
    fn perform<R: Answer, F: Work<R>>(
        &self,
        op: &Op,
        operands: Operands<'_>,
        struck: Option<&Struck>,
        (reply, run): (&mut R, F),
    ) -> Ended<R> {
        let Some(struck) = struck else {
            let started = operands.noted.map(|_| Instant::now());
            let result = run(self, &op.caller, &operands, reply);
            let took = started.map(|started| started.elapsed());
            return Ended { result, injected: false, took };
        };
        struck.come();
        let operands = self.guarded_now(operands);
        let (result, took, refused) = self.carry_out(op, operands, struck, (&mut *reply, run));
        match struck.error() {
            None => Ended { result, injected: refused, took },
            Some(error) => {
                self.withdraw(reply.granted(result.as_ref().ok()));
                self.told_failed(op);
                Ended { result: Err(error), injected: struck.injects(), took }
            }
        }
    }

    /// Answers an operation that is over, at once or when its answer is held no longer.
    #[inline(always)]
    fn answer<R: Answer>(
        self: &Arc<Self>,
        op: &Op,
        operands: Operands<'_>,
        reply: R,
        ended: Ended<R>,
        struck: Option<Box<Struck>>,
    ) {
        match struck {
            None => self.answer_now(op, operands, reply, ended, Vec::new),
            Some(struck) => self.answer_struck(op, operands, reply, ended, struck),
        }
    }

    /// The same for one that a fault hit.
    #[cold]
    fn answer_struck<R: Answer>(
        self: &Arc<Self>,
        op: &Op,
        operands: Operands<'_>,
        reply: R,
        ended: Ended<R>,
        mut struck: Box<Struck>,
    ) {
        struck.has_run(ended.took);
        if let Some(cut) = struck.cut() {
            return self.answer_after_cut(*op, operands, reply, (ended, struck.hits()), cut);
        }
        let hits = struck.hits();
        match struck.held_answer() {
            None => self.answer_now(op, operands, reply, ended, || hits),
            Some(hit) => self.answer_later(*op, operands, reply, (ended, hits), hit),
        }
    }

    /// Cuts the power, on a thread that may wait for others, and answers then.
    fn answer_after_cut<R: Answer>(
        self: &Arc<Self>,
        op: Op,
        operands: Operands<'_>,
        reply: R,
        (ended, hits): (Ended<R>, Vec<trace::Fired>),
        cut: (CutPower, Vec<FaultId>),
    ) {
        let (core, operands) = (Arc::clone(self), Operands { data: &[], ..operands }.to_owned());
        self.line.run(Box::new(move || {
            let answer = || core.answer_now(&op, operands.lend(), reply, ended, || hits);
            core.cut_at(&op, cut, answer);
        }));
    }

    /// Holds an answer. Whatever ends that, it is the true one.
    fn answer_later<R: Answer>(
        self: &Arc<Self>,
        op: Op,
        operands: Operands<'_>,
        reply: R,
        (ended, hits): (Ended<R>, Vec<trace::Fired>),
        hit: Hit,
    ) {
        let ran = hit.ran().unwrap_or_else(Instant::now);
        if let Hold::Until(due) = hit.hold() {
            if let Some(moment) = Moment::on_the_spot(ran, due) {
                moment.come();
                return self.answer_now(&op, operands, reply, ended, || hits);
            }
            self.step_answered_at(&op, due);
        }
        let (core, operands) = (Arc::clone(self), Operands { data: &[], ..operands }.to_owned());
        let job = move |_, _| core.answer_now(&op, operands.lend(), reply, ended, || hits);
        self.line.hold(hit, ran, false, Box::new(job));
    }

    /// The one place where results become replies and errors become errnos. What fired is asked for
    /// if somebody is told of it.
    #[inline]
    fn answer_now<R: Answer>(
        &self,
        op: &Op,
        operands: Operands<'_>,
        reply: R,
        Ended { result, injected, took }: Ended<R>,
        hits: impl FnOnce() -> Vec<trace::Fired>,
    ) {
        let answered = match &result {
            Ok(_) => Answered::Well,
            Err(_) if injected => Answered::Injected,
            Err(error) if is_usual(op.call, errno_of(error)) => Answered::Usual,
            Err(_) => Answered::Failed,
        };
        self.count(op, answered);
        if let Some(noted) = operands.noted {
            let bytes = result.as_ref().map_or(0, R::moved);
            let told = Told { took, bytes, hits: hits() };
            self.tell(op, operands, noted, result.as_ref().err(), told);
        }
        match result {
            Ok(value) => reply.ok(value),
            Err(error) => {
                reply.err(fuser::Errno::from_i32(errno_of(&error)));
            }
        }
    }

    /// It has not run, for that reason.
    fn not_run<R: Answer>(
        &self,
        op: &Op,
        operands: Operands<'_>,
        struck: Option<&Struck>,
        errno: i32,
    ) -> Ended<R> {
        if let Some(struck) = struck {
            struck.tell_not_run(op, operands, errno);
            self.cut_missed(op, struck);
        }
        Ended { result: Err(io::Error::from_raw_os_error(errno)), injected: false, took: None }
    }

    /// Cuts the power where the answer is nobody's.
    fn cut_behind(self: &Arc<Self>, op: &Op, struck: Option<&Struck>) {
        if let Some(cut) = struck.and_then(Struck::cut) {
            let (core, op) = (Arc::clone(self), *op);
            self.line.run(Box::new(move || core.cut_at(&op, cut, || ())));
        }
    }

    /// Its caller was answered EINTR meanwhile: gives back what the answer would have granted.
    #[cold]
    fn take_back<R: Answer>(
        self: &Arc<Self>,
        op: &Op,
        operands: Operands<'_>,
        mut reply: R,
        Ended { result, took, .. }: Ended<R>,
        struck: Option<Box<Struck>>,
    ) {
        let hits = hits_of(struck);
        self.withdraw(reply.granted(result.as_ref().ok()));
        self.told_nobody(op, &result);
        let error = io::Error::from_raw_os_error(libc::EINTR);
        // Forgotten, it would keep its entries in memory; dropped, it would answer EIO. The kernel
        // takes no second answer, and this is the first one's errno, if that is still on its way.
        reply.err(fuser::Errno::EINTR);
        self.count(op, Answered::Usual);
        if let Some(noted) = operands.noted {
            self.tell(op, operands, noted, Some(&error), Told { took, bytes: 0, hits });
        }
    }

    /// Counts and times an operation that is over.
    #[inline]
    fn count(&self, op: &Op, answered: Answered) {
        self.stats.count(op.call, answered);
        if let Some(arrived) = op.arrived {
            self.stats.time(op.call, arrived.elapsed());
        }
    }
}

/// What fired on an operation that is traced.
fn hits_of(struck: Option<Box<Struck>>) -> Vec<trace::Fired> {
    struck.map(|struck| struck.hits()).unwrap_or_default()
}

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests;
