//! The inode table: which inodes the kernel knows, by node id and by identity.
//!
//! Invariant: an inode is in both maps or in none. It stays while the kernel has lookups of it or
//! while it is the parent in some inode's name; until then neither its number nor its identity is
//! given to another, so that a late FORGET means exactly whom it was sent for.
//! Lock rule: an identity shard before a number shard, never the reverse; never with an inode's
//! state; never across a syscall (inodes, and with them descriptors, are dropped outside).

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::inode::{Identity, Inode};
use super::keyed::{ByIdentity, ByNumber};
use super::mix::{Mix, digest};
use super::numbers::{Ino, ROOT};

const SHARDS: usize = 64;
/// Synthetic numbers have a device's index above this bit; so many bits are left for its inodes.
const INDEX_SHIFT: u32 = 48;
/// The index for numbers 0 and 1 of the root's own device.
const INDEX_LOW: u64 = 0x7fff;
/// The index for numbers counted up where no other is free.
const INDEX_SPARE: u64 = 0x7ffe;
/// Devices beyond this many have spare numbers only.
const MAX_DEVICES: u64 = 0x7000;

type Map<K> = HashSet<K, BuildHasherDefault<Mix>>;
type Shards<K> = [RwLock<Map<K>>; SHARDS];

fn shard<K>(shards: &Shards<K>, key: impl Hash) -> &RwLock<Map<K>> {
    // The map's buckets use the low bits, its tags the top ones.
    let place = (digest(&key) >> 40) as usize % SHARDS;
    #[allow(clippy::indexing_slicing, reason = "below SHARDS")]
    &shards[place]
}

/// Twice as much as is needed stays, so that what comes and goes does not make the map anew each time.
fn shrink<K: Eq + Hash>(map: &mut Map<K>) {
    if map.capacity() > 4 * map.len() {
        map.shrink_to(2 * map.len());
    }
}

pub(super) struct Table<N> {
    by_identity: Shards<ByIdentity<N>>,
    by_number: Shards<ByNumber<N>>,
    /// Devices in the order they were met; the root's is the first.
    devices: RwLock<Vec<u64>>,
    root_dev: u64,
    spare: AtomicU64,
}

impl<N: Default> Table<N> {
    /// A table with only the root, which is never forgotten and not found by its identity: the same
    /// directory met again further down (a bind mount) is another node.
    pub(super) fn new(root: Arc<Inode<N>>) -> Table<N> {
        let root_dev = root.identity.dev;
        let table = Table {
            by_identity: std::array::from_fn(|_| RwLock::default()),
            by_number: std::array::from_fn(|_| RwLock::default()),
            devices: RwLock::new(vec![root_dev]),
            root_dev,
            spare: AtomicU64::new(0),
        };
        shard(&table.by_number, ROOT).write().insert(ByNumber(root));
        table
    }

    pub(super) fn get(&self, ino: Ino) -> Option<Arc<Inode<N>>> {
        Some(shard(&self.by_number, ino).read().get(&ino)?.0.clone())
    }

    pub(super) fn known(&self, identity: &Identity) -> Option<Arc<Inode<N>>> {
        Some(shard(&self.by_identity, *identity).read().get(identity)?.0.clone())
    }

    /// The inode of that identity, new or known, with one lookup more.
    pub(super) fn enter(&self, identity: Identity, directory: bool) -> Arc<Inode<N>> {
        let ids = shard(&self.by_identity, identity);
        if let Some(ByIdentity(inode)) = ids.read().get(&identity) {
            inode.lookups.fetch_add(1, Ordering::SeqCst);
            return inode.clone();
        }
        let mut wanted = self.number(identity.dev, identity.ino);
        let mut ids = ids.write();
        if let Some(ByIdentity(inode)) = ids.get(&identity) {
            inode.lookups.fetch_add(1, Ordering::SeqCst);
            return inode.clone();
        }
        loop {
            let ino = wanted.take().unwrap_or_else(|| self.spare_number());
            let mut numbers = shard(&self.by_number, ino).write();
            if numbers.contains(&ino) {
                continue;
            }
            let inode = Arc::new(Inode::new(ino, identity, directory));
            inode.lookups.store(1, Ordering::SeqCst);
            numbers.insert(ByNumber(inode.clone()));
            ids.insert(ByIdentity(inode.clone()));
            return inode;
        }
    }

    /// The number that an inode has unless another still holds it: always the same.
    pub(super) fn number(&self, dev: u64, ino: u64) -> Option<Ino> {
        let index = match self.index(dev) {
            0 if ino > ROOT.0 => return Some(Ino(ino)),
            0 => INDEX_LOW,
            index if index < MAX_DEVICES && ino >> INDEX_SHIFT == 0 => index,
            _ => return None,
        };
        Some(Ino(index << INDEX_SHIFT | ino))
    }

    fn spare_number(&self) -> Ino {
        let n = self.spare.fetch_add(1, Ordering::Relaxed);
        Ino(INDEX_SPARE << INDEX_SHIFT | n & ((1 << INDEX_SHIFT) - 1))
    }

    fn index(&self, dev: u64) -> u64 {
        if dev == self.root_dev {
            return 0;
        }
        let place = |devices: &[u64]| devices.iter().position(|d| *d == dev).map(|n| n as u64);
        if let Some(index) = place(&self.devices.read()) {
            return index;
        }
        let mut devices = self.devices.write();
        place(&devices).unwrap_or_else(|| {
            devices.push(dev);
            devices.len() as u64 - 1
        })
    }

