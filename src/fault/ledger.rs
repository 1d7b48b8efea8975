//! What is left of a space that files share: blocks of 4 KiB, and inodes.
//!
//! Whoever is about to take some reserves it before, and settles what it came to. Invariant: what is
//! reserved and what is taken are never more than was there, but for what the backing takes of itself
//! (its own records of a file, or blocks ahead of a write). What a file has is counted from when
//! operations on it are under way, so that what others change in the backing is not charged.
//! Lock rule: one lock, innermost, for memory work.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::plan::Space;
use super::words::Errno;

/// What is charged as a whole, bytes.
pub(crate) const BLOCK: u64 = 4096;

/// What a file has, or is about to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Blocks of 4 KiB.
    pub(crate) blocks: u64,
    /// Inodes.
    pub(crate) inodes: u64,
}

/// A space that files share.
#[derive(Debug)]
pub struct Ledger {
    /// Whose files are charged; everybody's, if none is named.
    owner: Option<u32>,
    errno: Errno,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What is left, less than none if the backing took more than was asked for.
    blocks: i64,
    /// None if inodes are not counted.
    inodes: Option<i64>,
    reserved: Used,
    /// The files that operations are under way on.
    files: HashMap<u64, File>,
    /// The last that was given out.
    ticket: u64,
}

#[derive(Debug, Default)]
struct File {
    /// What it had when that was last told; none before the first.
    used: Option<Used>,
    /// By the ticket of whom.
    ticket: u64,
    under_way: u32,
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// How much is left beside what is reserved.
fn left(all: i64, reserved: u64) -> u64 {
    u64::try_from(all).unwrap_or_default().saturating_sub(reserved)
}

impl State {
    fn settle(&mut self, before: Used, after: Used) {
        let grown = |before: u64, after: u64| signed(after).saturating_sub(signed(before));
        self.blocks = self.blocks.saturating_sub(grown(before.blocks, after.blocks));
        let inodes = grown(before.inodes, after.inodes);
        self.inodes = self.inodes.map(|left| left.saturating_sub(inodes));
    }
}

impl Ledger {
    /// So many bytes and inodes, if these are counted.
    pub(super) fn new(
        (free, inodes): (u64, Option<u64>),
        owner: Option<u32>,
        errno: Errno,
    ) -> Ledger {
        let (blocks, inodes) = (signed(free / BLOCK), inodes.map(signed));
        Ledger { owner, errno, state: Mutex::new(State { blocks, inodes, ..State::default() }) }
    }

    /// Whether that user's files are charged.
    pub(crate) fn charges(&self, uid: u32) -> bool {
        self.owner.is_none_or(|owner| owner == uid)
    }

    /// What is answered where nothing is left.
    pub(crate) fn errno(&self) -> Errno {
        self.errno
    }

    /// What is left.
    pub(super) fn space(&self) -> Space {
        let State { blocks, inodes, .. } = *self.state.lock();
        let inodes = inodes.map_or(u64::MAX, |inodes| left(inodes, 0));
        Space { free: left(blocks, 0).saturating_mul(BLOCK), inodes }
    }

    /// Reserves so many inodes and up to so many blocks; how many blocks it got. None if the inodes are
    /// not there.
    pub(crate) fn reserve(&self, need: Used) -> Option<u64> {
        let mut state = self.state.lock();
        if let Some(inodes) = state.inodes.filter(|_| need.inodes > 0)
            && left(inodes, state.reserved.inodes) < need.inodes
        {
            return None;
        }
        let blocks = need.blocks.min(left(state.blocks, state.reserved.blocks));
        state.reserved.blocks += blocks;
        state.reserved.inodes += need.inodes;
        Some(blocks)
    }

    /// Gives back what was reserved.
    pub(crate) fn release(&self, reserved: Used) {
        let mut state = self.state.lock();
        state.reserved.blocks = state.reserved.blocks.saturating_sub(reserved.blocks);
        state.reserved.inodes = state.reserved.inodes.saturating_sub(reserved.inodes);
    }

    /// An operation on a file begins: to be told before it is looked what the file has.
    pub(crate) fn begin(&self, inode: u64) {
        self.state.lock().files.entry(inode).or_default().under_way += 1;
    }

    /// Before it runs the file has so much, unless that is known from others that are under way.
    pub(crate) fn found(&self, inode: u64, used: Used) {
        if let Some(file) = self.state.lock().files.get_mut(&inode) {
            file.used.get_or_insert(used);
        }
    }

