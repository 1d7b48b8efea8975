//! Where each inode is: the paths of the backing file, current through renames.
//!
//! Invariant: a path is the base followed by names from the root down, read one inode at a time:
//! the only one of each directory above it, then one of the inode's own. The epoch of an inode
//! grows after any change that its set of paths could show. Who remembers something about the paths
//! reads the epoch before it reads them.
//! Lock rule: one inode's state at a time.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::inode::{Inode, MAX_DEPTH};
use super::state::Name;
use super::{Mirror, ROOT};

impl<N: Default> Mirror<N> {
    /// The path that all paths begin with, without a slash behind it.
    pub(crate) fn base(&self) -> &[u8] {
        &self.base
    }

    /// Appends the path of an inode: base and names. Of an unlinked one, the last it had; of one
    /// with several links, that of the name used last.
    pub(crate) fn path(&self, inode: &Inode<N>, out: &mut Vec<u8>) {
        self.path_by(inode.current().map(|(name, _)| name), out);
    }

    /// Visits the path of each name of an inode that has been met, at least one.
    pub(crate) fn paths(&self, inode: &Inode<N>, visit: &mut dyn FnMut(&[u8])) {
        let mut path = Vec::new();
        let names = inode.names();
        if names.is_empty() {
            self.path_by(None, &mut path);
            visit(&path);
        }
        for name in names {
            path.clear();
            self.path_by(Some(name), &mut path);
            visit(&path);
        }
    }

    /// The directory and the name of an inode that has been met by one name only; the root has none.
    pub(crate) fn only_name(&self, inode: &Inode<N>) -> Option<(Arc<Inode<N>>, Box<OsStr>)> {
        let Name { parent, name } = inode.only_name()?;
        Some((self.table.get(parent)?, name))
    }

    /// Appends the path of an inode by one of its names; the root has none.
    fn path_by(&self, mut at: Option<Name>, out: &mut Vec<u8>) {
        let mut names: Vec<Box<OsStr>> = Vec::new();
        while let Some(Name { parent, name }) = at {
            names.push(name);
            at = match self.table.get(parent) {
                Some(parent) if names.len() < MAX_DEPTH => parent.current().map(|(name, _)| name),
                _ => None,
            };
        }
        out.extend_from_slice(&self.base);
        for name in names.iter().rev() {
            out.push(b'/');
            out.extend_from_slice(name.as_bytes());
        }
        if self.base.is_empty() && names.is_empty() {
            out.push(b'/');
        }
    }

    /// Appends the path that a name in a directory has.
    pub(crate) fn child_path(&self, parent: &Inode<N>, name: &OsStr, out: &mut Vec<u8>) {
        if parent.ino == ROOT {
            out.extend_from_slice(&self.base);
        } else {
            self.path(parent, out);
        }
        out.push(b'/');
        out.extend_from_slice(name.as_bytes());
    }

    /// Grows whenever the paths of the inode may have changed.
    pub(crate) fn epoch(&self, inode: &Inode<N>) -> u64 {
        let own = u64::from(inode.epoch.load(Ordering::Acquire));
        self.dir_moves.load(Ordering::Acquire).wrapping_add(own)
    }
}
