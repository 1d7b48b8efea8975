//! Moments: just before requests of some kinds, to be gone back to when all is over. No locks of its own.

use std::fs::File;
use std::path::PathBuf;

use super::act::Act;
use super::durable::SyncOf;
use super::log::Log;
use super::past::{Gap, Moment, Past};
use super::track::About;
use super::{Unsynced, path_of};
use crate::mirror::{Ino, Mirror};

/// Which moments are noted.
#[derive(Debug)]
pub(crate) struct Noting {
    /// Those before a request that does one of these.
    pub(crate) before: Vec<Act>,
    /// Where the output of the program goes whose requests these are.
    pub(crate) output: Option<File>,
}

/// Why a moment cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoWayBack {
    #[error("there is no such moment")]
    NoMoment,
    #[error("it cannot be gone back to: after it {0}")]
    Beyond(Gap),
}

impl Unsynced {
    /// Notes moments from now on: what becomes durable is kept, so that they can be gone back to.
    pub(crate) fn noting(mut self, noting: Noting) -> Unsynced {
        self.log.get_mut().past = Some(Past::default());
        self.noting = Some(noting);
        self
    }

    /// The moment before a request that may change something.
    pub(super) fn note_change<N: Default>(&self, tree: &Mirror<N>, about: &About<'_>) {
        let Some(noting) = &self.noting else { return };
        let act = match about {
            About::Names { makes: true, .. } => Act::Create,
            About::Names { linked: Some(_), .. } => Act::Link,
            About::Names { entries: [_, Some(_)], .. } => Act::Rename,
            About::Names { .. } => Act::Unlink,
            About::Write { .. } => Act::Write,
            About::State { size: Some(_), .. } => Act::Truncate,
            About::State { .. }
            | About::Allocate { .. }
            | About::Attribute { .. }
            | About::Disk { .. } => return,
        };
        self.note(noting, act, || match about {
            About::Names { entries, .. } => {
                let mut paths =
                    entries.iter().flatten().map(|(dir, name)| path_of(tree, *dir).join(name));
                (paths.next().unwrap_or_default(), paths.next())
            }
            About::Write { file: (ino, _), .. }
            | About::State { ino, .. }
            | About::Allocate { ino, .. }
            | About::Attribute { ino, .. }
            | About::Disk { ino } => (path_of(tree, *ino), None),
        });
    }

    /// The moment before a sync.
    pub(super) fn note_sync<N: Default>(&self, tree: &Mirror<N>, ino: Ino, of: SyncOf) {
        let Some(noting) = &self.noting else { return };
        let act = match of {
            SyncOf::Directory => Act::Fsyncdir,
            SyncOf::File { datasync: true } => Act::Fdatasync,
            SyncOf::File { datasync: false } => Act::Fsync,
        };
        self.note(noting, act, || (path_of(tree, ino), None));
    }

    fn note(&self, noting: &Noting, act: Act, paths: impl FnOnce() -> (PathBuf, Option<PathBuf>)) {
        if !noting.before.contains(&act) {
            return;
        }
        let (path, to) = paths();
        // What the log has then has ended before, and so had what came before the output.
        let size = noting.output.as_ref().and_then(|output| output.metadata().ok());
        let said = size.map_or(0, |size| size.len());
        let mut log = self.log.lock();
        let seq = log.seq();
        if let Some(past) = &mut log.past {
            past.note(Moment { act, path, to, seq, said });
        }
    }

    /// The moments after so many, at most so many, each with why it cannot be gone back to, if so.
    pub(crate) fn moments(&self, after: usize, most: usize) -> Vec<(Moment, Option<Gap>)> {
        let log = self.log.lock();
        let Some(past) = &log.past else { return Vec::new() };
        let moments = past.moments().iter().enumerate().skip(after).take(most);
        moments.map(|(at, moment)| (moment.clone(), past.gap(at))).collect()
    }
}

impl Log {
    /// The log as it was at the moment of that place, with all that came later as what is not done.
    ///
    /// # Errors
    /// There is no such moment, or it cannot be gone back to.
    pub(super) fn back_at(&self, at: usize) -> Result<Log, NoWayBack> {
        let past = self.past.as_ref().ok_or(NoWayBack::NoMoment)?;
        let moment = past.moments().get(at).ok_or(NoWayBack::NoMoment)?;
        if let Some(gap) = past.gap(at) {
            return Err(NoWayBack::Beyond(gap));
        }
        let mut log = Log::new(self.order);
        log.horizon = moment.seq;
        log.ops = self.ops.clone();
        log.ops.extend(past.changes_after(at));
        // Of each file in the order of their numbers: what became durable first, then what is not.
        for (ino, event) in past.events_after(at) {
            log.files.entry(ino).or_default().events.push_back(event);
        }
        for (ino, file) in &self.files {
            log.files.entry(*ino).or_default().events.extend(file.events.iter().cloned());
        }
        for (ino, synced) in past.synced_before(at) {
            if let Some(file) = log.files.get_mut(&ino) {
                file.synced.push(synced);
            }
        }
        Ok(log)
    }
}
