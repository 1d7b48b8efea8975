//! What a fault still does to an operation that is held no longer. No locks.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use super::altered::Altered;
use super::op::{Op, Operands};
use super::traced;
use crate::fault::hold::Moment;
use crate::fault::operation::{Done, Wants};
use crate::fault::plan::{Change, CutPower, Plan, Reply, Run, Sync, When};
use crate::fault::{FaultId, Hit, Outcome, trace};
use crate::ops::Call;
use crate::sys::process::Process;

/// What is still to be done to an operation, and who is to be told when that is done.
pub(super) struct Struck {
    /// Not before this moment, which is less than a change of thread away.
    due: Cell<Option<Moment>>,
    /// Then the caller is killed, by this fault.
    kill: Option<(FaultId, Process)>,
    /// Whether its sync is done.
    sync: Sync,
    /// What of the operation itself is otherwise.
    change: Option<Box<Change>>,
    /// This is the answer, whatever the operation itself would say.
    errno: Option<i32>,
    /// Whether that is the fault's, not what a killed caller gets.
    injects: bool,
    /// That comes once it is done.
    fails_late: bool,
    /// It is answered as if all of it had been done.
    whole: bool,
    /// Its answer may be held, each by its own.
    held_after: bool,
    /// Nothing of it runs, unless it must.
    only_answers: bool,
    pub(super) hit: Hit,
    /// When it arrived and how its hold ended, if somebody is told of it.
    told: Option<(Instant, Outcome)>,
    /// The numbers of the injections that it has made.
    injected: RefCell<Vec<u64>>,
}

impl Struck {
    pub(super) fn after(hit: Hit, outcome: Outcome) -> Struck {
        let plan = match outcome {
            Outcome::Due | Outcome::LetGo => hit.plan(),
            Outcome::Released | Outcome::CallerKilled => Plan::default(),
        };
        // Taken apart by name, so that no part is left out.
        let Plan { before: _, after, kill, sync, reply, change } = plan;
        let killer = hit.killer().filter(|_| kill).zip(hit.process());
        let killed = outcome == Outcome::CallerKilled;
        let errno = match reply {
            _ if killed => Some(libc::EINTR),
            Reply::Errno(errno, _) => Some(errno.raw()),
            Reply::Own | Reply::Whole => None,
        };
        let only_answers = killed || outcome != Outcome::Released && hit.only_answers();
        let whole = reply == Reply::Whole;
        let fails_late = matches!(reply, Reply::Errno(_, When::After));
        Struck {
            due: Cell::default(),
            kill: killer,
            sync,
            change,
            errno,
            injects: errno.is_some() && !killed,
            fails_late,
            whole,
            held_after: !after.is_none(),
            only_answers,
            hit,
            told: None,
            injected: RefCell::default(),
        }
    }

    /// The same, of which somebody is told: it arrived then, and this ended its hold.
    pub(super) fn told_as(self, arrived: Instant, outcome: Outcome) -> Struck {
        Struck { told: Some((arrived, outcome)), ..self }
    }

    /// What is told of it, once it has run or is answered without.
    pub(super) fn hits(&self) -> Vec<trace::Hit> {
        let injected = || self.injected.take();
        let told = self.told.map(|told| traced::hits(&self.hit, told, injected()));
        told.unwrap_or_default()
    }

    /// The same, not before this moment.
    pub(super) fn at(self: Box<Struck>, due: Moment) -> Box<Struck> {
        self.due.set(Some(due));
        self
    }

    /// How the power is cut before it is answered, if it is, and by which faults.
    pub(super) fn cut(&self) -> Option<(CutPower, Vec<FaultId>)> {
        Some((self.change.as_deref()?.cut?, self.hit.cutters()))
    }

    /// Whether nothing of such an operation runs.
    pub(super) fn only_answers(&self, op: &Op) -> bool {
        self.only_answers && !op.must_run
    }

    /// The error that it is answered, if it is.
    pub(super) fn error(&self) -> Option<io::Error> {
        self.errno.map(io::Error::from_raw_os_error)
    }

    /// Whether the fault gives it an error.
    pub(super) fn injects(&self) -> bool {
        self.injects
    }

    /// Whether it is done, and reported as failed.
    pub(super) fn fails_late(&self) -> bool {
        self.fails_late
    }

    /// Whether it is answered as if all of it had been done.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// What is otherwise about an operation that runs and came with these data, of which so much is
    /// asked.
    pub(super) fn altered<'a>(&'a self, op: &Op, data: &'a [u8], wants: Wants) -> Altered<'a> {
        let change = self.change.as_deref();
        // Taken apart by name, too.
        let (run, edits, spoil, hidden, space) = match change {
            None => (&Run::Whole, &[][..], None, false, None),
            Some(Change { run, edits, spoil, hidden, space, cut: _ }) => {
                (run, &edits[..], *spoil, *hidden, *space)
            }
        };
        let copied = op.span.filter(|_| op.call == Call::CopyTo).map(|span| span.len);
        Altered {
            run,
            edits,
            spoil,
            hidden,
            space,
            sync: self.sync,
            whole: self.whole && self.errno.is_none(),
            wants_replaced: wants.replaced,
            replaced: Cell::default(),
            span: op.span,
            all: 0..copied.unwrap_or(data.len() as u64),
            asked: data,
            spoiler: change.and_then(|_| self.hit.spoiler(op.call.name())),
            room: None,
            truthful: !self.whole && self.errno.is_none(),
            would_move: Cell::default(),
            injected: &self.injected,
        }
    }

    /// Waits for its moment, and kills.
    #[inline]
    pub(super) fn come(&self) {
        if let Some(moment) = self.due.take() {
            moment.come();
        }
        if let Some((fault, process)) = self.kill
            && let Err(error) = process.kill()
        {
            tracing::warn!("fault {fault} cannot kill process {}: {error}", process.pid());
        }
    }

    /// What those that planned for it, or follow it, want to be told.
    pub(super) fn wants(&self, op: &Op, operands: Operands<'_>) -> Wants {
        self.hit.wants(&op.view(operands))
    }

    /// Tells those that planned for it, or follow it, how it ended.
    pub(super) fn tell(&self, op: &Op, operands: Operands<'_>, done: &Done<'_>) {
        self.hit.done(&op.view(operands), done);
    }

    /// The same for one that did not run.
    pub(super) fn tell_not_run(&self, op: &Op, operands: Operands<'_>, errno: i32) {
        self.tell(op, operands, &Done { errno, ..Done::default() });
    }

    /// Whether it is to be found out how long the backing takes.
    pub(super) fn is_timed(&self) -> bool {
        self.hit.is_timed()
    }

    /// It has run, or is answered without, and took so long on the backing, if it did and was timed.
    pub(super) fn has_run(&mut self, took: Option<Duration>) {
        if self.held_after {
            self.hit.has_run(took);
        }
    }

    /// What is held once it has run, if its answer is.
    pub(super) fn held_answer(self: Box<Struck>) -> Option<Hit> {
        self.held_after.then_some(self.hit)
    }
}
