//! The calls of the trace, from both sides, and what they answer. A connection has one, which ends with it. No locks.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tracing::info;

use super::client::Client;
use super::connection::{ClientError, arguments};
use super::dialect::Traced;
use super::handler::{Handler, Refusal};
use super::record::{Wire, record};
use super::values::WirePath;
use super::wire::{Fields, Value, ns, signed};
use crate::fault::trace::{Event, Fired, PATIENCE, Wanted, monotonic_ns};
use crate::fault::words::methods;
use crate::fault::{Errno, Origin, Pattern};
use crate::ops::MethodSet;

/// Events that are answered at once.
pub(super) const MOST: i64 = 1_000;

/// How long a mount that ends waits for the next fetch of who reads its trace.
const LAST_FETCH: Duration = Duration::from_millis(300);

/// How long it waits in all, though fetches still come.
const LAST_FETCHES: Duration = Duration::from_secs(1);

/// Time between two looks meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

record! {
    /// What a trace begins with.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct TraceHead = "TraceHead" {
        /// Version of the slowfs daemon.
        1: version: String,
        /// Version of the FUSE protocol that the kernel speaks.
        2: fuse_protocol: String,
        /// What the dice were seeded with, a number of 64 bits.
        3: seed: String,
        /// Where the mount is.
        4: mountpoint: WirePath,
        /// The directory behind it.
        5: backing: WirePath,
        /// One moment by `CLOCK_MONOTONIC`, nanoseconds.
        6: monotonic_ns: i64,
        /// The same moment in nanoseconds since 1970.
        7: unix_ns: i64,
    }
}

record! {
    /// A fault or condition that fired on a request.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct TraceHit = "TraceHit" {
        /// Its id.
        1: id: i64,
        /// Its name, if it has one.
        2: name: Option<String>,
        /// The kinds of its effects, as in `delay+error`.
        3: kind: String,
        /// Which match it was, from 0: what went into the draw.
        4: n: i64,
        /// How long it asked to hold the request, or its answer.
        5: asked_ns: Option<i64>,
        /// When a request that it held was due.
        6: due_ns: Option<i64>,
        /// What came of it, as in `held+failed`.
        7: action: String,
        /// The ids of the injections that it made.
        8: injection: Vec<i64>,
    }
}

record! {
    /// A request that was answered.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct TraceEvent = "TraceEvent" {
        /// Its number in the trace, from 1, in the order of the answers.
        1: seq: i64,
        /// When it arrived, by `CLOCK_MONOTONIC`, nanoseconds.
        2: t_ns: i64,
        /// What was asked.
        3: method: String,
        /// The backing path when it arrived, if its inode was known.
        4: path: Option<WirePath>,
        /// Of a rename, a link or a copy the second path: what the first comes to be.
        5: other: Option<WirePath>,
        /// The inode it is about, or the directory of the name it is about. Of a copy that which is
        /// written, as are handle and offset.
        6: inode: i64,
        /// The open file, if it came with one.
        7: handle: Option<i64>,
        /// What it reads, writes or allocates begins there.
        8: offset: Option<i64>,
        /// And is so long.
        9: len: Option<i64>,
        /// How the file is or was opened, if the request says so; else 0.
        10: flags: i32,
        /// The thread that asked; 0 if unknown.
        11: tid: i64,
        /// Its user.
        12: uid: i64,
        /// `ok`, or the error's name.
        13: result: String,
        /// The error's number; 0 for success.
        14: errno: i32,
        /// Bytes moved.
        15: bytes: i64,
        /// How long it ran on the backing, if it did.
        16: backing_ns: Option<i64>,
        /// When it was answered.
        17: done_ns: i64,
        /// What fired on it.
        18: hits: Vec<TraceHit>,
    }
}

record! {
    /// What a trace has come to.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct TraceRead = "TraceRead" {
        /// In order.
        1: events: Vec<TraceEvent>,
        /// How many were dropped since it began.
        2: dropped: i64,
        /// The mount ends: nothing comes after these.
        3: ended: bool,
    }
}

impl Handler {
    pub(super) fn trace_start(&self, peer: Origin, traced: &Traced) -> Result<TraceHead, Refusal> {
        let methods = match traced.methods.as_slice() {
            [] => MethodSet::ALL,
            names => methods(names).map_err(|e| Refusal::Own(e.to_string()))?,
        };
        let pattern = Pattern::new(&traced.pattern).map_err(|e| Refusal::Own(e.to_string()))?;
        let fired = traced.fired;
        let started = self.table.trace().start(peer, Wanted { methods, pattern, fired });
        started.map_err(|taken| Refusal::Own(taken.to_string()))?;
        info!(%peer, "trace_start: {methods}");
        let mount = &self.config.mount;
        let (monotonic, unix) = (Instant::now(), SystemTime::now());
        let unix = unix.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(TraceHead {
            version: mount.version.clone(),
            fuse_protocol: mount.fuse_protocol.clone(),
            seed: self.table.seed().to_string(),
            mountpoint: WirePath(mount.mountpoint.clone()),
            backing: WirePath(mount.backing.clone()),
            monotonic_ns: monotonic_ns(monotonic),
            unix_ns: ns(unix),
        })
    }

