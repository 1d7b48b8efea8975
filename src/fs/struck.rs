//! What a fault still does to an operation that is held no longer. No locks.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use super::altered::Altered;
use super::op::{Op, Operands};
use super::traced;
use crate::fault::hold::Moment;
use crate::fault::operation::{Done, Wants};
use crate::fault::plan::{After, Alteration, CutPower, Plan, Reply, Run, Sync, When};
use crate::fault::{Errno, FaultId, Hit, Outcome, trace};
use crate::ops::Call;

/// What is still to be done to an operation, and who is to be told when that is done.
pub(super) struct Struck {
    pub(super) hit: Hit,
    /// What is to be done, unless it is what the hit's only fault asks.
    plan: Option<Box<Plan>>,
    /// How its hold ended.
    outcome: Outcome,
    /// Not before this moment, which is less than a change of thread away.
    due: Cell<Option<Moment>>,
    /// When it arrived, if somebody is told of it.
    told: Option<Instant>,
    /// The numbers of the injections that it has made.
    injected: RefCell<Vec<u64>>,
}

/// What a plan asks besides the hold before it, which is over by now. A part that nothing here reads is dead code,
/// which the compiler finds.
struct Duties<'a> {
    after: &'a After,
    kill: bool,
    sync: Sync,
    reply: Reply,
    change: Option<&'a Alteration>,
}

impl Struck {
    /// `told`: when it arrived, if somebody is told of it.
    pub(super) fn after(hit: Hit, outcome: Outcome, told: Option<Instant>) -> Struck {
        let plan = match outcome {
            Outcome::Due | Outcome::LetGo => hit.joint_plan(),
            Outcome::Released | Outcome::CallerKilled => Some(Plan::default()),
        };
        let (due, injected) = (Cell::default(), RefCell::default());
        Struck { hit, plan: plan.map(Box::new), outcome, due, told, injected }
    }

    /// What is to be done. Taken apart by name, so that whoever adds a part comes by.
    #[inline]
    fn duties(&self) -> Duties<'_> {
        let plan = self.plan.as_deref().unwrap_or(self.hit.first_plan());
        let Plan { before: _, after, kill, sync, reply, change } = plan;
        Duties { after, kill: *kill, sync: *sync, reply: *reply, change: change.as_deref() }
    }

    /// What is answered whatever the operation itself would say.
    fn errno(&self) -> Option<i32> {
        match self.outcome {
            Outcome::CallerKilled => Some(libc::EINTR),
            Outcome::Due | Outcome::Released | Outcome::LetGo => {
                self.duties().reply.errno().map(Errno::raw)
            }
        }
    }

    /// Whether its answer may be held, each by its own.
    fn holds_answer(&self) -> bool {
        !self.duties().after.is_none()
    }

    /// What is told of it, once it has run or is answered without.
    pub(super) fn hits(&self) -> Vec<trace::Fired> {
        let injected = || self.injected.take();
        let told = self.told.map(|arrived| (arrived, self.outcome));
        told.map(|told| traced::hits(&self.hit, told, injected())).unwrap_or_default()
    }

    /// The same, not before this moment.
    pub(super) fn at(self: Box<Struck>, due: Moment) -> Box<Struck> {
        self.due.set(Some(due));
        self
    }

    /// How the power is cut before it is answered, if it is, and by which faults.
    pub(super) fn cut(&self) -> Option<(CutPower, Vec<FaultId>)> {
        Some((self.duties().change?.cut?, self.hit.cutters()))
    }

    /// Whether nothing of such an operation runs.
    pub(super) fn only_answers(&self, op: &Op) -> bool {
        let only_answers = match self.outcome {
            Outcome::CallerKilled => true,
            Outcome::Released => false,
            Outcome::Due | Outcome::LetGo => self.hit.only_answers(),
        };
        only_answers && !op.must_run
    }

    /// The error that it is answered, if it is.
    pub(super) fn error(&self) -> Option<io::Error> {
        self.errno().map(io::Error::from_raw_os_error)
    }

    /// Whether the fault gives it an error, and not that its caller was killed.
    pub(super) fn injects(&self) -> bool {
        self.duties().reply.errno().is_some()
    }

    /// Whether it is done, and reported as failed.
    pub(super) fn fails_late(&self) -> bool {
        matches!(self.duties().reply, Reply::Errno(_, When::After))
    }

    /// Whether it is answered as if all of it had been done.
    pub(super) fn is_whole(&self) -> bool {
        self.duties().reply == Reply::Whole
    }

    /// What is otherwise about an operation that runs and came with these data, of which so much is
    /// asked.
    pub(super) fn altered<'a>(&'a self, op: &Op, data: &'a [u8], wants: Wants) -> Altered<'a> {
        let Duties { change, sync, .. } = self.duties();
        // Taken apart by name, too.
        let (run, edits, spoil, hidden, space, cut) = match change {
            None => (&Run::Whole, &[][..], None, false, None, None),
            Some(Alteration { run, edits, spoil, hidden, space, cut }) => {
                (run, &edits[..], *spoil, *hidden, *space, *cut)
            }
        };
        let (whole, answered) = (self.is_whole(), self.errno().is_some());
        let copied = op.span.filter(|_| op.call == Call::CopyTo).map(|span| span.len);
        Altered {
            run,
            edits,
            spoil,
            hidden,
            space,
            sync,
            whole: whole && !answered,
            wants_replaced: wants.replaced,
            replaced: Cell::default(),
            span: op.span,
            all: 0..copied.unwrap_or(data.len() as u64),
            asked: data,
            spoiler: change.and_then(|_| self.hit.spoiler(op.call.name())),
            room: None,
            truthful: !whole && !answered,
            late: self.holds_answer() || cut.is_some(),
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
        if self.duties().kill
            && let Some((fault, process)) = self.hit.killer().zip(self.hit.process())
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
        if self.holds_answer() {
            self.hit.has_run(took);
        }
    }

    /// What is held once it has run, if its answer is.
    pub(super) fn held_answer(self: Box<Struck>) -> Option<Hit> {
        self.holds_answer().then_some(self.hit)
    }
}
