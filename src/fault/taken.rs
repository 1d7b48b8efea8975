//! What a change takes from faults that stay. No locks.

use std::fmt;

use super::id::FaultId;
use super::snapshot::Row;
use crate::ops::MethodSet;

/// A fault that has lost some of its methods, and goes on with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The fault.
    pub id: FaultId,
    /// What it has lost.
    pub methods: MethodSet,
    /// What is left to it.
    pub left: MethodSet,
}

impl Taken {
    /// Of these rows those that have fewer methods than before, which are given in the same order.
    pub(super) fn since(before: &[MethodSet], rows: &[Row]) -> Vec<Taken> {
        let taken = |(before, row): (&MethodSet, &Row)| {
            let (id, left) = (row.live.id, row.methods);
            let methods = before.minus(left);
            (!methods.is_empty() && !left.is_empty()).then_some(Taken { id, methods, left })
        };
        before.iter().zip(rows).filter_map(taken).collect()
    }

    /// Forgets those of which the rest of the change left nothing, since it tells that they are replaced;
    /// to the others is left what they have at its end.
    pub(super) fn settle(all: &mut Vec<Taken>, rows: &[Row]) {
        all.retain_mut(|taken| {
            let row = rows.iter().find(|row| row.live.id == taken.id);
            taken.left = row.map_or(MethodSet::EMPTY, |row| row.methods);
            !taken.left.is_empty()
        });
    }
}

/// As in `fsync from 3 (left: fdatasync)`.
impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Taken { id, methods, left } = self;
        write!(f, "{methods} from {id} (left: {left})")
    }
}

/// What came of a change, as the log tells it behind what was done.
pub(super) struct Effects<'a> {
    /// What became of those that have gone: `replaces`, `gone:`.
    pub(super) verb: &'a str,
    pub(super) gone: &'a [FaultId],
    pub(super) taken: &'a [Taken],
    pub(super) released: u64,
}

impl fmt::Display for Effects<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Effects { verb, gone, taken, released } = self;
        if !gone.is_empty() {
            let ids: Vec<_> = gone.iter().map(FaultId::to_string).collect();
            write!(f, "; {verb} {}", ids.join(", "))?;
        }
        for taken in *taken {
            write!(f, "; takes {taken}")?;
        }
        match released {
            0 => Ok(()),
            released => write!(f, "; released {released} held"),
        }
    }
}