    /// What has come after that number, `most` at most. What came up to it is forgotten.
    pub(super) fn trace_read(
        &self,
        peer: Origin,
        after: i64,
        most: i64,
    ) -> Result<TraceRead, Refusal> {
        let after = u64::try_from(after).unwrap_or_default();
        let most = usize::try_from(most.clamp(0, MOST)).unwrap_or_default();
        let Some(fetched) = self.table.trace().fetch(peer, after, most) else {
            let patience = humantime::format_duration(PATIENCE);
            return Err(Refusal::Own(format!(
                "this connection has no trace; trace_start begins one, and {patience} without \
                 trace_read end it"
            )));
        };
        let events = fetched.events.iter().map(|event| TraceEvent::of(event)).collect();
        Ok(TraceRead { events, dropped: signed(fetched.dropped), ended: fetched.ended })
    }

    /// The mount ends: who reads its trace is given a moment to fetch the rest.
    pub(super) fn trace_end(&self) {
        let (trace, closed) = (self.table.trace(), Instant::now());
        trace.close();
        while trace.last_fetched().is_some_and(|last| may_fetch(closed, last, Instant::now())) {
            thread::sleep(PAUSE);
        }
    }

    /// Ends the trace of a connection, if it has one.
    pub(super) fn trace_stop(&self, peer: Origin) {
        if self.table.trace().stop(peer) {
            info!(%peer, "the trace ends");
        }
    }
}

impl Client {
    /// Traces for this connection from now on what requests consult one of these methods (none: any) on
    /// such a path; with `fired` only those on which something fired.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` while somebody else traces.
    pub fn trace_start(
        &mut self,
        methods: &[String],
        pattern: &str,
        fired: bool,
    ) -> Result<TraceHead, ClientError> {
        let (methods, pattern) = (Value::texts(methods), Value::text(pattern));
        let wanted = [Some(methods), Some(pattern), fired.value()];
        self.0.fetch("trace_start", arguments(wanted))
    }

    /// What has come after that number, `most` at most; what came up to it is forgotten. Who asks for
    /// nothing for two minutes has no trace any more.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if there is no trace of this connection.
    pub fn trace_read(&mut self, after: i64, most: i64) -> Result<TraceRead, ClientError> {
        self.0.fetch("trace_read", arguments([after.value(), most.value()]))
    }

    /// Ends the trace of this connection, if it has one.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn trace_stop(&mut self) -> Result<(), ClientError> {
        self.0.call("trace_stop", Fields::default()).map(drop)
    }
}

impl TraceEvent {
    fn of(event: &Event) -> TraceEvent {
        TraceEvent {
            seq: signed(event.seq),
            t_ns: event.arrived_ns,
            method: event.method.to_owned(),
            path: event.path.as_deref().map(WirePath::of),
            other: event.other.as_deref().map(WirePath::of),
            inode: signed(event.inode),
            handle: event.handle.map(signed),
            offset: event.span.map(|span| signed(span.offset)),
            len: event.span.map(|span| signed(span.len)),
            flags: event.flags,
            tid: event.caller.tid.into(),
            uid: event.caller.uid.into(),
            result: match event.errno {
                0 => "ok".to_owned(),
                number => Errno::new(number).map_or_else(|_| number.to_string(), |e| e.to_string()),
            },
            errno: event.errno,
            bytes: signed(event.bytes),
            backing_ns: event.backing.map(ns),
            done_ns: event.done_ns,
            hits: event.hits.iter().map(TraceHit::of).collect(),
        }
    }
}

impl TraceHit {
    fn of(hit: &Fired) -> TraceHit {
        TraceHit {
            id: signed(hit.id),
            name: hit.name.clone(),
            kind: hit.kind.clone(),
            n: signed(hit.n),
            asked_ns: hit.asked.map(ns),
            due_ns: hit.due_ns,
            action: hit.action.clone(),
            injection: hit.injection.iter().copied().map(signed).collect(),
        }
    }
}

/// Whether a mount whose end began then still waits for a reader that fetched last then.
fn may_fetch(closed: Instant, last: Instant, now: Instant) -> bool {
    now < (last.max(closed) + LAST_FETCH).min(closed + LAST_FETCHES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_waits_while_fetches_come_and_not_for_ever() {
        let ms = Duration::from_millis;
        let closed = Instant::now() + ms(1_000);
        let waits = |last, now| may_fetch(closed, closed + ms(last), closed + ms(now));
        assert!(may_fetch(closed, closed - ms(900), closed + ms(299)), "it has a moment");
        assert!(!may_fetch(closed, closed - ms(900), closed + ms(300)), "that has passed");
        assert!(waits(290, 301) && waits(290, 589) && !waits(290, 590));
        assert!(waits(990, 999) && !waits(990, 1_000), "it fetches on and on");
    }
}
