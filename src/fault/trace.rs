//! The trace: every request that is answered while somebody reads, as it was asked and as it ended.
//!
//! One reader at a time. What it has not fetched yet lies in a ring of bounded size; beyond that the
//! oldest is dropped and counted, and no operation ever waits for the reader. A reader that is gone,
//! or fetches nothing for [`PATIENCE`], has no trace any more.
//! Lock rule: one lock, innermost, for memory work. A request takes it twice: when it arrives, as its names
//! may be others later and only then it is known whether they are wanted, and when it is answered. While
//! nobody reads it is never taken.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use super::mask::MaskWord;
use super::operation::{Caller, Span};
use super::origin::Origin;
use super::words::Pattern;
use crate::ops::MethodSet;

/// What the ring may take of memory, bytes.
const ROOM: usize = 16 << 20;

/// How long a reader may fetch nothing: as long as somebody looks at a page of what it prints.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The largest part of the ring that is fetched at once, bytes.
const MOST_FETCHED: usize = 4 << 20;

/// A request that was answered. Moments are those of `CLOCK_MONOTONIC`, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its number in the trace, from 1, in the order of the answers.
    pub seq: u64,
    /// When it arrived.
    pub arrived_ns: i64,
    /// What was asked: the name of its method.
    pub method: &'static str,
    /// The backing path when it arrived, of several the one used last; of a file without a name the last
    /// that it had. None if its inode was gone.
    pub path: Option<Vec<u8>>,
    /// Of a rename, a link or a copy the second path: what the first comes to be.
    pub other: Option<Vec<u8>>,
    /// The inode it is about, or the directory of the name it is about. Of a copy that which is written,
    /// as are handle and span.
    pub inode: u64,
    /// The open file, if it came with one.
    pub handle: Option<u64>,
    /// What it reads, writes or allocates.
    pub span: Option<Span>,
    /// How the file is or was opened, if the request says so; else 0.
    pub flags: i32,
    /// Who asked.
    pub caller: Caller,
    /// What it was answered; 0 for success.
    pub errno: i32,
    /// Bytes moved.
    pub bytes: u64,
    /// How long it ran on the backing; None if it did not.
    pub backing: Option<Duration>,
    /// When it was answered.
    pub done_ns: i64,
    /// What fired on it.
    pub hits: Vec<Fired>,
}

/// One fault or condition that fired on a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fired {
    /// Its id.
    pub id: u64,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The kinds of its effects, as in `delay+error`.
    pub kind: String,
    /// Which match it was, from 0: what went into the draw.
    pub n: u64,
    /// How long it asked to hold the request, or its answer; None for not at all, or until cleared.
    pub asked: Option<Duration>,
    /// When a request that it held was due.
    pub due_ns: Option<i64>,
    /// What came of it, as in `held+failed`.
    pub action: String,
    /// The numbers of the injections that it made.
    pub injection: Vec<u64>,
}

/// How the hold of a request ended, and what came of it.
#[derive(Clone, Debug)]
pub struct End {
    /// Whether what was asked besides is done then.
    pub acts: bool,
    /// What is said of those that do nothing any more, or of all.
    pub cut: &'static str,
    /// The numbers of the injections that it made.
    pub injected: Vec<u64>,
}

/// What a reader wants to see.
#[derive(Debug)]
pub struct Wanted {
    /// Requests that consult one of these methods.
    pub methods: MethodSet,
    /// Requests about such a path.
    pub pattern: Pattern,
    /// Requests on which something fired.
    pub fired: bool,
}

/// What a reader fetched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fetched {
    /// In order.
    pub events: Vec<Arc<Event>>,
    /// How many were dropped since the trace began.
    pub dropped: u64,
    /// The mount ends, and nothing comes after these.
    pub ended: bool,
}

/// Somebody else reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} traces this mount already, and it takes one trace at a time; end that one first")]
pub struct InUse(Origin);

struct Tape {
    reader: Origin,
    wanted: Arc<Wanted>,
    ring: VecDeque<Arc<Event>>,
    bytes: usize,
    last: u64,
    /// Up to which number the reader was given them.
    given: u64,
    dropped: u64,
    fetched: Instant,
}

/// The trace of a table, if there is a reader.
#[derive(Default)]
pub(super) struct Trace(Mutex<State>);

#[derive(Default)]
struct State {
    tape: Option<Tape>,
    /// The mount ends, also for a reader that comes now.
    over: bool,
}

/// The trace, and the bit that says whether there is one.
#[derive(Clone, Copy)]
pub struct Tracing<'a> {
    trace: &'a Trace,
    mask: &'a MaskWord,
}

