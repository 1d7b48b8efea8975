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
    about: "no later sync stores the data either, unless it is written again",
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
        "Report matching syncs as done, but do nothing"
    }

    fn details(&self) -> &'static str {
        "The sync succeeds at once, but nothing becomes durable. A disk does that whose volatile \
         cache claims to be safe, and so does a filesystem mounted without barriers. The next \
         honest sync stores the data. With `--forever` no later sync does, as if the disk had \
         dropped the data, unless the program writes it again. Names, attributes and sizes are \
         stored by the next honest sync even then.\n\
         \n\
         On a mount with --track-unsynced, `slowfs power-cut` shows what is left. `--forever` \
         needs such a mount. On other mounts the sync is not done, so its time is saved, and only \
         a crash of this machine can show the difference. The sync that a write with O_SYNC or \
         O_DSYNC includes is not done either.\n\
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
