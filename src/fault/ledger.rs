//! What is left of a space that files share: blocks of 4 KiB, and inodes.
//!
//! Whoever is about to take some reserves it before, and settles what it came to. Invariant: what is
//! reserved and what is taken are never more than was there, but for what the backing takes of itself
//! (its own records of a file, or blocks ahead of a write). A file gives back at most what was charged for
//! it, or what it had when it was first seen: what the backing added by itself is never given back.
//! Lock rule: one lock, innermost, for memory work.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::files::MOST;
use super::injections::FileKey;
use super::plan::Space;
use super::words::Errno;

/// What is charged as a whole, bytes.
pub(crate) const BLOCK: u64 = 4096;

/// What a file has, or is about to take, or is charged.
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
    /// The files that are charged something, as far as they are not too many, and those that operations
    /// are under way on.
    files: HashMap<FileKey, File>,
    /// The last that was given out.
    ticket: u64,
}

#[derive(Debug, Default)]
struct File {
    /// What is charged for it, or was there when it was first seen; none before that.
    charged: Option<Used>,
    /// What it had when that was last told, while operations are under way.
    seen: Option<Used>,
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

impl Used {
    /// Both together.
    pub(crate) fn and(self, other: Used) -> Used {
        Used {
            blocks: self.blocks.saturating_add(other.blocks),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }

    /// What is charged then of a file that is charged so much and came to have another amount. More is
    /// added; of less at most all of it is left.
    fn changed(self, before: Used, now: Used) -> Used {
        let changed = |charged: u64, before: u64, now: u64| match now.checked_sub(before) {
            Some(more) => charged.saturating_add(more).min(charged.max(now)),
            None => charged.min(now),
        };
        Used {
            blocks: changed(self.blocks, before.blocks, now.blocks),
            inodes: changed(self.inodes, before.inodes, now.inodes),
        }
    }
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
    pub(crate) fn begin(&self, key: FileKey) {
        self.state.lock().files.entry(key).or_default().under_way += 1;
    }

    /// Before it runs the file has so much, unless that is known from others that are under way.
    pub(crate) fn found(&self, key: FileKey, used: Used) {
        if let Some(file) = self.state.lock().files.get_mut(&key) {
            let seen = *file.seen.get_or_insert(used);
            file.charged.get_or_insert(seen);
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
    pub(crate) fn end(&self, key: FileKey, ticket: u64, now: Option<Used>) {
        let mut state = self.state.lock();
        let many = state.files.len() > MOST;
        let Some(file) = state.files.get_mut(&key) else { return };
        let mut charged = (Used::default(), Used::default());
        if let Some(now) = now.filter(|_| ticket > file.ticket) {
            let before = file.seen.replace(now).unwrap_or(now);
            let was = *file.charged.get_or_insert(before);
            charged = (was, was.changed(before, now));
            (file.charged, file.ticket) = (Some(charged.1), ticket);
        }
        file.under_way -= 1;
        if file.under_way == 0 {
            file.seen = None;
            if many || file.charged.unwrap_or_default() == Used::default() {
                state.files.remove(&key);
            }
        }
        state.settle(charged.0, charged.1);
    }

    /// A file has come to be that has so much.
    pub(crate) fn add(&self, key: FileKey, used: Used) {
        let mut state = self.state.lock();
        state.settle(Used::default(), used);
        if used != Used::default() && state.files.len() < MOST {
            state.files.entry(key).or_default().charged = Some(used);
        }
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

    fn file(number: u64) -> FileKey {
        FileKey { number, ..FileKey::default() }
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
        ledger.add(file(1), Used { blocks: 4, inodes: 1 });
        assert_eq!(ledger.space(), Space { free: 6 * BLOCK, inodes: 0 });
        assert_eq!(ledger.reserve(blocks(9)), Some(3));
    }

    #[test]
    fn of_operations_on_one_file_the_last_that_looked_counts() {
        let ledger = of_blocks(100, None);
        let begin = |used| {
            ledger.begin(file(1));
            ledger.found(file(1), blocks(used));
        };
        begin(5);
        begin(9);
        let (first, second) = (ledger.ticket(), ledger.ticket());
        ledger.end(file(1), second, Some(blocks(25)));
        assert_eq!(free(&ledger), 80);
        ledger.end(file(1), first, Some(blocks(9)));
        assert_eq!(free(&ledger), 80, "what it saw is old");
        begin(25);
        ledger.end(file(1), ledger.ticket(), None);
        assert_eq!(free(&ledger), 80);
    }

    #[test]
    fn a_file_gives_back_at_most_what_it_is_charged_and_once() {
        let ledger = of_blocks(100, None);
        ledger.add(file(1), blocks(10));
        let to = |(before, now)| {
            ledger.begin(file(1));
            ledger.found(file(1), blocks(before));
            ledger.end(file(1), ledger.ticket(), Some(blocks(now)));
            free(&ledger)
        };
        assert_eq!(to((12, 12)), 90, "what the backing adds is not charged");
        assert_eq!(to((12, 11)), 90, "so it is not given back");
        assert_eq!(to((11, 20)), 81);
        assert_eq!(to((15, 16)), 81, "nor is charged twice what it took back by itself");
        assert_eq!(to((16, 4)), 96);
        assert_eq!(to((5, 0)), 100);
        assert!(ledger.state.lock().files.is_empty(), "what is charged nothing is forgotten");
        assert_eq!(to((7, 0)), 107, "what was there when it was first seen");
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
                        ledger.begin(file(inode));
                        ledger.found(file(inode), blocks(own));
                        let taken = ledger.reserve(blocks(3)).unwrap();
                        own += taken;
                        ledger.end(file(inode), ledger.ticket(), Some(blocks(own)));
                        ledger.release(blocks(taken));
                        assert!(got.fetch_add(taken, Ordering::Relaxed) + taken <= 1000);
                    }
                });
            }
        });
        assert_eq!((got.into_inner(), free(&ledger)), (1000, 0));
    }
}
