//! Which requests are one system call, so that it rolls each fault's dice once.
//!
//! The kernel resolves a path step by step: it asks for the attributes of each directory on it
//! that have expired (to judge the permission to pass), looks up the entry, and asks for its
//! attributes. So a LOOKUP or GETATTR by the same thread, right after it asked about the directory
//! in which the next step lies, is the same call; likewise a GETATTR right after the LOOKUP that
//! found the inode. Before it changes a directory it asks for that once more, and rename(2) and
//! link(2) walk two paths. Where a fault has rolled, the system call that the thread waits in, its
//! arguments included, tells calls apart that look alike so far. Kept only while an attribute fault
//! is armed.
//! Lock rule: the table of walks is locked for memory work only, and innermost.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Core;
use super::op::{Op, Target};
use super::subject::TreeSubject;
use crate::fault::plan::Hold;
use crate::fault::{Hit, Operation, Rolled};
use crate::mirror::Ino;
use crate::ops::Call;
use crate::sys::syscall::{self, Names, SystemCall};

/// More threads than this at once are forgotten, and rolled once more, rather than remembered.
const MOST_THREADS: usize = 4096;

/// After an answer the next step of the same call comes at once, even on a busy machine. What comes
/// later may be of another thread, to which the number was given.
const NEXT_WITHIN: Duration = Duration::from_secs(1);

/// How long to look for the caller, who always waits for these answers.
const PATIENCE: Duration = Duration::from_millis(20);

/// How much rename(2) and link(2) ask for again: both directories, or what is linked and its new one.
const OF_TWO_PATHS: u32 = 2;

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Start,
    /// A LOOKUP is under way, or found nothing.
    Looking,
    /// A LOOKUP has found this inode.
    Found(Ino),
    /// The attributes of this inode were asked for.
    Asked(Ino),
}

/// A call under way.
#[derive(Debug, Default)]
pub(super) struct Walk {
    at: At,
    /// Until when a step continues it; for ever while one is held until cleared.
    until: Option<Instant>,
    /// The faults that have had their turn in it.
    rolled: Rolled,
    /// The system call, once one has.
    call: Option<SystemCall>,
    /// The inode whose attributes were asked for first: where paths begin.
    first: Option<Ino>,
    /// The directory of the last LOOKUP.
    dir: Option<Ino>,
    /// The second path has begun.
    restarted: bool,
    /// How much was asked for again.
    again: u32,
}

impl Walk {
    /// Whether a GETATTR of `ino`, which follows from no step before, still is of the same call.
    fn asks_again(&mut self, ino: Ino, names: Names) -> bool {
        let two_paths = matches!(names, Names::Link | Names::Rename);
        if two_paths && self.first == Some(ino) && !self.restarted {
            self.restarted = true;
            return true;
        }
        let (at, dir) = (self.at, self.dir == Some(ino));
        let same = matches!(at, At::Asked(last) if last == ino);
        let follows = match names {
            Names::Create => same,
            // There was no such name yet; there was one.
            Names::Make => matches!(at, At::Looking) && dir,
            Names::Remove => same || matches!(at, At::Found(_)) && dir,
            Names::Link => matches!(at, At::Looking) || self.again > 0,
            Names::Rename => same || !matches!(at, At::Asked(_)) || self.again > 0,
        };
        self.again += 1;
        follows && self.again <= if two_paths { OF_TWO_PATHS } else { 1 }
    }
}

/// The call of each thread.
#[derive(Default)]
pub(super) struct Walks(Mutex<HashMap<u32, Walk>>);

impl Walks {
    fn take(&self, tid: u32) -> Option<Walk> {
        self.0.lock().remove(&tid)
    }

    fn keep(&self, tid: u32, walk: Walk) {
        // Threads that are not visible from here all have the number 0.
        if tid == 0 {
            return;
        }
        let mut walks = self.0.lock();
        if walks.len() >= MOST_THREADS {
            walks.clear();
        }
        walks.insert(tid, walk);
    }

