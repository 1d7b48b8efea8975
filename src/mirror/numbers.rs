//! The numbers by which the kernel names inodes and open files.

use std::fmt;

/// A node id: the number by which the kernel knows an inode until it forgets it. Not always what
/// stat(2) shows of it: see [`Attr::shown`](super::Attr::shown).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ino(pub u64);

/// FUSE's number of the root (`FUSE_ROOT_ID`).
pub(crate) const ROOT: Ino = Ino(1);

/// A handle: the number by which the kernel knows an open file or directory until it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fh(pub u64);

impl fmt::Display for Ino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
