//! Which files a fault counts that counts space, and what they occupy. No locks.

use std::ffi::OsStr;
use std::sync::Arc;

use super::extents::{File, is_gone};
use super::injected::file_key;
use super::op::{Op, Operands, Target};
use super::{Core, Node};
use crate::fault::Shared;
use crate::fault::injections::FileKey;
use crate::fault::ledger::{BLOCK, Used};
use crate::mirror::{Attr, Ino};
use crate::ops::Call;

/// A file that is there before an operation which may change what it occupies, or whose it is.
pub(super) struct There {
    pub(super) node: Arc<Node>,
    pub(super) key: FileKey,
    pub(super) attr: Option<Attr>,
    /// The path that it comes to have besides or instead, if it does.
    pub(super) to: Option<Vec<u8>>,
}

/// What so many units of 512 bytes are, with an inode.
pub(super) fn occupied(blocks: u64) -> Used {
    Used { blocks: blocks.div_ceil(BLOCK / 512), inodes: 1 }
}

impl Core {
    /// The files that an operation makes, changes, moves or removes, and the paths to which it moves them.
    pub(super) fn counted<'a>(
        &self,
        op: &Op,
        operands: Operands<'a>,
    ) -> Vec<(File<'a>, Option<Vec<u8>>)> {
        let known = |(dir, name)| Some(File::Known(self.tree.known_at(dir, name)?.ino()));
        match (op.call, op.targets.map(|target| target.map(|(target, _)| target))) {
            (Call::Rename, [Some(Target::Name(from)), Some(Target::Other(to))]) => {
                let (from, to) = ((from, operands.name), (to, operands.other));
                let moved = known(from).map(|file| (file, self.path_to(to)));
                let back = || op.exchanges.then(|| self.path_to(from)).flatten();
                moved.into_iter().chain(known(to).map(|file| (file, back()))).collect()
            }
            (Call::Link, [Some(Target::Inode(ino)), Some(Target::Name(dir))]) => {
                vec![(File::Known(ino), self.path_to((dir, operands.name)))]
            }
            _ => self.changed_file(op, operands).map(|file| (file, None)).into_iter().collect(),
        }
    }

    fn path_to(&self, (dir, name): (Ino, &OsStr)) -> Option<Vec<u8>> {
        let (dir, mut path) = (self.tree.inode(dir).ok()?, Vec::new());
        self.tree.child_path(&dir, name, &mut path);
        Some(path)
    }

    /// A file as it is before an operation, of which these are told first.
    pub(super) fn there(
        &self,
        op: &Op,
        (file, to): (File<'_>, Option<Vec<u8>>),
        ledgers: &[Shared<'_>],
    ) -> Option<There> {
        let File::Known(ino) = file else { return None };
        let node = match op.fh.map(|fh| self.tree.handle(fh)) {
            Some(Ok(handle)) => Arc::clone(handle.inode()),
            _ => self.tree.inode(ino).ok()?,
        };
        let key = file_key(node.key());
        ledgers.iter().for_each(|shared| shared.ledger.begin(key));
        let attr = self.attr_before(op, file);
        if let Some(attr) = &attr {
            // As it is looked at afterwards, so that it is not taken for there once it was given back.
            let there = Some(attr).filter(|attr| !is_gone(&node, attr));
            let found = |shared: &Shared<'_>| {
                shared.ledger.found(key, self.used(shared, &node, there));
            };
            ledgers.iter().for_each(found);
        }
        Some(There { node, key, attr, to })
    }

    /// What of a file is charged to it, if it is there.
    pub(super) fn used(&self, shared: &Shared<'_>, node: &Node, attr: Option<&Attr>) -> Used {
        let charged = attr.filter(|attr| shared.ledger.charges(attr.uid));
        let charged = charged.filter(|_| self.is_among(shared, node));
        charged.map_or_else(Used::default, |attr| occupied(attr.blocks))
    }

    /// Whether it is among the files that the fault counts, by any of its names.
    pub(super) fn is_among(&self, shared: &Shared<'_>, node: &Node) -> bool {
        let mut among = shared.is_everywhere();
        if !among {
            self.tree.paths(node, &mut |path| among = among || shared.covers(path));
        }
        among
    }
}
