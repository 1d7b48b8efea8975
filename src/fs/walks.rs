//! Which requests are one system call, so that it rolls each fault's dice once.
//!
//! The kernel resolves a path step by step: it asks for the attributes of each directory on it
//! that have expired (to judge the permission to pass), looks up the entry, and asks for its
//! attributes. So a LOOKUP or GETATTR by the same thread, right after it asked about the directory
//! in which the next step lies, is the same call; likewise a GETATTR right after the LOOKUP that
//! found the inode. Kept only while an attribute fault is armed.
//! Lock rule: the table of walks is locked for memory work only, and innermost.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Core;
use super::serve::{On, Op, Place};
use crate::fault::{Delay, FaultId, Verdict};
use crate::ops::Request;

/// More threads than this at once are forgotten, and rolled once more, rather than remembered.
const MOST_THREADS: usize = 4096;

/// After an answer the next step of the same call comes at once, even on a busy machine. What comes
/// later may be of another thread, to which the number was given.
const NEXT_WITHIN: Duration = Duration::from_secs(1);

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Start,
    /// A LOOKUP is under way, or found nothing.
    Looking,
    /// A LOOKUP has found this inode.
    Found(u64),
    /// The attributes of this inode were asked for.
    Asked(u64),
}

/// A call under way.
#[derive(Debug, Default)]
pub(super) struct Walk {
    at: At,
    /// Until when a step continues it; for ever while one is held until cleared.
    until: Option<Instant>,
    /// The faults that have rolled their dice for it, ascending.
    rolled: Vec<FaultId>,
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

    /// The thread asks for something that is no step of a walk.
    pub(super) fn end(&self, tid: u32) {
        drop(self.take(tid));
    }
}

impl Core {
    /// Whether the request may be a step on a path.
    pub(super) fn is_step(op: &Op) -> bool {
        matches!(op.request, Request::Lookup | Request::Getattr)
    }

    /// Decides a step, where the faults that have rolled for the same call do not roll again.
    pub(super) fn decide_step(&self, op: &Op, place: &Place<'_>) -> Verdict {
        let tid = op.caller.tid;
        let arrived = op.arrived.unwrap_or_else(Instant::now);
        let before = self.walks.take(tid).filter(|walk| {
            walk.until.is_none_or(|until| arrived <= until) && self.continues(walk.at, op)
        });
        let mut walk = before.unwrap_or_default();
        let verdict = self.gate.decide_once(&[place], tid, &mut walk.rolled);
        let held = match &verdict {
            Verdict::Hit(hit) => hit.delay(),
            Verdict::Run => None,
        };
        walk.until = match held {
            None => arrived.checked_add(NEXT_WITHIN),
            Some(Delay::For(delay)) => arrived.checked_add(NEXT_WITHIN.saturating_add(delay)),
            Some(Delay::UntilCleared) => None,
        };
        let failed = matches!(&verdict, Verdict::Hit(hit) if hit.errno().is_some());
        if !failed {
            walk.at = match op.targets {
                [Some((On::Name(_), _)), _] => At::Looking,
                [Some((On::Inode(ino), _)), _] => At::Asked(ino),
                _ => At::Start,
            };
            self.walks.keep(tid, walk);
        }
        verdict
    }

    /// A LOOKUP by `tid` has found `ino`.
    pub(super) fn looked_up(&self, tid: u32, ino: u64) {
        if !self.gate.armed(Request::Lookup.methods()) {
            return;
        }
        if let Some(walk) = self.walks.0.lock().get_mut(&tid)
            && matches!(walk.at, At::Looking)
        {
            walk.at = At::Found(ino);
            walk.until = Instant::now().checked_add(NEXT_WITHIN);
        }
    }

    fn continues(&self, at: At, op: &Op) -> bool {
        match (at, op.targets) {
            (At::Found(from) | At::Asked(from), [Some((On::Name(parent), _)), _]) => from == parent,
            (At::Found(from), [Some((On::Inode(ino), _)), _]) if from == ino => true,
            (At::Found(from) | At::Asked(from), [Some((On::Inode(ino), _)), _]) => {
                self.tree.inode(ino).is_ok_and(|inode| inode.lies_in(from))
            }
            _ => false,
        }
    }
}
