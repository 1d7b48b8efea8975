//! Where a fault on reads is decided: a read(2) of a cached file may send no READ. No locks.

use super::kinds::{Class, ReadPoint};
use super::operation::Operation;
use super::spec::Fault;
use crate::ops::{Call, MethodSet};

/// Where a fault on reads is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Once for each read(2): of a cached file, at the GETATTR that comes before.
    Call,
    /// At each READ past the page cache: it looks at the bytes of the request.
    PastCache,
    /// The same, as it changes the bytes; it is told of the others, which it leaves out.
    Bytes,
    /// At each READ that arrives, as a disk does.
    Arriving,
    /// At each request, and the kernel asks before it answers from its caches.
    Each,
}

impl Reads {
    pub(super) fn of(fault: &Fault) -> Reads {
        let mut points = fault.effects().iter().map(|effect| effect.kind().read_point());
        match () {
            () if fault.standing() == Some(Class::Latch)
                && points.any(|p| p == ReadPoint::Call) =>
            {
                Reads::Each
            }
            () if fault.standing().is_some() => Reads::Arriving,
            () if points.any(|point| point == ReadPoint::Request) => Reads::Bytes,
            () if fault.scope().filters.look_at_bytes() => Reads::PastCache,
            () if fault.effects().iter().any(|effect| effect.looks_at_bytes()) => Reads::PastCache,
            () => Reads::Call,
        }
    }

    /// Of the methods that a request consults, those that are to be decided at it.
    pub(super) fn decided_at(self, op: &Operation<'_>, methods: MethodSet) -> MethodSet {
        let elsewhere = match self {
            Reads::Call => op.is_announced,
            Reads::PastCache => op.is_paged || op.call == Call::GetattrHandle,
            // A copy is a write of its target, whatever it is to its source.
            Reads::Bytes => op.call != Call::Read,
            Reads::Arriving => op.call == Call::GetattrHandle,
            Reads::Each => false,
        };
        if elsewhere { methods.minus(Call::Read.methods()) } else { methods }
    }

    /// Of these methods those for which the kernel must not answer by itself: a read of a cached
    /// file is decided when the kernel asks for attributes before it. What stands, as a disk does,
    /// concerns only what arrives.
    pub(super) fn hidden_by_caches(self, methods: MethodSet) -> MethodSet {
        match self {
            Reads::Call | Reads::Each => methods,
            Reads::PastCache | Reads::Bytes => methods.minus(Call::Read.methods()),
            Reads::Arriving => MethodSet::EMPTY,
        }
    }

    /// Whether files that are opened while it concerns their reads are to go past the page cache.
    pub(super) fn opens_past_cache(self) -> bool {
        matches!(self, Reads::Call | Reads::PastCache | Reads::Bytes)
    }

    /// Whether reads of files that were opened through the page cache do not meet it.
    pub(super) fn spares_cached(self) -> bool {
        matches!(self, Reads::PastCache | Reads::Bytes)
    }
}
