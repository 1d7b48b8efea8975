//! What a mount's own traffic takes of its backing, by its trace. No locks.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{RecordArgs, Recorded};
use crate::cli::fleet::Origin;
use crate::cli::progress::Progress;
use crate::cli::render::explain;
use crate::cli::whom;
use crate::ops::Method;
use crate::rpc::{Client, TraceEvent};
use crate::sys::signals;

/// How long a mount may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two looks: what comes meanwhile must fit into the mount's ring.
const PAUSE: Duration = Duration::from_millis(20);

/// Events that are fetched at once.
const MOST: i64 = 1_000;

/// How often at the end: all that a mount keeps is fetched by then.
const LAST_ROUNDS: usize = 200;

/// Whose traffic, and what it took.
pub(super) fn record(
    addr: &str,
    origin: &Origin,
    args: &RecordArgs,
    stop: &OwnedFd,
) -> Result<(String, Recorded), String> {
    let mut client = whom::reach(addr, origin, PATIENCE)?;
    let failed = |error| explain(addr, error);
    let pattern = args.paths.pattern().unwrap_or_default();
    let head = client.trace_start(&args.methods, pattern, false).map_err(failed)?;
    let what = head.mountpoint.0.display().to_string();
    let end = args.lasts.and_then(|lasts| Instant::now().checked_add(lasts));
    let mut tape = Tape::default();
    let mut progress = Progress::default();
    let began = Instant::now();
    loop {
        let until = Instant::now() + PAUSE;
        let by_signal = wait(stop, end.map_or(until, |end| end.min(until)));
        let is_over = by_signal || end.is_some_and(|end| Instant::now() >= end);
        let rounds = if is_over { LAST_ROUNDS } else { usize::MAX };
        match tape.follow(&mut client, rounds, end) {
            Ok(true) => {}
            Ok(false) => {
                tape.recorded.notes.push("the mount ended meanwhile".to_owned());
                break;
            }
            Err(error) if tape.recorded.samples.is_empty() => return Err(failed(error)),
            Err(error) => {
                tape.recorded.notes.push(format!("it broke off: {}", failed(error)));
                break;
            }
        }
        let (seconds, n) = (began.elapsed().as_secs(), tape.recorded.samples.len());
        progress.count(&format!("recording {what}: {n} requests in {seconds}s"));
        if is_over {
            // The connection's end ends the trace as well.
            let _ = client.trace_stop();
            break;
        }
    }
    progress.clear();
    Ok((what, tape.recorded))
}

/// Waits until then, or for a signal; whether one came.
fn wait(stop: &OwnedFd, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    // A failed wait shows in the time that is left.
    let _ = poll(&mut [PollFd::new(stop, PollFlags::IN)], Timespec::try_from(left).ok().as_ref());
    signals::take(stop).is_some()
}

#[derive(Default)]
struct Tape {
    after: i64,
    recorded: Recorded,
}

impl Tape {
    /// Takes what has come; false once the mount has ended.
    fn follow(
        &mut self,
        client: &mut Client,
        rounds: usize,
        end: Option<Instant>,
    ) -> Result<bool, crate::rpc::ClientError> {
        for _ in 0..rounds {
            let read = client.trace_read(self.after, MOST)?;
            self.recorded.dropped = u64::try_from(read.dropped).unwrap_or_default();
            read.events.iter().for_each(|event| self.take(event));
            self.after = read.events.last().map_or(self.after, |last| last.seq);
            if read.ended {
                return Ok(false);
            }
            if read.events.is_empty() || end.is_some_and(|end| Instant::now() >= end) {
                break;
            }
        }
        Ok(true)
    }

    fn take(&mut self, event: &TraceEvent) {
        let whole = |n: i64| u64::try_from(n).unwrap_or_default();
        match (Method::from_name(&event.method), event.backing_ns) {
            (Some(method), Some(ns)) if event.errno == 0 => {
                let len = event.len.map(whole).unwrap_or_default();
                self.recorded.samples.add(method, len, whole(ns));
            }
            _ => self.recorded.failed += 1,
        }
    }
}
