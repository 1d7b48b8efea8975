//! A write cache: what is in it drains to the medium, one write after the other. No locks.
//!
//! It holds as much as drains in the time of its size: what takes a seek to drain takes room for the bytes
//! that could have drained meanwhile. So one moment tells all: when the last write is on the medium.

use super::bytes::{Byte, transfer};
use crate::fault::files::Files;

/// What of the cache a sync waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// All that is in it.
    All,
    /// What is of the file, and before it.
    File,
    /// Nothing: it survives a power cut.
    Nothing,
}

/// How large it is, and how fast it drains, in bytes a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cache {
    pub(super) size: u64,
    pub(super) drain: u64,
}

/// What is in it: when it is on the medium.
#[derive(Debug, Default)]
pub(super) struct Content {
    clean: u64,
    /// The same of each file's last write.
    files: Files<u64>,
    /// Where the last write ended.
    pub(super) head: Option<Byte>,
}

impl Cache {
    /// From `at` on: when there is room for what takes so long to drain.
    pub(super) fn room(self, content: &Content, at: u64, takes: u64) -> u64 {
        let filled = content.clean.max(at).saturating_add(takes);
        filled.saturating_sub(transfer(self.size, Some(self.drain))).max(at)
    }
}

impl Content {
    /// A write of that file, which came at `came`, is in it from `at` on, and takes so long to drain. What
    /// comes next may come before `at`: what drains until then is waited for still.
    pub(super) fn put(&mut self, inode: u64, (came, at): (u64, u64), takes: u64) {
        self.clean = self.clean.max(at).saturating_add(takes);
        *self.files.of(inode, |clean| *clean <= came) = self.clean;
    }

    /// When what a sync of that file waits for is on the medium.
    pub(super) fn clean(&self, inode: u64, waits: Waits) -> u64 {
        match waits {
            Waits::All => self.clean,
            Waits::File => *self.files.get(inode),
            Waits::Nothing => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_drains_and_is_waited_for() {
        // 1,000 bytes, which drain in 1,000 ns.
        let cache = Cache { size: 1_000, drain: 1_000_000_000 };
        let mut content = Content::default();
        let mut write = |inode, at, takes| {
            let room = cache.room(&content, at, takes);
            content.put(inode, (at, room), takes);
            room
        };
        assert_eq!([write(1, 0, 600), write(2, 0, 400)], [0, 0]);
        assert_eq!(write(3, 100, 300), 300, "when 300 bytes have drained");
        assert_eq!(write(4, 5_000, 1_500), 5_500, "more than it holds");
        assert_eq!([1, 2, 3].map(|inode| content.clean(inode, Waits::File)), [600, 1_000, 1_300]);
        assert_eq!(content.clean(4, Waits::File), content.clean(9, Waits::All));
        assert_eq!(content.clean(4, Waits::Nothing), 0);
    }
}
