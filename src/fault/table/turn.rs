//! What is done at firings: the decisions of a table take turns while any of it is pending. Lock rule: the
//! turn is taken before all other locks of the table, for memory work only.

use std::sync::{Arc, Weak};

use super::FaultTable;
use crate::fault::firing::Hit;
use crate::fault::live::Live;
use crate::fault::once::{Once, Said};
use crate::fault::snapshot::Snapshot;
use crate::fault::swapped::Swapped;

impl FaultTable {
    /// Makes a decision by the table as it then is, and does what is due by what fired.
    pub(in crate::fault) fn in_turn(
        &self,
        hit: &mut Option<Hit>,
        decide: impl FnOnce(&Snapshot, &mut Option<Hit>),
    ) {
        let swapped;
        {
            let _turn = self.turn.lock();
            let snapshot = self.snapshot.load_full();
            decide(&snapshot, hit);
            let fired = hit.iter().flat_map(Hit::asked);
            swapped = self.do_due(&snapshot, fired);
        }
        if let (Some(hit), Some(swapped)) = (hit, swapped) {
            hit.awaits(self.spread_soon(swapped));
        }
    }

    /// Has these done at firings from now on; [`FaultTable::catch_up`] does what is due already.
    pub(crate) fn watch(&self, onces: Vec<Once>) {
        self.watch_for(|_| onces.into_iter().map(Arc::new).collect());
    }

    /// Does what is due by what has fired before it was watched for, and tells nobody.
    pub(crate) fn catch_up(&self) -> Swapped {
        let _turn = self.turn.lock();
        let snapshot = self.snapshot.load_full();
        let lives = snapshot.rows.iter().map(|row| &*row.live);
        self.do_due(&snapshot, lives).unwrap_or_default()
    }

    /// Does nothing at firings any more.
    pub(crate) fn unwatch(&self) {
        self.watch_for(|_| Vec::new());
    }

    /// Has a thread of the delay line spread it.
    fn spread_soon(&self, swapped: Swapped) -> Said {
        let (saying, said) = Said::new();
        let own = Weak::clone(&self.own);
        self.line.help(Box::new(move || {
            if let Some(table) = own.upgrade() {
                table.spread(swapped);
            }
            drop(saying);
        }));
        said
    }

    /// Has these done at firings from now on, and none that were to be done before.
    fn watch_for(&self, onces: impl FnOnce(&Snapshot) -> Vec<Arc<Once>>) {
        let _writer = self.writer.lock();
        let old = self.snapshot.load_full();
        self.install(&old, old.rows.clone(), onces(&old).into());
    }

    /// Does what is due by what these faults have come to, and forgets it; none if nothing is. Only under
    /// the turn.
    fn do_due<'a>(
        &self,
        snapshot: &Snapshot,
        lives: impl Iterator<Item = &'a Live>,
    ) -> Option<Swapped> {
        let due = |live| snapshot.onces.iter().filter(move |once| once.is_due(live));
        let done = lives.flat_map(due).filter_map(|once| once.act()).reduce(Swapped::and);
        if snapshot.onces.iter().any(|once| !once.is_pending()) {
            let pending = |once: &&Arc<Once>| once.is_pending();
            self.watch_for(|now| now.onces.iter().filter(pending).cloned().collect());
        }
        done
    }
}
