//! The spaces that an operation takes of, by the faults that count them. No locks.

use super::{Firing, Hit};
use crate::fault::ledger::Ledger;

/// Whether a fault does anything to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acts {
    /// It only follows, or lets it pass.
    No,
    AsPlanned,
    /// It found no room for it when it ran.
    Refuses,
    /// Or for part of it only.
    Shortens,
}

impl Hit {
    /// Those that count the space it takes.
    pub(crate) fn ledgers(&self) -> impl Iterator<Item = Shared<'_>> {
        let told = self.asking().filter(|firing| firing.repeated.is_none());
        told.flat_map(|firing| {
            let ledgers = firing.live.fault.effects().iter().filter_map(|effect| effect.ledger());
            ledgers.map(move |ledger| Shared { ledger, firing })
        })
    }
}

/// A space that an operation takes of, for one of the faults that count it.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) ledger: &'a Ledger,
    firing: &'a Firing,
}

impl Shared<'_> {
    /// Whether the operation may be refused: the fault is set on it, and does not only follow.
    pub(crate) fn limits(&self) -> bool {
        self.firing.limits
    }

    /// Whether all files are counted, whatever their paths.
    pub(crate) fn is_everywhere(&self) -> bool {
        !self.firing.live.counts_some()
    }

    /// Whether a file with that path is counted.
    pub(crate) fn covers(&self, path: &[u8]) -> bool {
        self.is_everywhere() || self.firing.live.fault.pattern().matches(path)
    }

    /// There is no room for it, or for part of it only.
    pub(crate) fn acts(&self, refuses: bool) {
        let Firing { live, n, acts, .. } = self.firing;
        acts.set(if refuses { Acts::Refuses } else { Acts::Shortens });
        n.set(Some(live.acted(n.get())));
    }
}
