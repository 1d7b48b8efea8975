//! `lost-write`: a write is told as done, and nothing of it is.

use super::{Class, Effect, Kind, ReadPoint, hidden};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Plan, Reply, Run};
use crate::fault::words::{Args, Param};
use crate::ops::{Call, MethodSet};

pub(super) struct LostWrite;

impl Kind for LostWrite {
    fn name(&self) -> &'static str {
        "lost-write"
    }

    fn about(&self) -> &'static str {
        "Report matching writes as done, but write nothing"
    }

    fn details(&self) -> &'static str {
        "Nothing of a write reaches the backing, but it succeeds as if all of it had. If the file \
         was to grow, it grows by a hole. A copy is a write of its target.\n\
         \n\
         The modification time changes, so the next read(2) finds what is stored. With `--hidden` \
         it does not change; then the kernel's cache shows the written data until it is dropped.\n\
         \n    slowfs lost-write -m write -r '.*/wal/.*' --count 1\
         \n    slowfs lost-write --hidden -m write -r '.*/data/.*' -p 1%"
    }

    fn params(&self) -> &'static [Param] {
        &[hidden::HIDDEN]
    }

    fn class(&self) -> Class {
        Class::Data
    }

    fn reach(&self) -> MethodSet {
        Call::CopyTo.methods()
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Request
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        Ok(Box::new(Losing { hidden: hidden::read(args) }))
    }
}

#[derive(Debug)]
struct Losing {
    hidden: bool,
}

impl Effect for Losing {
    fn kind(&self) -> &'static dyn Kind {
        &LostWrite
    }

    fn args(&self) -> Args {
        hidden::told(Args::new(), self.hidden)
    }

    fn applies(&self, op: &Operation<'_>) -> bool {
        op.span.is_some_and(|span| span.len > 0)
    }

    fn skips(&self) -> &'static str {
        "without bytes"
    }

    fn plan(&self, _: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        let change = plan.changed();
        (change.run, change.hidden) = (Run::Part(Box::default()), self.hidden);
        if plan.reply == Reply::Own {
            plan.reply = Reply::Whole;
        }
    }
}
