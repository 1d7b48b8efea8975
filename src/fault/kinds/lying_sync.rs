//! `lying-sync`: a sync is told as done, and is not.

use super::{Class, Effect, Kind};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Plan, Sync};
use crate::fault::words::{Args, Param, ParamType, Value};
use crate::ops::{Call, MethodSet};

pub(super) struct LyingSync;

const FOREVER: &str = "forever";

static PARAMS: &[Param] = &[Param {
    name: FOREVER,
    of: ParamType::Flag,
    first: false,
    required: false,
    about: "no later sync stores what was written until then, unless it is written again",
}];

/// What asks for a sync.
pub(super) fn syncs() -> MethodSet {
    Call::Fsync.methods().union(Call::Fdatasync.methods()).union(Call::Fsyncdir.methods())
}

impl Kind for LyingSync {
    fn name(&self) -> &'static str {
        "lying-sync"
    }

    fn about(&self) -> &'static str {
        "Tell matching syncs as done, and do nothing"
    }

    fn details(&self) -> &'static str {
        "As a disk whose cache is volatile and that says otherwise, or a filesystem mounted without barriers: the \
         sync is answered 0, at once, and nothing was made durable. The next sync that is honest stores it; with `--forever` none does, \
         as if the disk had dropped it, unless it is written again. On a mount with --track-unsynced `slowfs power-cut` shows what is left then; \
         names, attributes and sizes are the next honest sync's also with `--forever`, which needs such a mount. On any other it is a \
         sync that is not done: what it costs is saved, and only a crash of this machine can tell. The sync that a write by O_SYNC or O_DSYNC \
         includes is not done either.\
         \n    slowfs lying-sync\
         \n    slowfs lying-sync --forever -m fdatasync -r '.*/wal/.*' -p 1%"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Sync
    }

    fn reach(&self) -> MethodSet {
        syncs()
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        Ok(Box::new(Lying { forever: args.get(FOREVER) == Some(&Value::Flag(true)) }))
    }
}

#[derive(Debug)]
struct Lying {
    forever: bool,
}

impl Effect for Lying {
    fn kind(&self) -> &'static dyn Kind {
        &LyingSync
    }

    fn args(&self) -> Args {
        match self.forever {
            true => Args::new().with(FOREVER, Value::Flag(true)),
            false => Args::new(),
        }
    }

    fn needs_tracking(&self) -> Option<&'static str> {
        self.forever.then_some("lying-sync --forever")
    }

    fn plan(&self, _: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        plan.sync = if self.forever { Sync::Lost } else { Sync::Not };
    }
}
