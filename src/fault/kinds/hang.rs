//! `hang`: a request waits until the fault is cleared.

use super::{Class, Effect, Kind};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Hold, Plan};
use crate::fault::words::{Args, Param};

pub(super) struct Hang;

impl Kind for Hang {
    fn name(&self) -> &'static str {
        "hang"
    }

    fn about(&self) -> &'static str {
        "Hold matching operations until the fault is cleared"
    }

    fn details(&self) -> &'static str {
        "The operation waits until the fault is cleared, replaced or over. With phases it waits \
         at most until the end of the on phase in which it came. A caller that is killed \
         meanwhile is soon free.\n\
         \n    slowfs hang -m fsync\
         \n    slowfs hang -m write -r '.*/wal/.*' --for 10s\
         \n    slowfs hang -m fsync --on-for 2s --off-for 20s --random"
    }

    fn params(&self) -> &'static [Param] {
        &[]
    }

    fn class(&self) -> Class {
        Class::Time
    }

    fn holds_for_good(&self) -> bool {
        true
    }

    fn make(&self, _: &Args) -> Result<Box<dyn Effect>, SpecError> {
        Ok(Box::new(Hanging))
    }
}

#[derive(Debug)]
struct Hanging;

impl Effect for Hanging {
    fn kind(&self) -> &'static dyn Kind {
        &Hang
    }

    fn args(&self) -> Args {
        Args::new()
    }

    fn plan(&self, _: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        plan.before.add(Hold::UntilCleared);
    }
}
