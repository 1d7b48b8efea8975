//! `kill`: the process that asks is killed.

use super::{Class, Effect, Kind};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::Plan;
use crate::fault::words::{Args, Param};
use crate::ops::{Call, MethodSet};

pub(super) struct Kill;

impl Kind for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn about(&self) -> &'static str {
        "Kill the processes that make matching operations"
    }

    fn details(&self) -> &'static str {
        "The calling process gets SIGKILL; if the fault also has a delay, after the delay. Then \
         the operation goes on. pid 1 and slowfs itself are never killed. Operations of the \
         kernel, and of processes in pid namespaces that slowfs cannot see, are skipped.\n\
         \n    slowfs kill -m fsync -r '.*/wal/.*' --after 100 --count 1"
    }

    fn params(&self) -> &'static [Param] {
        &[]
    }

    fn class(&self) -> Class {
        Class::Answer
    }

    fn idle_on(&self) -> (MethodSet, &'static str) {
        let nobodys = Call::Release.methods().union(Call::Releasedir.methods());
        (nobodys, "the kernel sends it, without a caller")
    }

    fn make(&self, _: &Args) -> Result<Box<dyn Effect>, SpecError> {
        Ok(Box::new(Killing))
    }
}

#[derive(Debug)]
struct Killing;

impl Effect for Killing {
    fn kind(&self) -> &'static dyn Kind {
        &Kill
    }

    fn args(&self) -> Args {
        Args::new()
    }

    fn applies(&self, op: &Operation<'_>) -> bool {
        op.victim().is_some()
    }

    fn skips(&self) -> &'static str {
        "without a caller that it can kill: those of the kernel itself, of pid 1, of this daemon, \
         and of pid namespaces that it cannot see"
    }

    fn plan(&self, _: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        plan.kill = true;
    }
}
