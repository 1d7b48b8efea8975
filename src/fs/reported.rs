//! What is done, and reported as failed: the kernel then believes that nothing has changed, and goes on
//! trusting what it knows. It is told to ask anew before it is answered. No locks.

use super::Core;
use super::op::{Op, Operands, Target};
use crate::mirror::Ino;
use crate::ops::Call;

impl Core {
    /// The inodes that an operation may change: those that it is about, and those at its names. To be
    /// asked before it runs.
    pub(super) fn changeable(&self, op: &Op, operands: Operands<'_>) -> Vec<Ino> {
        let mut inodes = Vec::new();
        for (target, _) in op.targets.into_iter().flatten() {
            let (ino, name) = match target {
                Target::Inode(ino) => (ino, None),
                Target::Name(dir) => (dir, Some(operands.name)),
                Target::Other(dir) => (dir, Some(operands.other)),
            };
            inodes.push(ino);
            let named = name.and_then(|name| self.tree.known_at(ino, name));
            inodes.extend(named.map(|inode| inode.ino()));
        }
        inodes
    }

    /// It has run, and is about to be reported as failed.
    pub(super) fn reported_failed(&self, op: &Op, changed: &[Ino]) {
        changed.iter().for_each(|ino| self.changed_unseen(*ino));
        if matches!(op.call, Call::Unlink | Call::Rmdir | Call::Rename) {
            self.entries_changed_unseen();
        }
    }
}
