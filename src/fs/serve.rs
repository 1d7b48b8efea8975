//! One path for every request: gate, hold, and then `run`.
//!
//! Unarmed, an operation costs one relaxed load here. A held one owns its arguments, leaves the loop
//! thread and goes on when the delay line says so.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use fuser::INodeNo;

use super::op::{Op, Operands, OwnedOperands, Target};
use super::reply::Answer;
use super::run::{Task, Work};
use super::struck::Struck;
use super::subject::TreeSubject;
use super::{Core, SlowFs};
use crate::fault::hold::Moment;
use crate::fault::plan::Hold;
use crate::fault::{Hit, Mask, Outcome, Said};
use crate::kept::Kept;
use crate::mirror::{Caller, Ino};
use crate::ops::{Call, MethodSet};

impl SlowFs {
    /// Serves one request.
    pub(super) fn serve<R, F>(&self, op: Op, operands: Operands<'_>, reply: R, run: F)
    where
        R: Answer,
        F: FnOnce(&Core, &Caller, &Operands<'_>) -> io::Result<R::Value> + Send + 'static,
    {
        self.serve_filling(op, operands, reply, move |core, caller, operands, _| {
            run(core, caller, operands)
        });
    }

    /// Serves a request on an inode that came without names or data.
    pub(super) fn serve_inode<R, F>(
        &self,
        req: &fuser::Request,
        call: Call,
        ino: INodeNo,
        reply: R,
        run: F,
    ) where
        R: Answer,
        F: FnOnce(&Core, Ino, &Caller) -> io::Result<R::Value> + Send + 'static,
    {
        let ino = Ino(ino.0);
        let op = Op::new(req, call, Target::Inode(ino));
        self.serve(op, Operands::default(), reply, move |core, caller, _| run(core, ino, caller));
    }

    /// Serves a request whose operation fills its reply as it goes.
    pub(super) fn serve_filling<R, F>(&self, op: Op, operands: Operands<'_>, reply: R, run: F)
    where
        R: Answer,
        F: FnOnce(&Core, &Caller, &Operands<'_>, &mut R) -> io::Result<R::Value> + Send + 'static,
    {
        self.core.underway.sit();
        let mask = self.core.gate.mask();
        let repeated = op.paged && self.core.readers.pending();
        if mask.is_empty() && !repeated {
            self.core.run(&op, operands, None, reply, run);
        } else {
            self.serve_watched(Task { op, reply, run }, operands, (mask, repeated));
        }
    }

    /// Serves a request while any are looked at: faults are armed, a trace goes on, or a read repeats
    /// one that failed.
    #[cold]
    fn serve_watched<R: Answer, F: Work<R>>(
        &self,
        mut task: Task<R, F>,
        operands: Operands<'_>,
        (mask, repeated): (Mask, bool),
    ) {
        if mask.times() {
            task.op.arrived = Some(Instant::now());
        }
        let noted = self.core.noted(&mut task.op, operands, mask);
        let guarded = mask.guards();
        let operands = Operands { noted: noted.as_ref(), guarded, ..operands };
        let armed = mask.methods();
        if repeated || !armed.is_empty() && self.core.is_subject(armed, &task.op) {
            self.serve_armed(task, operands);
        } else {
            let Task { op, reply, run } = task;
            self.core.run(&op, operands, None, reply, run);
        }
    }

    fn serve_armed<R: Answer, F: Work<R>>(&self, mut task: Task<R, F>, operands: Operands<'_>) {
        let arrived = *task.op.arrived.get_or_insert_with(Instant::now);
        let Some(mut hit) = self.core.decide(&task.op, operands) else {
            return self.core.run(&task.op, operands, None, task.reply, task.run);
        };
        let said = hit.take_said();
        let struck = match hit.hold() {
            Hold::No => self.core.struck(&mut task.op, hit, Outcome::Due),
            Hold::Until(due) => match Moment::on_the_spot(arrived, due) {
                Some(moment) => {
                    let struck = self.core.struck(&mut task.op, hit, Outcome::Due);
                    struck.at(moment)
                }
                None => return self.hold((hit, said), arrived, task, operands),
            },
            Hold::UntilCleared => return self.hold((hit, said), arrived, task, operands),
        };
        match said {
            None => self.core.run_struck(task, operands, struck),
            Some(said) => {
                let (operands, kept) = self.own(operands);
                self.core.run_once_said(said, task, operands, kept, struck);
            }
        }
    }

    /// Holds an operation, and what it keeps where there is room.
    fn hold<R: Answer, F: Work<R>>(
        &self,
        (hit, said): (Hit, Option<Said>),
        arrived: Instant,
        mut task: Task<R, F>,
        operands: Operands<'_>,
    ) {
        let (core, must_run) = (Arc::clone(&self.core), task.op.must_run);
        let (operands, kept) = self.own(operands);
        let own = kept.clone();
        let job = move |hit: Hit, outcome: Outcome| {
            let struck = core.struck(&mut task.op, hit, outcome);
            match said {
                None => core.run_held(task, &operands, own, struck),
                Some(said) => core.run_once_said(said, task, operands, own, struck),
            }
        };
        self.core.line.hold(hit, arrived, must_run, Box::new(job));
        if let Some(kept) = kept.filter(|kept| kept.is_too_much()) {
            self.core.line.help(Box::new(move || kept.store()));
        }
    }

    /// What an operation takes with it from the thread on which it came.
    fn own(&self, operands: Operands<'_>) -> (OwnedOperands, Option<Arc<Kept>>) {
        let has_data = !operands.data.is_empty();
        let kept = has_data.then(|| Kept::new(&self.core.keep, operands.data));
        let cuts = self.core.cuts();
        (Operands { data: &[], cuts, ..operands }.to_owned(), kept)
    }
}

impl Core {
    /// Whether the armed methods concern the operation.
    fn is_subject(&self, armed: MethodSet, op: &Op) -> bool {
        if armed.intersects(Call::Lookup.methods()) && !Core::is_step(op) {
            self.walks.end(op.caller.tid, op.call);
        }
        armed.intersects(op.methods())
    }

    /// As faults see it only where one may match: most operations meet none.
    fn decide(&self, op: &Op, operands: Operands<'_>) -> Option<Hit> {
        if self.spared.is(op.caller.tid) {
            return None;
        }
        let [first, second] = op.targets.map(|t| t.and_then(|t| self.subject(t, operands)));
        let own = if op.call == Call::CopyTo { &second } else { &first };
        let named = || own.as_ref().map(TreeSubject::path_below).unwrap_or_default();
        let end = || self.end_of_source(op);
        let view = || {
            let mut view = op.view(operands);
            view.named(&named);
            view.ending(&end);
            view
        };
        match (&first, &second) {
            (Some(a), Some(b)) => self.gate.decide(&[a, b], &view()),
            (Some(one), None) if Core::is_step(op) => self.decide_step(op, one, &view()),
            (Some(one), None) if Core::is_cached_read(op) => self.decide_read(op, one, view()),
            (Some(one), None) | (None, Some(one)) if self.gate.matches_none(one) => None,
            (Some(one), None) | (None, Some(one)) => self.gate.decide(&[one], &view()),
            (None, None) => None,
        }
    }

    /// Where the file ends of which an operation reads, if it reads and that can be found out.
    fn end_of_source(&self, op: &Op) -> Option<u64> {
        let by = match op.call {
            Call::Read => op.fh,
            Call::CopyTo => None,
            _ => return None,
        };
        self.tree.getattr(op.inode()?, by).ok().map(|attr| attr.size)
    }

    /// Runs an operation as [`Core::run_held`] does, on a thread that waits until all know of what its
    /// firing has done.
    fn run_once_said<R: Answer, F: Work<R>>(
        self: &Arc<Self>,
        said: Said,
        task: Task<R, F>,
        operands: OwnedOperands,
        kept: Option<Arc<Kept>>,
        struck: Box<Struck>,
    ) {
        let core = Arc::clone(self);
        self.line.run(Box::new(move || {
            said.wait();
            core.run_held(task, &operands, kept, struck);
        }));
    }

    /// What a fault still does to an operation that is held no longer. Whose it is, is known by now.
    fn struck(&self, op: &mut Op, hit: Hit, outcome: Outcome) -> Box<Struck> {
        op.caller.process = hit.process();
        if outcome == Outcome::CallerKilled {
            self.walks.end(op.caller.tid, op.call);
        }
        if outcome == Outcome::Due && hit.errno().is_some() {
            self.read_fails(op, &hit);
        }
        Box::new(Struck::after(hit, outcome, op.arrived.filter(|_| op.told)))
    }
}
