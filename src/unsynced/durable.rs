//! What a sync makes durable. No locks.
//!
//! | success of | makes durable |
//! |---|---|
//! | fsync | the inode's content, attributes and, under `linux`, its names, each with what it needs |
//! | fdatasync | its content; under `linux` what else of it came before the last change of its size or mapping |
//! | the sync of a write by O_SYNC or O_DSYNC | the range of that write, and the size that it takes |
//! | fsync of a directory | its entries, its names and its attributes, each with what it needs |
//!
//! A change needs the earlier ones of the same name and the same inode, and those of the names of the
//! directories that it is in.

use std::ops::Range;

use super::Order;
use super::log::Log;
use crate::mirror::{Fh, Ino};

/// What is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncOf {
    Directory,
    File { datasync: bool },
}

/// What a sync reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// fsync(2) of anything but a directory.
    All,
    /// fdatasync(2) of it.
    Data,
    /// What a write has written.
    Range(Range<u64>),
    /// A directory.
    Directory,
}

impl Log {
    /// What a sync by that handle and thread reaches.
    pub(super) fn reach_of(&mut self, ino: Ino, by: (Fh, u32), of: SyncOf) -> Reach {
        match of {
            SyncOf::Directory => Reach::Directory,
            SyncOf::File { datasync } => self.reach(ino, by, datasync),
        }
    }

    /// What a sync of a file by that handle and thread reaches: after a write that is synced by itself
    /// that range only.
    fn reach(&mut self, ino: Ino, by: (Fh, u32), datasync: bool) -> Reach {
        let file = self.files.get_mut(&ino);
        let owed = file.and_then(|file| {
            let at = file.owed.iter().position(|(who, _)| *who == by)?;
            Some(file.owed.swap_remove(at).1)
        });
        match owed {
            Some(range) => Reach::Range(range),
            None if datasync => Reach::Data,
            None => Reach::All,
        }
    }

    /// A sync that began when the log had come to that number has succeeded.
    pub(super) fn synced(&mut self, ino: Ino, reach: Reach, mark: u64) {
        let names = self.order == Order::Linux;
        let mapped = self.files.get(&ino).map_or(0, |file| file.mapped).min(mark);
        match reach {
            Reach::Directory => {
                self.keep_inside(ino, mark);
                self.keep_of(ino, mark, true);
            }
            Reach::All => {
                self.keep_of(ino, mark, names);
                self.settle(ino, mark);
            }
            Reach::Data => {
                self.keep_of(ino, if names { mapped } else { 0 }, names);
                self.settle(ino, mark);
            }
            Reach::Range(range) => {
                self.keep_of(ino, mapped, names);
                if let Some(file) = self.files.get_mut(&ino).filter(|f| !f.events.is_empty()) {
                    file.synced.push((range.clone(), mark));
                    self.past.iter_mut().for_each(|past| past.synced(ino, range.clone(), mark));
                }
                self.tidy(ino);
            }
        }
    }

    /// The sync of what a handle has written from there on does not come: not by that thread, or by none, as it
    /// is closed.
    pub(super) fn forgive(&mut self, ino: Ino, (fh, tid): (Fh, Option<u32>), from: u64) {
        let Some(file) = self.files.get_mut(&ino) else { return };
        if tid.is_none() {
            file.closed(fh);
        }
        file.owed.retain_mut(|((whose, by), range)| {
            if *whose == fh && tid.is_none_or(|tid| tid == *by) {
                range.end = range.end.min(from);
            }
            !range.is_empty()
        });
        self.tidy(ino);
    }
}
