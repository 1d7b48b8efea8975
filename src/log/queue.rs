//! What waits to be written, and the thread that writes it.
//!
//! Invariants: who logs never waits for who reads. Lines are written whole and in order; where some
//! are missing, a line says how many, before the next one. Lock rule: the state is locked for memory
//! work only, never across a write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::Level;

use super::line::{LONGEST, Style};
use super::sink::{Sink, Way};
use crate::sys::signals;

/// What may wait, in bytes: some ten thousand lines, for a reader that is slow for a moment.
const ROOM: usize = 1 << 20;

/// Memory that is kept for the next lines.
const KEPT: usize = 64 * 1024;

#[derive(Default)]
struct State {
    /// Lines that wait.
    lines: Vec<u8>,
    /// Lines that found no room behind those. Until the thread takes what waits no other is taken
    /// in, so that it is known where they are missing.
    lost: u64,
    reopen: Option<Way>,
    /// How many lines were ever handed in, and how many of the first of them are written or lost.
    handed: u64,
    settled: u64,
}

/// The lines on their way to the log.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    settled: Condvar,
    lost: Arc<AtomicU64>,
}

/// What the thread takes at once.
struct Batch {
    lines: Vec<u8>,
    lost: u64,
    reopen: Option<Way>,
    /// The last line of it.
    last: u64,
}

