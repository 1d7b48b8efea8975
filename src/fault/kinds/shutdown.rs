//! `shutdown`: a filesystem that has given up its disk.

use super::latch::{Latch, PARAMS, closes};
use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::error::SpecError;
use crate::fault::words::{Args, Errno, Param};
use crate::ops::{Call, MethodSet};

pub(super) struct Shutdown;

impl Kind for Shutdown {
    fn name(&self) -> &'static str {
        "shutdown"
    }

    fn about(&self) -> &'static str {
        "Fail everything with EIO, as a filesystem that has shut down"
    }

    fn details(&self) -> &'static str {
        "As XFS once it has lost its disk or its log: every operation fails with EIO, reads of cached \
         files, stat and open too, but close(2) goes on. Mapped pages that are in the cache are read and \
         stored to all the same; what was stored is written back no more, which msync(2) or fsync(2) \
         says. What had arrived before it set in is done. So that the caches hide nothing, the kernel asks \
         for attributes before each read while it is set, also where `--at` still waits. It stays until it is \
         cleared, for the mount or for the paths that match.\n\
         \n    slowfs shutdown\
         \n    slowfs shutdown --below '.*/wal'\
         \n    slowfs shutdown --at fsync,fdatasync --after 3"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Latch
    }

    fn answers(&self) -> bool {
        true
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Call
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let failing = Call::all().filter(|call| !closes(*call));
        let reach = failing.fold(MethodSet::EMPTY, |set, call| set.union(call.methods()));
        Ok(Box::new(Latch::new(&Shutdown, args, (Errno::EIO, reach), |op| !closes(op.call))))
    }
}
