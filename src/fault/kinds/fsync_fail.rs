//! `fsync-fail`: a sync fails, and what it was to store may be lost with that.

use super::lying_sync::syncs;
use super::{Class, Effect, Kind};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Plan, Reply, Sync, When};
use crate::fault::words::{Args, Errno, Param, ParamType, Value};
use crate::ops::MethodSet;

pub(super) struct FsyncFail;

const MODE: &str = "mode";
const LOST: &str = "lost";
const DIRTY: &str = "dirty";

static PARAMS: &[Param] = &[Param {
    name: MODE,
    of: ParamType::Choice(&[LOST, DIRTY]),
    first: true,
    required: true,
    about: "lost: no later sync stores what this one was to, unless it is written again; dirty: the next one does",
}];

impl Kind for FsyncFail {
    fn name(&self) -> &'static str {
        "fsync-fail"
    }

    fn about(&self) -> &'static str {
        "Fail matching syncs with EIO as filesystems do that cannot write back"
    }

    fn details(&self) -> &'static str {
        "What filesystems do differs once they cannot write back. With `lost`, as on ext4 (data=ordered) and XFS, the pages \
         count as clean from then on: they are read as ever, but a sync that is tried again succeeds and stores nothing of them, and \
         a power cut takes them back, unless the program has written them again. EIO comes once by each descriptor that \
         was open then, when it is synced; if whom it was for has died before, by the next that is opened. Names, attributes and sizes are not lost: \
         the next sync that succeeds makes them durable, so that a file may have its size, and zeros in it. With `dirty` the \
         pages stay dirty, EIO comes by the descriptor that is synced only, and a sync that is tried again and succeeds stores all. `slowfs power-cut` shows what is left, \
         `slowfs unsynced` what is lost: so it needs a mount with --track-unsynced. The sync that a write by O_SYNC or O_DSYNC includes is a sync \
         of what it has written; of a directory nothing is ever lost.\
         \n    slowfs fsync-fail lost --count 1\
         \n    slowfs fsync-fail dirty -m fsync,fdatasync -r '.*/wal/.*' -p 10%"
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
        Ok(Box::new(Failing { loses: args.text(MODE) == Some(LOST) }))
    }
}

#[derive(Debug)]
struct Failing {
    loses: bool,
}

impl Effect for Failing {
    fn kind(&self) -> &'static dyn Kind {
        &FsyncFail
    }

    fn args(&self) -> Args {
        let mode = if self.loses { LOST } else { DIRTY };
        Args::new().with(MODE, Value::Text(mode.to_owned()))
    }

    fn needs_tracking(&self) -> Option<&'static str> {
        Some("fsync-fail")
    }

    fn plan(&self, _: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        plan.sync = if self.loses { Sync::Failed } else { Sync::Not };
        plan.reply = Reply::Errno(Errno::EIO, When::After);
    }
}