    /// The thread asks for something that is no step of a walk. After a CREATE it may ask about what
    /// that has made.
    pub(super) fn end(&self, tid: u32, call: Call) {
        let walk = self.take(tid).filter(|_| call == Call::Create);
        if let Some(walk) = walk {
            self.keep(tid, Walk { at: At::Looking, ..walk });
        }
    }
}

impl Core {
    /// Whether the request may be a step on a path.
    pub(super) fn is_step(op: &Op) -> bool {
        matches!(op.call, Call::Lookup | Call::Getattr)
    }

    /// Decides a step, where the faults that have rolled for the same call do not roll again.
    pub(super) fn decide_step(
        &self,
        op: &Op,
        subject: &TreeSubject<'_>,
        view: &Operation<'_>,
    ) -> Option<Hit> {
        let tid = op.caller.tid;
        let arrived = view.arrived();
        let before = self.walks.take(tid);
        let before = before.filter(|walk| walk.until.is_none_or(|until| arrived <= until));
        let mut walk = before.and_then(|walk| self.goes_on(walk, op)).unwrap_or_default();
        let hit = self.gate.decide_once(&[subject], view, &mut walk.rolled);
        if !walk.rolled.is_empty() && walk.call.is_none() {
            walk.call = syscall::waited_in(tid, PATIENCE);
        }
        walk.until = match hit.as_ref().map_or(Hold::No, Hit::hold) {
            Hold::No => arrived.checked_add(NEXT_WITHIN),
            Hold::Until(due) => due.checked_add(NEXT_WITHIN),
            Hold::UntilCleared => None,
        };
        walk.first = walk.first.or(op.inode());
        let failed = hit.as_ref().is_some_and(|hit| hit.errno().is_some());
        if !failed {
            walk.at = match op.targets {
                [Some((Target::Name(parent), _)), _] => {
                    walk.dir = Some(parent);
                    At::Looking
                }
                [Some((Target::Inode(ino), _)), _] => At::Asked(ino),
                _ => At::Start,
            };
            self.walks.keep(tid, walk);
        }
        hit
    }

    /// A LOOKUP by `tid` has found `ino`.
    pub(super) fn looked_up(&self, tid: u32, ino: Ino) {
        if !self.gate.armed(Call::Lookup.methods()) {
            return;
        }
        if let Some(walk) = self.walks.0.lock().get_mut(&tid)
            && matches!(walk.at, At::Looking)
        {
            walk.at = At::Found(ino);
            walk.until = Instant::now().checked_add(NEXT_WITHIN);
        }
    }

    /// The answer of a step waits until then, and the next step comes later still.
    pub(super) fn step_answered_at(&self, op: &Op, due: Instant) {
        if Core::is_step(op)
            && let Some(walk) = self.walks.0.lock().get_mut(&op.caller.tid)
        {
            walk.until = walk.until.zip(due.checked_add(NEXT_WITHIN)).map(|(a, b)| a.max(b));
        }
    }

    /// The walk, if the step is of the same call.
    fn goes_on(&self, mut walk: Walk, op: &Op) -> Option<Walk> {
        let follows = self.continues(walk.at, op);
        if walk.rolled.is_empty() {
            return Some(walk).filter(|_| follows);
        }
        // Where it cannot be told, the steps alone decide.
        let now = syscall::waited_in(op.caller.tid, PATIENCE);
        let call = match (walk.call, now) {
            (Some(before), Some(now)) if before != now => return None,
            (Some(_), Some(now)) => now,
            _ => return Some(walk).filter(|_| follows),
        };
        let again = match (op.inode(), call.names()) {
            (Some(ino), Some(names)) => !follows && walk.asks_again(ino, names),
            _ => false,
        };
        Some(walk).filter(|_| follows || again)
    }

    fn continues(&self, at: At, op: &Op) -> bool {
        match (at, op.targets) {
            (At::Found(from) | At::Asked(from), [Some((Target::Name(parent), _)), _]) => {
                from == parent
            }
            (At::Found(from), [Some((Target::Inode(ino), _)), _]) if from == ino => true,
            (At::Found(from) | At::Asked(from), [Some((Target::Inode(ino), _)), _]) => {
                self.tree.inode(ino).is_ok_and(|inode| inode.lies_in(from))
            }
            _ => false,
        }
    }
}
