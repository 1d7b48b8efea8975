//! What comes to be among the files that a fault counts, or ceases to be, by a new name: a file, or a
//! directory with all that is in it. No locks.

use std::collections::HashMap;
use std::sync::Arc;

use super::counted::{There, occupied};
use super::injected::file_key;
use super::{Core, Node, Note};
use crate::fault::Shared;
use crate::fault::injections::FileKey;
use crate::fault::ledger::Used;
use crate::mirror::Lying;

/// What an operation moves.
#[derive(Default)]
pub(super) struct Moved {
    /// What comes to each of the faults.
    needs: Vec<Used>,
    directories: Vec<Arc<Node>>,
    /// What is in these and comes or goes, with the places of the faults to which it does.
    crossing: HashMap<FileKey, Vec<usize>>,
}

impl Moved {
    /// What comes to the fault at that place.
    pub(super) fn need(&self, place: usize) -> Used {
        self.needs.get(place).copied().unwrap_or_default()
    }

    /// Nothing was moved, or what was in them is gone.
    pub(super) fn drop_all(self, shares: &[(Shared<'_>, Used)]) {
        for (key, places) in self.crossing {
            let shares = places.into_iter().filter_map(|place| shares.get(place));
            shares.for_each(|(shared, _)| shared.ledger.end(key, 0, None));
        }
    }
}

impl Core {
    /// What of these files comes to which fault, and goes. All that is in a directory is looked at.
    pub(super) fn moved(&self, there: &[There], ledgers: &[Shared<'_>]) -> Moved {
        let mut moved = Moved::default();
        if ledgers.iter().all(Shared::is_everywhere) {
            return moved;
        }
        moved.needs.resize(ledgers.len(), Used::default());
        for There { node, attr, to, .. } in there {
            let (Some(attr), Some(to)) = (attr, to) else { continue };
            for (shared, need) in ledgers.iter().zip(&mut moved.needs) {
                let comes = shared.covers(to) && !self.is_among(shared, node);
                if comes && shared.ledger.charges(attr.uid) {
                    *need = need.and(occupied(attr.blocks));
                }
            }
            if node.is_dir() {
                self.cross(node, to, ledgers, &mut moved);
                moved.directories.push(Arc::clone(node));
            }
        }
        moved
    }

    /// Adds what is in a directory, which is to have that path.
    fn cross(&self, node: &Arc<Node>, to: &[u8], ledgers: &[Shared<'_>], moved: &mut Moved) {
        let mut from = Vec::new();
        self.tree.path(node, &mut from);
        self.visit_below(node, &mut |lying| {
            let below = lying.path.get(from.len()..).unwrap_or_default();
            let (to, used) = ([to, below].concat(), occupied(lying.blocks));
            for (place, shared) in ledgers.iter().enumerate() {
                let (was, comes) = (self.lies_among(shared, lying), shared.covers(&to));
                if was == comes || !shared.ledger.charges(lying.uid) {
                    continue;
                }
                let key = file_key(lying.key);
                let places = moved.crossing.entry(key).or_default();
                if places.contains(&place) {
                    continue; // By another of its names.
                }
                places.push(place);
                shared.ledger.begin(key);
                shared.ledger.found(key, if was { used } else { Used::default() });
                if let Some(need) = moved.needs.get_mut(place).filter(|_| comes) {
                    *need = need.and(used);
                }
            }
        });
    }

    /// Settles it: what is in the directories is looked at again.
    pub(super) fn settle_moved(
        &self,
        mut moved: Moved,
        shares: &[(Shared<'_>, Used)],
        tickets: &[u64],
    ) {
        for node in std::mem::take(&mut moved.directories) {
            if moved.crossing.is_empty() {
                break;
            }
            self.visit_below(&node, &mut |lying| {
                let key = file_key(lying.key);
                for place in moved.crossing.remove(&key).unwrap_or_default() {
                    let share = shares.get(place).zip(tickets.get(place));
                    let Some(((shared, _), ticket)) = share else { continue };
                    let charged =
                        shared.ledger.charges(lying.uid) && self.lies_among(shared, lying);
                    let now = if charged { occupied(lying.blocks) } else { Used::default() };
                    shared.ledger.end(key, *ticket, Some(now));
                }
            });
        }
        moved.drop_all(shares);
    }

    fn lies_among(&self, shared: &Shared<'_>, lying: &Lying<'_, Note>) -> bool {
        let by_other = |node: &Arc<Node>| self.is_among(shared, node);
        shared.covers(lying.path) || lying.known.as_ref().is_some_and(by_other)
    }

    /// Also what was in it until it was removed, and is open still.
    fn visit_below(&self, directory: &Node, visit: &mut dyn FnMut(&Lying<'_, Note>)) {
        if let Err(error) = self.tree.visit_below(directory, visit) {
            tracing::warn!("cannot count what is in a renamed directory: {error}");
        }
        let mut above = Vec::new();
        self.tree.path(directory, &mut above);
        above.push(b'/');
        for handle in self.tree.open_handles() {
            let (node, mut path) = (handle.inode(), Vec::new());
            self.tree.path(node, &mut path);
            if path.starts_with(&above)
                && let Ok(attr) = self.tree.attr(node)
                && attr.nlink == 0
            {
                let (key, known) = (node.key(), Some(Arc::clone(node)));
                visit(&Lying { path: &path, key, known, uid: attr.uid, blocks: attr.blocks });
            }
        }
    }
}
