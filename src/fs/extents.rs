//! How large a file is before and after an operation that may make, change or remove it, for faults
//! that ask. No locks: of two operations on one file at once each may see what the other changed, too, so
//! that who adds up sizes takes the last that it was told and not the sum of the differences.

use std::ffi::OsStr;
use std::sync::Arc;

use super::op::{Op, Operands, Target};
use super::{Core, Node};
use crate::fault::operation::{Extent, Extents};
use crate::mirror::{Attr, Ino};
use crate::ops::Call;

/// The file that an operation makes, changes or removes.
#[derive(Clone, Copy)]
pub(super) enum File<'a> {
    Known(Ino),
    /// The one that it makes by this name.
    New(Ino, &'a OsStr),
}

/// That file, and its extent before; none if it was not there.
pub(super) struct Before<'a> {
    file: File<'a>,
    extent: Option<Extent>,
}

impl Core {
    /// The file that an operation makes, changes or removes. None if there is none.
    pub(super) fn changed_file<'a>(&self, op: &Op, operands: Operands<'a>) -> Option<File<'a>> {
        let (dir, name) = match op.changes()? {
            Target::Inode(ino) => return Some(File::Known(ino)),
            Target::Name(dir) => (dir, operands.name),
            Target::Other(dir) => (dir, operands.other),
        };
        if let Some(inode) = self.tree.known_at(dir, name) {
            return Some(File::Known(inode.ino()));
        }
        let makes = matches!(op.call, Call::Create | Call::Mknod | Call::Mkdir | Call::Symlink);
        makes.then_some(File::New(dir, name))
    }

    /// Its attributes before the operation, if it was there.
    pub(super) fn attr_before(&self, op: &Op, file: File<'_>) -> Option<Attr> {
        match file {
            File::Known(ino) => self.tree.getattr(ino, op.fh).ok(),
            File::New(..) => None,
        }
    }

    /// The file whose extent an operation changes, as it is before that. None if there is none.
    pub(super) fn extent_before<'a>(&self, op: &Op, operands: Operands<'a>) -> Option<Before<'a>> {
        let file = self.changed_file(op, operands)?;
        let extent = match file {
            File::Known(_) => Some(extent(&self.attr_before(op, file)?)),
            File::New(..) => None,
        };
        Some(Before { file, extent })
    }

    /// The same once it has run.
    pub(super) fn extents(&self, op: &Op, before: &Before<'_>) -> Option<Extents> {
        let after = match before.file {
            File::Known(ino) => self.extent_after(op, ino)?,
            File::New(dir, name) => match self.tree.known_at(dir, name) {
                Some(inode) => self.extent_after(op, inode.ino())?,
                None => None,
            },
        };
        Some(Extents { before: before.extent, after })
    }

    fn extent_after(&self, op: &Op, ino: Ino) -> Option<Option<Extent>> {
        self.attr_after(op, ino).map(|attr| attr.as_ref().map(extent))
    }

    fn attr_after(&self, op: &Op, ino: Ino) -> Option<Option<Attr>> {
        match self.tree.inode(ino) {
            Ok(node) => self.attr_now(op, &node),
            Err(_) => Some(None),
        }
    }

    /// Of a file that may be no more; none if that cannot be found out.
    pub(super) fn attr_now(&self, op: &Op, node: &Arc<Node>) -> Option<Option<Attr>> {
        // What was released is closed, and its number may be another's.
        let found = match op.fh.filter(|_| !op.must_run) {
            Some(fh) => self.tree.getattr(node.ino(), Some(fh)),
            None => self.tree.attr(node),
        };
        match found {
            Ok(attr) if is_gone(node, &attr) => Some(None),
            Ok(attr) => Some(Some(attr)),
            Err(error) if error.raw_os_error() == Some(libc::ESTALE) => Some(None),
            Err(_) => None,
        }
    }
}

/// Whether it has no name any more and is not open. An open that is under way may still open it.
pub(super) fn is_gone(node: &Node, attr: &Attr) -> bool {
    attr.nlink == 0 && !node.is_open()
}

fn extent(attr: &Attr) -> Extent {
    Extent { size: attr.size, blocks: attr.blocks }
}
