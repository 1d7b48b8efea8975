//! The trace: what is told of a request when it is answered. No locks of its own.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::Core;
use super::noted::{Noted, Told};
use super::op::{Op, Operands};
use crate::fault::trace::{self, End, Event, Wanted, monotonic_ns};
use crate::fault::{Hit, Outcome};

/// What fired on an operation that is held no longer, and has made these injections.
#[cold]
pub(super) fn hits(
    hit: &Hit,
    (arrived, outcome): (Instant, Outcome),
    injected: Vec<u64>,
) -> Vec<trace::Fired> {
    // As `Struck::after` has it.
    let (acts, cut) = match outcome {
        Outcome::Due => (true, "released"),
        Outcome::LetGo => (true, "let_go"),
        Outcome::Released => (false, "released"),
        Outcome::CallerKilled => (false, "interrupted"),
    };
    hit.traced(arrived, End { acts, cut, injected })
}

impl Core {
    /// Adds an operation that is about to be answered to the trace, whose reader wants to see it, if
    /// something fired on it or all are to be seen.
    pub(super) fn trace(
        &self,
        op: &Op,
        operands: Operands<'_>,
        (noted, wanted): (&Noted, &Arc<Wanted>),
        error: Option<&io::Error>,
        told: Told,
    ) {
        if wanted.fired && told.hits.is_empty() {
            return;
        }
        let [path, other] = noted.paths.clone();
        let view = op.view(operands);
        let event = Event {
            seq: 0,
            arrived_ns: monotonic_ns(view.arrived()),
            method: op.call.name(),
            path,
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
        };
        self.gate.trace().push(event, wanted);
    }
}