impl<'a> Tracing<'a> {
    pub(super) fn new(trace: &'a Trace, mask: &'a MaskWord) -> Tracing<'a> {
        Tracing { trace, mask }
    }

    /// Traces for that reader from now on, afresh if it did before.
    ///
    /// # Errors
    /// Another one reads.
    pub fn start(self, reader: Origin, wanted: Wanted) -> Result<(), InUse> {
        let mut state = self.trace.0.lock();
        let other = state.tape.as_ref().filter(|tape| tape.reader != reader && !tape.is_left());
        if let Some(other) = other {
            return Err(InUse(other.reader));
        }
        state.tape = Some(Tape {
            reader,
            wanted: Arc::new(wanted),
            ring: VecDeque::new(),
            bytes: 0,
            last: 0,
            given: 0,
            dropped: 0,
            fetched: Instant::now(),
        });
        self.mask.trace(!state.over);
        Ok(())
    }

    /// What came after that number, `most` at most; what came up to it is forgotten. None if that
    /// reader has no trace (any more).
    pub(crate) fn fetch(self, reader: Origin, after: u64, most: usize) -> Option<Fetched> {
        let mut state = self.trace.0.lock();
        let over = state.over;
        let tape = state.tape.as_mut().filter(|tape| tape.reader == reader && !tape.is_left())?;
        tape.fetched = Instant::now();
        while tape.ring.front().is_some_and(|event| event.seq <= after) {
            tape.pop();
        }
        let mut room = MOST_FETCHED;
        let fits = |event: &&Arc<Event>| {
            let rest = room.saturating_sub(event.size());
            mem::replace(&mut room, rest) > 0
        };
        let events: Vec<_> = tape.ring.iter().take(most).take_while(fits).map(Arc::clone).collect();
        tape.given = events.last().map_or(0, |event| event.seq).max(tape.given);
        let ended = over && events.len() == tape.ring.len();
        Some(Fetched { events, dropped: tape.dropped, ended })
    }

    /// Ends the trace of that reader, if it has one.
    pub fn stop(self, reader: Origin) -> bool {
        let mut state = self.trace.0.lock();
        let own = state.tape.as_ref().is_some_and(|tape| tape.reader == reader);
        if own {
            self.end(&mut state);
        }
        own
    }

    /// The mount ends: what arrives is not traced any more, and with the last of what did the reader is
    /// told so.
    pub fn close(self) {
        let mut state = self.trace.0.lock();
        state.over = true;
        self.mask.trace(false);
    }

    /// When the reader last fetched or, if it has not yet, began; None if there is none.
    #[must_use]
    pub(crate) fn last_fetched(self) -> Option<Instant> {
        let state = self.trace.0.lock();
        state.tape.as_ref().filter(|tape| !tape.is_left()).map(|tape| tape.fetched)
    }

    /// What the reader wants to see, if there is one.
    #[must_use]
    pub fn wanted(self) -> Option<Arc<Wanted>> {
        let mut state = self.trace.0.lock();
        if state.tape.as_ref().is_some_and(Tape::is_left) {
            self.end(&mut state);
        }
        state.tape.as_ref().map(|tape| Arc::clone(&tape.wanted))
    }

    /// Adds a request, numbered here, that arrived while a reader wanted to see that. Nobody wants it
    /// any more if that reader has gone.
    pub fn push(self, event: Event, wanted: &Arc<Wanted>) {
        let mut state = self.trace.0.lock();
        if let Some(tape) = state.tape.as_mut().filter(|tape| Arc::ptr_eq(&tape.wanted, wanted)) {
            tape.push(event);
        }
    }

    fn end(self, state: &mut State) {
        state.tape = None;
        self.mask.trace(false);
    }
}

impl Tape {
    fn is_left(&self) -> bool {
        self.fetched.elapsed() > PATIENCE
    }

    fn push(&mut self, event: Event) {
        self.last += 1;
        self.bytes += event.size();
        self.ring.push_back(Arc::new(Event { seq: self.last, ..event }));
        while self.bytes > ROOM {
            let lost = self.pop().is_some_and(|seq| seq > self.given);
            self.dropped += u64::from(lost);
        }
    }

    /// Forgets the oldest; its number.
    fn pop(&mut self) -> Option<u64> {
        let event = self.ring.pop_front()?;
        self.bytes -= event.size();
        Some(event.seq)
    }
}

impl Event {
    /// What it takes of memory, about.
    fn size(&self) -> usize {
        let paths = [&self.path, &self.other].into_iter().flatten().map(Vec::len).sum::<usize>();
        let texts = |hit: &Fired| {
            let name = hit.name.as_ref().map_or(0, String::len);
            hit.kind.len() + hit.action.len() + name + size_of_val(hit.injection.as_slice())
        };
        let hits = self.hits.iter().map(|hit| mem::size_of::<Fired>() + texts(hit)).sum::<usize>();
        mem::size_of::<Event>() + paths + hits
    }
}

/// A moment of the one clock and the same of the other.
static PAIR: LazyLock<(Instant, i64)> = LazyLock::new(|| {
    let look = |_| {
        let before = Instant::now();
        let now = clock_gettime(ClockId::Monotonic);
        (before.elapsed(), (before, now.tv_sec * 1_000_000_000 + now.tv_nsec))
    };
    // The one that nothing came between.
    let tightest = (0..8).map(look).min_by_key(|(between, _)| *between);
    tightest.map_or_else(|| (Instant::now(), 0), |(_, pair)| pair)
});

/// A moment by `CLOCK_MONOTONIC`, which others can read too, in nanoseconds.
#[must_use]
pub(crate) fn monotonic_ns(at: Instant) -> i64 {
    let (then, ns) = *PAIR;
    let span = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    match at.checked_duration_since(then) {
        Some(later) => ns.saturating_add(span(later)),
        None => ns.saturating_sub(span(then.saturating_duration_since(at))),
    }
}

#[cfg(test)]
mod tests;
