//! What the log has let go of as durable, for who goes back to an earlier moment: each part with how many
//! moments had been noted when it became durable. No locks of its own.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use super::act::Act;
use super::file::Event;
use crate::mirror::Ino;

/// A moment just before a request ran, if it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) act: Act,
    /// What the request is about, and what a rename makes of it.
    pub(crate) path: PathBuf,
    pub(crate) to: Option<PathBuf>,
    /// The last entry of the log.
    pub(crate) seq: u64,
    /// How much of its output the program had written.
    pub(crate) said: u64,
}

/// What cannot be undone, so that nobody goes back beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// More was cut off at once than is remembered.
    Bulk,
    /// What was written over could not be read.
    Unread,
    /// Somebody else was there.
    Foreign,
    /// What a sync was to store is lost.
    Lost,
    /// The backing was taken back.
    Cut,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Gap::Bulk => "more than 64 MiB were cut off a file at once",
            Gap::Unread => "what was written over could not be read",
            Gap::Foreign => "somebody has changed the directory behind the mount",
            Gap::Lost => "a sync has lost what it was to store",
            Gap::Cut => "the power was cut in place",
        })
    }
}

/// A part of the log, and how many moments there were when it became durable.
type Gone<T> = (usize, T);

/// A range of a file, and the number up to which it is durable by itself.
type Synced = (Ino, (Range<u64>, u64));

/// The durable part of a log whose changes are of that type.
pub(super) struct Past<C> {
    moments: Vec<Moment>,
    changes: Vec<Gone<(u64, C)>>,
    events: Vec<Gone<(Ino, Event)>>,
    synced: Vec<Gone<Synced>>,
    /// What nobody goes back beyond, and how many moments there were then.
    gaps: Vec<Gone<Gap>>,
    /// Whether something became durable since the last moment.
    stirred: bool,
}

impl<C> Default for Past<C> {
    fn default() -> Past<C> {
        Past {
            moments: Vec::new(),
            changes: Vec::new(),
            events: Vec::new(),
            synced: Vec::new(),
            gaps: Vec::new(),
            stirred: false,
        }
    }
}

impl<C: Clone> Past<C> {
    /// Notes a moment, unless nothing has come since the last.
    pub(super) fn note(&mut self, moment: Moment) {
        let same = |last: &Moment| (last.seq, last.said) == (moment.seq, moment.said);
        if self.stirred || !self.moments.last().is_some_and(same) {
            self.moments.push(moment);
            self.stirred = false;
        }
    }

    /// The moments, from the first on, also those that cannot be gone back to.
    pub(super) fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// Why the moment of that place cannot be gone back to, if so.
    pub(super) fn gap(&self, at: usize) -> Option<Gap> {
        self.gaps.iter().find(|(moments, _)| at < *moments).map(|(_, gap)| *gap)
    }

    /// What was done until now can be undone no more.
    pub(super) fn forget(&mut self, gap: Gap) {
        let moments = self.moments.len();
        // Of several the first: for the others there was no way back any more.
        if self.gaps.last().map_or(0, |(before, _)| *before) < moments {
            self.gaps.push((moments, gap));
        }
        self.changes.clear();
        self.events.clear();
        self.synced.clear();
    }

    /// A change is durable.
    pub(super) fn change(&mut self, seq: u64, change: C) {
        self.stirred = true;
        self.changes.push((self.moments.len(), (seq, change)));
    }

    /// What was done to a file's content is durable.
    pub(super) fn event(&mut self, ino: Ino, event: Event) {
        self.stirred = true;
        self.events.push((self.moments.len(), (ino, event)));
    }

    /// A range of a file is durable up to that number.
    pub(super) fn synced(&mut self, ino: Ino, range: Range<u64>, seq: u64) {
        self.stirred = true;
        self.synced.push((self.moments.len(), (ino, (range, seq))));
    }

    /// The changes that became durable after a moment.
    pub(super) fn changes_after(&self, at: usize) -> impl Iterator<Item = (u64, C)> {
        after(&self.changes, at)
    }

    /// The same of the contents of files.
    pub(super) fn events_after(&self, at: usize) -> impl Iterator<Item = (Ino, Event)> {
        after(&self.events, at)
    }

    /// The ranges that had become durable by themselves before it.
    pub(super) fn synced_before(&self, at: usize) -> impl Iterator<Item = Synced> {
        let before = self.synced.partition_point(|(moments, _)| *moments <= at);
        self.synced.iter().take(before).map(|(_, synced)| synced.clone())
    }
}

/// The moment of that place was noted when so many had been: what went after it went with more.
fn after<T: Clone>(all: &[Gone<T>], at: usize) -> impl Iterator<Item = T> {
    let before = all.partition_point(|(moments, _)| *moments <= at);
    all.iter().skip(before).map(|(_, gone)| gone.clone())
}