    /// It is done: to be taken before it is looked what the file has now. Whoever has a higher one has
    /// looked at what all did that have lower ones.
    pub(crate) fn ticket(&self) -> u64 {
        let mut state = self.state.lock();
        state.ticket += 1;
        state.ticket
    }

    /// An operation on a file ends, that now has so much, if that could be found out.
    pub(crate) fn end(&self, inode: u64, ticket: u64, now: Option<Used>) {
        let mut state = self.state.lock();
        let Some(file) = state.files.get_mut(&inode) else { return };
        let before = file.used;
        let now = now.filter(|_| ticket > file.ticket);
        if let Some(now) = now {
            (file.used, file.ticket) = (Some(now), ticket);
        }
        file.under_way -= 1;
        if file.under_way == 0 {
            state.files.remove(&inode);
        }
        if let (Some(before), Some(now)) = (before, now) {
            state.settle(before, now);
        }
    }

    /// A file has come to be that has so much.
    pub(crate) fn add(&self, used: Used) {
        self.state.lock().settle(Used::default(), used);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    fn blocks(blocks: u64) -> Used {
        Used { blocks, inodes: 0 }
    }

    fn of_blocks(n: u64, inodes: Option<u64>) -> Ledger {
        Ledger::new((n * BLOCK, inodes), None, Errno::ENOSPC)
    }

    fn free(ledger: &Ledger) -> u64 {
        ledger.space().free / BLOCK
    }

    #[test]
    fn what_is_reserved_is_not_reserved_again() {
        let ledger = of_blocks(10, Some(1));
        assert_eq!(ledger.reserve(Used { blocks: 7, inodes: 1 }), Some(7));
        assert_eq!(ledger.reserve(blocks(7)), Some(3), "as much as there is");
        assert_eq!(ledger.reserve(Used { blocks: 0, inodes: 1 }), None);
        assert_eq!(ledger.reserve(blocks(1)), Some(0));
        assert_eq!(ledger.space(), Space { free: 10 * BLOCK, inodes: 1 }, "nothing is taken yet");
        ledger.release(Used { blocks: 7, inodes: 1 });
        ledger.add(Used { blocks: 4, inodes: 1 });
        assert_eq!(ledger.space(), Space { free: 6 * BLOCK, inodes: 0 });
        assert_eq!(ledger.reserve(blocks(9)), Some(3));
    }

    #[test]
    fn of_operations_on_one_file_the_last_that_looked_counts() {
        let ledger = of_blocks(100, None);
        let begin = |used| {
            ledger.begin(1);
            ledger.found(1, blocks(used));
        };
        begin(5);
        begin(9);
        let (first, second) = (ledger.ticket(), ledger.ticket());
        ledger.end(1, second, Some(blocks(25)));
        assert_eq!(free(&ledger), 80);
        ledger.end(1, first, Some(blocks(9)));
        assert_eq!(free(&ledger), 80, "what it saw is old");
        // Meanwhile somebody has cut it in the backing, which nobody is charged for.
        begin(3);
        ledger.end(1, ledger.ticket(), Some(blocks(2)));
        assert_eq!(free(&ledger), 81);
        begin(2);
        ledger.end(1, ledger.ticket(), None);
        assert_eq!(free(&ledger), 81);
        assert!(ledger.state.lock().files.is_empty(), "no file is remembered");
    }

    #[test]
    fn those_who_ask_at_once_never_get_more_than_there_is() {
        let ledger = of_blocks(1000, None);
        let got = AtomicU64::new(0);
        thread::scope(|scope| {
            for inode in 0..8 {
                let (ledger, got) = (&ledger, &got);
                scope.spawn(move || {
                    let mut own = 0;
                    for _ in 0..1000 {
                        ledger.begin(inode);
                        ledger.found(inode, blocks(own));
                        let taken = ledger.reserve(blocks(3)).unwrap();
                        own += taken;
                        ledger.end(inode, ledger.ticket(), Some(blocks(own)));
                        ledger.release(blocks(taken));
                        assert!(got.fetch_add(taken, Ordering::Relaxed) + taken <= 1000);
                    }
                });
            }
        });
        assert_eq!((got.into_inner(), free(&ledger)), (1000, 0));
    }
}
