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
    about: "lost: later syncs do not store the data, unless it is written again; dirty: the next sync does",
}];

impl Kind for FsyncFail {
    fn name(&self) -> &'static str {
        "fsync-fail"
    }

    fn about(&self) -> &'static str {
        "Fail matching syncs with EIO, as filesystems do that cannot write back"
    }

    fn details(&self) -> &'static str {
        "Filesystems differ in what they do after a write-back has failed.\n\
         \n\
         `lost` does as ext4 (data=ordered) and XFS. The pages count as clean: they can be read \
         as before, but a sync that is tried again succeeds and does not store them. A power cut \
         takes them back, unless the program has written them again. Each descriptor that was \
         open then gets EIO once, when it is synced. If its process has died before, the next \
         descriptor that is opened gets it. Names, attributes and sizes are not lost: the next \
         sync that succeeds makes them durable. So a file may have its size, with zeros in it.\n\
         \n\
         With `dirty` the pages stay dirty. Only the descriptor that is synced gets EIO, and the \
         next sync that succeeds stores everything.\n\
         \n\
         It needs a mount with --track-unsynced. `slowfs power-cut` shows what is left, `slowfs \
         unsynced` what is lost. A write with O_SYNC or O_DSYNC includes a sync of what it has \
         written. A sync of a directory loses nothing.\n\
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