    /// Takes lookups back; the inode goes with the last.
    pub(super) fn forget(&self, ino: Ino, lookups: u64) {
        let Some(inode) = self.get(ino).filter(|inode| inode.ino != ROOT) else { return };
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        let less = |n: u64| Some(n.saturating_sub(lookups));
        let _ = inode.lookups.fetch_update(set, fetch, less);
        self.retire(inode);
    }

    /// A name in that directory is gone; so is the directory if only the name kept it.
    pub(super) fn release_child(&self, parent: Ino) {
        let Some(parent) = self.get(parent) else { return };
        parent.children.fetch_sub(1, Ordering::SeqCst);
        self.retire(parent);
    }

    /// Removes the inode if nobody needs it, then the parents that it was the last to need. A loop,
    /// since a tree may be deeper than a stack.
    fn retire(&self, inode: Arc<Inode<N>>) {
        let mut idle = Some(inode);
        let mut more = Vec::new();
        while let Some(inode) = idle.take().or_else(|| more.pop()) {
            if inode.ino == ROOT || !inode.idle() || !self.remove(&inode) {
                continue;
            }
            let parents: Vec<Ino> = inode.state.lock().names().map(|n| n.parent).collect();
            for parent in parents.into_iter().filter_map(|ino| self.get(ino)) {
                parent.children.fetch_sub(1, Ordering::SeqCst);
                more.push(parent);
            }
        }
    }

    fn remove(&self, inode: &Arc<Inode<N>>) -> bool {
        let mut ids = shard(&self.by_identity, inode.identity).write();
        let here = ids.get(&inode.identity).is_some_and(|known| Arc::ptr_eq(&known.0, inode));
        // Lookups are added under this lock, so that what is idle here stays idle.
        if !here || !inode.idle() {
            return false;
        }
        ids.remove(&inode.identity);
        shard(&self.by_number, inode.ino).write().remove(&inode.ino);
        true
    }

    /// Gives back what the maps keep beyond what they need. A shard at a time, and none for longer
    /// than it takes to copy what is left of it.
    pub(super) fn shrink(&self) {
        self.by_identity.iter().for_each(|ids| shrink(&mut ids.write()));
        self.by_number.iter().for_each(|numbers| shrink(&mut numbers.write()));
    }

    /// Every inode that the kernel knows; the callback runs without a lock.
    pub(super) fn each(&self, f: &mut dyn FnMut(&Arc<Inode<N>>)) {
        for numbers in &self.by_number {
            let inodes: Vec<_> = numbers.read().iter().map(|inode| inode.0.clone()).collect();
            inodes.iter().filter(|i| i.lookups() > 0).for_each(&mut *f);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_number.iter().map(|numbers| numbers.read().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(dev: u64, ino: u64, born: u64) -> Identity {
        Identity { dev, ino, born }
    }

    fn table() -> Table<()> {
        let root = Inode::new(ROOT, identity(7, 2, 0), true);
        root.lookups.store(1, Ordering::SeqCst);
        Table::new(Arc::new(root))
    }

    #[test]
    fn number_is_the_backings_where_free() {
        let table = table();
        assert_eq!(table.enter(identity(7, 100, 0), false).ino, Ino(100));
        assert_eq!(table.enter(identity(7, 100, 0), false).lookups(), 2);
    }

    #[test]
    fn root_number_and_other_devices_get_numbers_of_their_own() {
        let table = table();
        let one = table.enter(identity(7, 1, 0), false).ino;
        let other = table.enter(identity(8, 100, 0), false).ino;
        let third = table.enter(identity(9, 100, 0), false).ino;
        let large = table.enter(identity(8, u64::MAX, 0), false).ino;
        let mut all = vec![ROOT, Ino(100), one, other, third, large];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6, "{all:x?}");
        assert_eq!(table.number(8, 100), Some(other), "a listing shows the same number");
        assert!(all.iter().all(|n| n.0 < 1 << 63));
    }

    #[test]
    fn number_in_use_is_not_given_to_a_later_file() {
        let table = table();
        let old = table.enter(identity(7, 100, 0), false);
        let new = table.enter(identity(7, 100, 1), false);
        assert_ne!(old.ino, new.ino);
        table.forget(old.ino, 1);
        assert_eq!(table.get(new.ino).unwrap().lookups(), 1);
        assert!(table.get(Ino(100)).is_none());
        assert_eq!(table.enter(identity(7, 100, 2), false).ino, Ino(100));
    }

    #[test]
    fn root_is_never_forgotten() {
        let table = table();
        table.forget(ROOT, 1000);
        assert!(table.get(ROOT).is_some());
        assert!(table.known(&identity(7, 2, 0)).is_none());
        assert_eq!(table.enter(identity(7, 2, 0), true).ino, Ino(2));
    }

    #[test]
    fn forgetting_more_than_was_looked_up_is_harmless() {
        let table = table();
        let inode = table.enter(identity(7, 100, 0), false);
        table.forget(Ino(100), u64::MAX);
        table.forget(Ino(100), 1);
        assert_eq!(inode.lookups(), 0);
        assert_eq!(table.len(), 1);
    }
}
