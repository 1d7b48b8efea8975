//! Where each inode is: the path of the backing file, current through renames.
//!
//! Invariant: a path is the base followed by the current names from the root down, read one inode
//! at a time; the epoch of an inode grows after any change that its path could show. Who remembers
//! something about a path reads the epoch before it reads the path.
//! Lock rule: one inode's state at a time.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

use super::inode::{Inode, MAX_DEPTH, Name};
use super::{Mirror, ROOT};

impl<N: Default> Mirror<N> {
    /// Appends the path of an inode: base and names. Of an unlinked one, the last it had; of one
    /// with several links, that of the name used last.
    pub fn path(&self, inode: &Inode<N>, out: &mut Vec<u8>) {
        let mut names: Vec<Box<OsStr>> = Vec::new();
        let mut at = inode.current();
        while let Some((Name { parent, name }, _)) = at {
            names.push(name);
            at = match self.table.get(parent) {
                Some(parent) if names.len() < MAX_DEPTH => parent.current(),
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
    pub fn child_path(&self, parent: &Inode<N>, name: &OsStr, out: &mut Vec<u8>) {
        if parent.ino == ROOT {
            out.extend_from_slice(&self.base);
        } else {
            self.path(parent, out);
        }
        out.push(b'/');
        out.extend_from_slice(name.as_bytes());
    }

    /// Grows whenever the path of the inode may have changed.
    pub fn epoch(&self, inode: &Inode<N>) -> u64 {
        self.dir_moves.load(Ordering::Acquire).wrapping_add(inode.epoch.load(Ordering::Acquire))
    }
}
