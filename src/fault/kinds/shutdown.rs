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
        "It does as XFS after it has lost its disk or its log. Every operation fails with EIO, \
         also reads of cached files, stat and open. Only close(2) goes on. Mapped pages in the \
         cache can still be read and stored to, but stores are no longer written back: msync(2) \
         or fsync(2) reports that. Requests that arrived before are done.\n\
         \n\
         So that the caches hide nothing, the kernel asks for attributes before each read while \
         the fault is set, even while `--at` still waits. It stays until it is cleared, for the \
         whole mount or for the paths that match.\n\
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

    fn reach(&self) -> MethodSet {
        let failing = Call::all().filter(|call| !closes(*call));
        failing.fold(MethodSet::EMPTY, |set, call| set.union(call.methods()))
    }

    fn answers(&self) -> bool {
        true
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Call
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        Ok(Box::new(Latch::new(&Shutdown, args, Errno::EIO, |op| !closes(op.call))))
    }
}
