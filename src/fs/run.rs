//! The one way by which every request runs, whether a fault hit it or not: here on the loop thread, or
//! away on a thread of its own; and the one place where it is answered.
//!
//! What may block in the backing takes the loop thread only while others are free (`underway` counts
//! them); what needs no backing is answered by whoever finds it. Away, an operation owns its
//! arguments. Lock rule: none is held while it runs or is answered.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::Core;
use super::journal::Entry;
use super::kept::Kept;
use super::reply::{Answer, Granted};
use super::serve::{Args, Op, OwnedArgs};
use super::underway::Share;
use crate::fault::{self, FaultId, Hit, Outcome, hold};
use crate::mirror::{Caller, Ino};
use crate::sys::process::Process;

/// The work of a request on the mirror, run at most once.
pub(super) trait Work<R: Answer>:
    FnOnce(&Core, Caller, Args<'_>, &mut R) -> io::Result<R::Value> + Send + 'static
{
}

impl<R: Answer, F> Work<R> for F where
    F: FnOnce(&Core, Caller, Args<'_>, &mut R) -> io::Result<R::Value> + Send + 'static
{
}

/// A request on its way: what it is, how it is answered, what it does.
pub(super) struct Task<R, F> {
    pub(super) op: Op,
    pub(super) reply: R,
    pub(super) run: F,
}

/// How an operation ended, and when it began, if it is logged and its own result.
type Done<R> = (io::Result<<R as Answer>::Value>, Option<Instant>);

/// What a fault still does to an operation that is held no longer.
#[derive(Clone, Copy)]
pub(super) struct Struck {
    /// Not before this moment, which is less than a change of thread away.
    due: Option<Instant>,
    /// Then the caller is killed, by this fault.
    kill: Option<(FaultId, Process)>,
    /// This is the answer, whatever the operation itself would say.
    errno: Option<i32>,
}

impl Struck {
    pub(super) fn after(hit: &Hit, outcome: Outcome) -> Struck {
        let errno = match outcome {
            Outcome::Due => hit.errno().map(fault::Errno::raw),
            Outcome::Released | Outcome::LetGo => None,
            Outcome::CallerKilled => Some(libc::EINTR),
        };
        let kill = hit.kill() && outcome == Outcome::Due;
        let victim = hit.process().filter(|_| kill);
        Struck { due: None, kill: victim.map(|process| (hit.id(), process)), errno }
    }

    /// The same, not before this moment.
    pub(super) fn at(self, due: Option<Instant>) -> Struck {
        Struck { due, ..self }
    }

    #[inline]
    fn come(self) {
        if let Some(due) = self.due {
            hold::spin(due.saturating_duration_since(Instant::now()));
        }
        if let Some((fault, process)) = self.kill
            && let Err(error) = process.kill()
        {
            tracing::warn!("fault {fault} cannot kill process {}: {error}", process.pid());
        }
    }
}

impl Core {
    /// Lets an operation that a fault hit go on.
    pub(super) fn go_on<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        task: Task<R, F>,
        args: Args<'_>,
        struck: Struck,
    ) {
        let Task { op, reply, run } = task;
        match struck.errno {
            Some(errno) if !op.must_run => {
                struck.come();
                let result = Err(io::Error::from_raw_os_error(errno));
                self.answer(&op, args, reply, (result, None));
            }
            _ => self.run(&op, args, Some(struck), reply, run),
        }
    }

    /// The same for one that was held, with the data that it kept. On a loop thread it was not held
    /// at all, and these are in memory.
    pub(super) fn go_on_held<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        task: Task<R, F>,
        args: &OwnedArgs,
        kept: Option<Arc<Kept>>,
        struck: Struck,
    ) {
        let only_answers = struck.errno.is_some() && !task.op.must_run;
        let Some(kept) = kept.filter(|_| !only_answers) else {
            return self.go_on(task, args.lend(), struck);
        };
        let here = self.underway.seat().is_some();
        if !here {
            self.underway.begin_away(task.op.claim());
        }
        match kept.take() {
            Ok(taken) if here => self.go_on(task, args.lend_with(taken.bytes()), struck),
            Ok(taken) => self.run_away(task, args.lend_with(taken.bytes()), Some(struck)),
            Err(error) => {
                tracing::error!("a held operation fails: its data cannot be read back: {error}");
                let Task { op, reply, .. } = task;
                let done = (Err(error), None);
                let owed = here || self.underway.end_away(op.claim());
                let args = args.lend();
                if owed {
                    self.answer(&op, args, reply, done)
                } else {
                    self.take_back(&op, args, reply, done)
                }
            }
        }
    }

    /// Runs an operation on the mirror and answers it.
    #[inline]
    pub(super) fn run<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        op: &Op,
        args: Args<'_>,
        struck: Option<Struck>,
        mut reply: R,
        run: F,
    ) {
        let Some(seat) = self.underway.seat() else {
            self.underway.begin_away(op.claim());
            return self.run_away(Task { op: *op, reply, run }, args, struck);
        };
        if !self.underway.enter(op.share) {
            return self.send_away(Task { op: *op, reply, run }, args, struck);
        }
        self.underway.begin(seat, op.claim());
        let done = self.perform(op, args, struck, (&mut reply, run));
        let owed = self.underway.end(seat);
        self.underway.leave();
        if owed {
            self.answer(op, args, reply, done)
        } else {
            self.take_back(op, args, reply, done)
        }
    }

    /// Has it run on a thread of its own.
    #[cold]
    fn send_away<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        task: Task<R, F>,
        args: Args<'_>,
        struck: Option<Struck>,
    ) {
        let (core, args) = (Arc::clone(self), args.to_owned());
        let claim = task.op.claim();
        self.underway.begin_away(claim);
        if self.underway.is_dying(claim.tid) {
            self.let_go(claim);
        }
        self.line.run(Box::new(move || core.run_away(task, args.lend(), struck)));
    }

    /// Runs it on a thread that may block.
    fn run_away<R: Answer, F: Work<R>>(
        &self,
        task: Task<R, F>,
        args: Args<'_>,
        struck: Option<Struck>,
    ) {
        let Task { op, mut reply, run } = task;
        if !op.must_run && !self.underway.is_owed(op.claim()) {
            return self.take_back(
                &op,
                args,
                reply,
                (Err(io::ErrorKind::Interrupted.into()), None),
            );
        }
        let done = self.perform(&op, args, struck, (&mut reply, run));
        let owed = self.underway.end_away(op.claim());
        if owed {
            self.answer(&op, args, reply, done)
        } else {
            self.take_back(&op, args, reply, done)
        }
    }

    /// The operation itself.
    #[inline(always)]
    fn perform<R: Answer, F: Work<R>>(
        &self,
        op: &Op,
        args: Args<'_>,
        struck: Option<Struck>,
        (reply, run): (&mut R, F),
    ) -> Done<R> {
        let Some(struck) = struck else {
            let started = self.options.log_ops.then(Instant::now);
            return (run(self, op.caller, args, reply), started);
        };
        struck.come();
        let started = self.options.log_ops.then(Instant::now);
        let result = run(self, op.caller, args, reply);
        match struck.errno {
            None => (result, started),
            Some(errno) => (Err(io::Error::from_raw_os_error(errno)), None),
        }
    }

    /// The one place where results become replies and errors become errnos.
    fn answer<R: Answer>(&self, op: &Op, args: Args<'_>, reply: R, (result, started): Done<R>) {
        self.note(op, args, result.as_ref().err(), started);
        match result {
            Ok(value) => reply.ok(value),
            Err(error) => {
                reply.err(fuser::Errno::from_i32(error.raw_os_error().unwrap_or(libc::EIO)));
            }
        }
    }

    /// Its caller was answered EINTR meanwhile: gives back what the answer would have granted.
    #[cold]
    fn take_back<R: Answer>(&self, op: &Op, args: Args<'_>, reply: R, (result, started): Done<R>) {
        let Granted { entries, opened } = reply.withhold(result.ok());
        for ino in entries {
            self.tree.forget(ino, 1);
        }
        if let Some(Err(error)) = opened.map(|fh| self.closed(fh)) {
            tracing::debug!("closing what a killed caller had opened: {error}");
        }
        let error = io::Error::from_raw_os_error(libc::EINTR);
        self.note(op, args, Some(&error), started);
    }

    /// Counts, times and logs an operation that is over.
    #[inline]
    fn note(&self, op: &Op, args: Args<'_>, error: Option<&io::Error>, started: Option<Instant>) {
        self.stats.count(op.call, error.is_some());
        if let Some(arrived) = op.arrived {
            self.stats.time(op.call, arrived.elapsed());
        }
        if self.options.log_ops {
            Entry { core: self, op, args, error, started }.write();
        }
    }

    /// Runs a FORGET, which nobody waits for and which may close files of the backing.
    pub(super) fn run_forget(self: &Arc<Self>, ino: Ino, lookups: u64) {
        self.underway.sit();
        if self.underway.enter(Share::Any) {
            self.forget(ino, lookups);
            self.underway.leave();
        } else {
            self.forget_later(ino, lookups);
        }
    }
}
