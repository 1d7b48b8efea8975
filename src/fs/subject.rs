//! What a request is about, as the gate sees it: a file or an entry, with its paths. No locks.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::op::{Operands, Target};
use super::{Core, Node, Tree};
use crate::fault::{Entry, Memo, Subject};
use crate::ops::MethodSet;

impl Core {
    /// A target of an operation; none if its inode is gone.
    pub(super) fn subject<'a>(
        &'a self,
        (target, methods): (Target, MethodSet),
        operands: Operands<'a>,
    ) -> Option<TreeSubject<'a>> {
        let (ino, name) = match target {
            Target::Inode(ino) => (ino, None),
            Target::Name(parent) => (parent, Some(operands.name)),
            Target::Other(parent) => (parent, Some(operands.other)),
        };
        // An inode that is gone has no path; the operation itself will say ESTALE.
        let inode = self.tree.inode(ino).ok()?;
        Some(TreeSubject { tree: &self.tree, inode, name, methods })
    }

    /// Whether a fault on these methods matches the inode: no dice, nothing counted.
    pub(super) fn concerned(&self, inode: &Arc<Node>, methods: MethodSet) -> bool {
        self.gate.armed(methods) && self.gate.concerns(&[&self.subject_of(inode, methods)])
    }

    /// An inode, by whatever names it has, as what an operation with these methods is about.
    pub(super) fn subject_of(&self, inode: &Arc<Node>, methods: MethodSet) -> TreeSubject<'_> {
        TreeSubject { tree: &self.tree, inode: Arc::clone(inode), name: None, methods }
    }
}

/// One file or entry that an operation is about, as the gate sees it.
pub(super) struct TreeSubject<'a> {
    tree: &'a Tree,
    inode: Arc<Node>,
    name: Option<&'a OsStr>,
    methods: MethodSet,
}

impl<'a> TreeSubject<'a> {
    pub(super) fn inode(&self) -> &Arc<Node> {
        &self.inode
    }

    /// The same, of a request that consults these methods.
    pub(super) fn consulting(&self, methods: MethodSet) -> TreeSubject<'a> {
        TreeSubject { tree: self.tree, inode: Arc::clone(&self.inode), name: self.name, methods }
    }

    /// The same path as below the mount.
    pub(super) fn path_below(&self) -> Vec<u8> {
        let path = self.path();
        let below = path.strip_prefix(self.tree.base()).unwrap_or(&path);
        below.strip_prefix(b"/").unwrap_or(below).to_vec()
    }

    /// The path by the name that the request came with, or else the one used last.
    pub(super) fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        match self.name {
            Some(name) => self.tree.child_path(&self.inode, name, &mut path),
            None => self.tree.path(&self.inode, &mut path),
        }
        path
    }
}

impl Subject for TreeSubject<'_> {
    fn methods(&self) -> MethodSet {
        self.methods
    }

    fn memo(&self) -> Option<&Memo> {
        self.name.is_none().then_some(&self.inode.note.memo)
    }

    fn epoch(&self) -> u64 {
        self.tree.epoch(&self.inode)
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        match self.name {
            Some(_) => visit(&self.path()),
            None => self.tree.paths(&self.inode, visit),
        }
    }

    fn entry(&self, visit: &mut dyn FnMut(&Entry<'_>)) {
        let (directory, own);
        let name = match self.name {
            Some(name) => {
                directory = Arc::clone(&self.inode);
                name
            }
            None => {
                let Some((parent, name)) = self.tree.only_name(&self.inode) else { return };
                (directory, own) = (parent, name);
                &*own
            }
        };
        let of =
            TreeSubject { tree: self.tree, inode: directory, name: None, methods: self.methods };
        visit(&Entry { directory: &of, name: name.as_bytes() });
    }
}
