//! An operation as a fault has it: what of it runs, with which bytes, what it then answers. No locks.

use std::io;
use std::time::{Duration, Instant};

use super::Core;
use super::altered::Altered;
use super::op::{Op, Operands};
use super::reply::Answer;
use super::struck::Struck;
use crate::fault::injections::Wrong;
use crate::fault::operation::Done;
use crate::fault::plan::Run;
use crate::mirror::Caller;
use crate::ops::Call;

impl Core {
    /// Runs an operation as a fault has it, who is told of it; also how long it took, if somebody asks, and
    /// whether there was no room for it.
    #[cold]
    pub(super) fn carry_out<R: Answer>(
        &self,
        op: &Op,
        operands: Operands<'_>,
        struck: &Struck,
        (reply, run): (
            &mut R,
            impl FnOnce(&Core, &Caller, &Operands<'_>, &mut R) -> io::Result<R::Value>,
        ),
    ) -> (io::Result<R::Value>, Option<Duration>, bool) {
        let wants = struck.wants(op, operands);
        let mut altered = struck.altered(op, operands.data, wants);
        let charge = match self.charge(op, operands, struck) {
            Ok(charge) => charge,
            Err(error) => {
                struck.tell_not_run(op, operands, errno_of(&error));
                return (Err(error), None, true);
            }
        };
        let room = charge.as_ref().and_then(|charge| charge.limited(&Run::Whole));
        let limited = room.as_ref().map(|room| altered.run.both(room));
        altered.run = limited.as_ref().unwrap_or(altered.run);
        altered.room = room.as_ref().map(Run::end);
        let edited = altered.edited(operands.data);
        let data = edited.as_deref().unwrap_or(operands.data);
        let before = wants.size.then(|| self.extent_before(op, operands)).flatten();
        let changed = struck.fails_late().then(|| self.changeable(op, operands));
        let is_timed = wants.took || operands.noted.is_some() || struck.is_timed();
        let began = is_timed.then(Instant::now);
        let carried = Operands { data, altered: Some(&altered), ..operands };
        let mut result = run(self, &op.caller, &carried, reply);
        let took = began.map(|began| began.elapsed());
        if let Some(charge) = charge {
            self.settle(op, charge, result.is_ok());
        }
        if let Ok(value) = &mut result {
            self.answer_otherwise::<R>(op, &altered, value);
        }
        if let (Ok(_), Some(changed)) = (&result, changed) {
            self.reported_failed(op, &changed);
        }
        let replaced = altered.replaced.take();
        let done = Done {
            ran: true,
            errno: result.as_ref().err().map_or(0, errno_of),
            bytes: result.as_ref().map_or(0, R::moved),
            parts: altered.let_through(),
            extents: before.and_then(|before| self.extents(op, &before)),
            replaced: replaced.as_deref(),
            took,
        };
        struck.tell(op, operands, &done);
        if struck.is_whole()
            && let Ok(value) = &mut result
        {
            R::pretend(value, altered.pretended());
        }
        (result, took, false)
    }

    /// What a success carries otherwise.
    fn answer_otherwise<R: Answer>(&self, op: &Op, altered: &Altered<'_>, value: &mut R::Value) {
        if let (Call::Read, Some(ino), Some(span)) = (op.call, op.inode(), op.span) {
            let edits = altered.edits_of(R::moved(value));
            let at = |wrong: Wrong| Wrong { offset: span.offset + wrong.offset, ..wrong };
            let mut wrongs = Vec::new();
            for wrong in R::edit(value, &edits) {
                let len = wrong.should.len() as u64;
                wrongs.push((at(wrong), len));
            }
            if let Run::Part(ranges) = altered.run {
                let whole = R::moved(value);
                R::cut(value, ranges.first().map_or(0, |range| range.end));
                let left = Wrong { offset: R::moved(value), ..Wrong::default() };
                wrongs.push((at(left), whole - R::moved(value)));
            }
            wrongs.retain(|(_, len)| *len > 0);
            self.injected_answer(altered, ino, &wrongs);
        }
        altered.space.into_iter().for_each(|space| R::limit(value, space));
    }
}

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
