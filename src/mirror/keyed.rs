//! Inodes as they lie in the maps of the table: each is found by a key that it has itself, so that a
//! map takes a pointer for each and no more. No locks.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::inode::{Identity, Inode};
use super::numbers::Ino;

/// An inode that is found by that field of it.
macro_rules! keyed {
    ($name:ident, $field:ident, $key:ty) => {
        pub(super) struct $name<N>(pub(super) Arc<Inode<N>>);

        impl<N> Borrow<$key> for $name<N> {
            fn borrow(&self) -> &$key {
                &self.0.$field
            }
        }

        impl<N> Hash for $name<N> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.$field.hash(state);
            }
        }

        impl<N> PartialEq for $name<N> {
            fn eq(&self, other: &$name<N>) -> bool {
                self.0.$field == other.0.$field
            }
        }

        impl<N> Eq for $name<N> {}
    };
}

keyed!(ByIdentity, identity, Identity);
keyed!(ByNumber, ino, Ino);