impl Queue {
    /// A queue and its thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn start(sink: Sink, style: Style) -> io::Result<Arc<Queue>> {
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            filled: Condvar::new(),
            settled: Condvar::new(),
            lost: Arc::default(),
        });
        let own = Arc::clone(&queue);
        let spawn =
            || thread::Builder::new().name("slowfs-log".into()).spawn(move || own.run(sink, style));
        // Signals are for the thread that waits for them.
        signals::masked(spawn)?.map(drop)?;
        Ok(queue)
    }

    /// Hands in a line, which is lost if too much waits already.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        state.handed += 1;
        if state.lost > 0 || state.lines.len() + line.len().min(LONGEST) > ROOM {
            state.lost += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match line.get(..LONGEST) {
            None => state.lines.extend_from_slice(line),
            Some(start) => {
                state.lines.extend_from_slice(String::from_utf8_lossy(start).as_bytes());
                state.lines.extend_from_slice(b"...\n");
            }
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until what was handed in before is written or lost, so long at most.
    pub(super) fn flush(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut state = self.state.lock();
        let last = state.handed;
        while state.settled < last {
            if self.settled.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    /// Has the thread open its file anew before it writes on.
    pub(super) fn reopen(&self, way: Way) {
        self.state.lock().reopen = Some(way);
        self.filled.notify_one();
    }

    /// How many lines were lost so far.
    pub(super) fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    fn next(&self, used: Vec<u8>) -> Batch {
        let mut state = self.state.lock();
        while state.lines.is_empty() && state.lost == 0 && state.reopen.is_none() {
            self.filled.wait(&mut state);
        }
        Batch {
            lines: std::mem::replace(&mut state.lines, used),
            lost: std::mem::take(&mut state.lost),
            reopen: state.reopen.take(),
            last: state.handed,
        }
    }

    fn run(&self, mut sink: Sink, style: Style) {
        let mut used = Vec::new();
        let mut gap = Gap { style, ..Gap::default() };
        loop {
            let mut batch = self.next(used);
            if let Some(way) = batch.reopen {
                sink.reopen(way);
            }
            if !batch.lines.is_empty()
                && let Err((lines, reason)) = gap.tell(&mut sink, &batch.lines)
            {
                self.lost.fetch_add(lines, Ordering::Relaxed);
                gap.widen(lines, &reason.to_string());
            }
            if batch.lost > 0 {
                gap.widen(batch.lost, "nobody took them");
                // If it cannot be told now, it is before the next line.
                let _ = gap.tell(&mut sink, b"");
            }
            self.state.lock().settled = batch.last;
            self.settled.notify_all();
            batch.lines.clear();
            batch.lines.shrink_to(KEPT);
            used = batch.lines;
        }
    }
}

/// Lines that are missing and of which the log does not tell yet.
#[derive(Default)]
struct Gap {
    style: Style,
    lines: u64,
    reason: String,
}

impl Gap {
    fn widen(&mut self, lines: u64, reason: &str) {
        self.lines += lines;
        reason.clone_into(&mut self.reason);
    }

    /// Writes these lines, and before them how many are missing; else how many were not written, and
    /// why.
    fn tell(&mut self, sink: &mut Sink, lines: &[u8]) -> Result<(), (u64, io::Error)> {
        if self.lines > 0 {
            let (missing, reason) = (self.lines, &self.reason);
            let were = if missing == 1 { "line was" } else { "lines were" };
            let lost = format!("{missing} log {were} lost here: {reason}");
            let text = self.style.own(Level::WARN, &lost) + "\n";
            if let Err((_, error)) = sink.write(text.as_bytes()) {
                return Err((count(lines), error));
            }
            self.lines = 0;
        }
        sink.write(lines)
            .map_err(|(rest, error)| (count(lines.get(rest..).unwrap_or_default()), error))
    }
}

#[allow(clippy::naive_bytecount, reason = "only of what is lost")]
fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};
    use std::os::fd::OwnedFd;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn piped() -> (PipeReader, Arc<Queue>) {
        let (reader, writer) = pipe().unwrap();
        (reader, Queue::start(Sink::open(OwnedFd::from(writer)), Style::default()).unwrap())
    }

    /// Reads until a line holds that.
    fn read_until(reader: &mut PipeReader, part: &str) -> String {
        read_while(reader, |text| !text.lines().any(|line| line.contains(part)))
    }

    fn read_while(reader: &mut PipeReader, incomplete: impl Fn(&str) -> bool) -> String {
        let (mut text, mut some) = (String::new(), [0; 65_536]);
        while incomplete(&text) {
            let n = reader.read(&mut some).unwrap();
            text.push_str(str::from_utf8(&some[..n]).unwrap());
        }
        text
    }

    #[test]
    fn lines_come_whole_and_in_order() {
        let (mut reader, queue) = piped();
        (0..1000).for_each(|n| queue.push(format!("line {n}\n").as_bytes()));
        let text = read_until(&mut reader, "line 999");
        let wanted: Vec<_> = (0..1000).map(|n| format!("line {n}")).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
        assert_eq!(queue.lost().load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_nobody_takes_is_lost_and_told_when_somebody_does() {
        let (mut reader, queue) = piped();
        let line = [b"x".repeat(99), vec![b'\n']].concat();
        let began = Instant::now();
        let pushed = 4 * ROOM / line.len();
        (0..pushed).for_each(|_| queue.push(&line));
        assert!(began.elapsed() < PATIENCE);
        let lost = queue.lost().load(Ordering::Relaxed);
        assert!(lost as usize > pushed / 4, "{lost} of {pushed}");
        // In one gap, or in several if the thread begins late.
        let told = |text: &str| {
            let gaps = text.lines().filter(|line| line.ends_with("lost here: nobody took them"));
            let numbers =
                gaps.filter_map(|line| line.split_once(" log line")?.0.rsplit(' ').next());
            numbers.map(|lost| lost.parse::<u64>().unwrap()).sum::<u64>()
        };
        let whole = |text: &str| {
            text.lines().filter(|l| l.len() == 99 && l.bytes().all(|b| b == b'x')).count()
        };
        let text = read_while(&mut reader, |text| whole(text) + (told(text) as usize) < pushed);
        assert_eq!((told(&text), whole(&text)), (lost, pushed - lost as usize));
        queue.push(b"after\n");
        read_until(&mut reader, "after");
    }

    #[test]
    fn flush_waits_for_what_is_taken_and_not_for_ever() {
        let (mut reader, queue) = piped();
        queue.push(b"taken\n");
        queue.flush(PATIENCE);
        let mut text = [0; 6];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"taken\n");
        (0..1000).for_each(|_| queue.push(&b"x".repeat(1000)));
        let began = Instant::now();
        queue.flush(Duration::from_millis(50));
        assert!(began.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn a_reader_that_has_gone_ends_nothing() {
        let (reader, queue) = piped();
        drop(reader);
        for n in 1..=3 {
            queue.push(b"one\n");
            queue.flush(PATIENCE);
            assert_eq!(queue.lost().load(Ordering::Relaxed), n);
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        let (mut reader, queue) = piped();
        queue.push(&[b"x".repeat(2 * LONGEST), vec![b'\n']].concat());
        queue.push(b"after\n");
        let text = read_until(&mut reader, "after");
        let lengths: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [LONGEST + 3, 5]);
    }
}
