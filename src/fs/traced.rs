//! The trace: what is told of a request when it is answered. No locks of its own.

use std::io;
use std::time::{Duration, Instant};

use super::Core;
use super::op::{Op, Operands};
use crate::fault::trace::{self, End, Event, monotonic_ns};
use crate::fault::{Hit, Outcome, Subject};

/// What fired on an operation that is held no longer.
#[cold]
pub(super) fn hits(hit: &Hit, arrived: Instant, outcome: Outcome) -> Vec<trace::Hit> {
    // As `Struck` takes the plan apart.
    let (acts, cut) = match outcome {
        Outcome::Due => (true, "released"),
        Outcome::LetGo => (true, "let_go"),
        Outcome::Released => (false, "released"),
        Outcome::CallerKilled => (false, "interrupted"),
    };
    hit.traced(arrived, End { acts, cut })
}

/// How an operation ended, as the trace tells it.
#[derive(Default)]
pub(super) struct Told {
    /// How long it ran on the mirror, if it did and that was noted.
    pub(super) took: Option<Duration>,
    /// Bytes moved.
    pub(super) bytes: u64,
    /// What fired on it.
    pub(super) hits: Vec<trace::Hit>,
}

impl Core {
    /// Adds an operation that is about to be answered to the trace, if its reader wants to see it.
    #[cold]
    pub(super) fn trace(
        &self,
        op: &Op,
        operands: Operands<'_>,
        error: Option<&io::Error>,
        told: Told,
    ) {
        let Some(wanted) = self.gate.trace().wanted() else { return };
        let methods = op.methods().union(op.call.methods());
        if !wanted.methods.intersects(methods) || wanted.fired && told.hits.is_empty() {
            return;
        }
        let subjects = op.targets.map(|target| self.subject(target?, operands));
        let mut is_there = false;
        for subject in subjects.iter().flatten() {
            subject.paths(&mut |path| is_there |= wanted.pattern.matches(path));
        }
        if !is_there && !wanted.pattern.as_str().is_empty() {
            return;
        }
        let [path, other] = subjects.map(|subject| subject.map(|subject| subject.path()));
        let view = op.view(operands);
        self.gate.trace().push(Event {
            seq: 0,
            arrived_ns: monotonic_ns(view.arrived()),
            method: op.call.name(),
            path: path.filter(|path| !path.is_empty()),
            other,
            inode: view.inode,
            handle: view.handle,
            span: view.span,
            flags: view.open_flags,
            caller: view.caller,
            errno: error.map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO)),
            bytes: told.bytes,
            backing: told.took,
            done_ns: monotonic_ns(Instant::now()),
            hits: told.hits,
        });
    }
}
