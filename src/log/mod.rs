//! The log: who logs never waits, whatever becomes of who reads.
//!
//! Lines go into a bounded queue, and a thread of its own writes them. A pipe that is full, a terminal
//! that was stopped, a disk that is full: what cannot be written is lost, counted, and told in its
//! place once lines are taken again. (tracing-appender has such a queue, too, but does not count what
//! its writer fails to write, is bounded in lines only, and prints to standard output when its writer
//! is stuck at the end, which may be the very pipe that is full.)
//! Lock rule: see `queue`.

use std::fmt::Debug;
use std::io::{self, IsTerminal};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

mod line;
mod queue;
mod sink;

pub(crate) use line::Format;

use line::{Style, is_journal};
use queue::Queue;
use sink::{Sink, Way};

/// How long an end waits for the last lines to be taken.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Where the lines go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// Standard error, in colour if that is a terminal.
    StandardError,
    /// The end of this file.
    File(&'a Path),
    /// Nobody wants them.
    Nowhere,
}

/// The log of this process. Dropping it waits for the last lines, a moment at most.
pub(crate) struct Log {
    queue: Arc<Queue>,
    /// The directory of its file, if it has one.
    dir: Option<PathBuf>,
    /// Whether a mount of this process covers that.
    covered: AtomicBool,
    tells_all: bool,
}

impl Log {
    /// Starts the log, to which every tracing event of the process goes from now on, and every
    /// panic's message.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread be started.
    pub(crate) fn start(target: Target<'_>, format: Format) -> io::Result<Log> {
        let sink = match target {
            Target::StandardError => Sink::standard_error(),
            Target::File(path) => Sink::file(path)?,
            Target::Nowhere => Sink::nowhere(),
        };
        let dir = match target {
            Target::File(path) => path.parent().and_then(|dir| dir.canonicalize().ok()),
            Target::StandardError | Target::Nowhere => None,
        };
        let to_stderr = matches!(target, Target::StandardError);
        let colour = to_stderr && io::stderr().is_terminal();
        let style = Style { format, to_journal: to_stderr && is_journal() };
        let queue = Queue::start(sink, style)?;
        let entry = Arc::clone(&queue);
        let log = tracing_subscriber::fmt().with_max_level(Level::INFO);
        // That layer would complain of a failed write on standard error, and panic if it cannot.
        let log = log.log_internal_errors(false).with_ansi(colour).event_format(style);
        log.with_writer(move || LineWriter(Arc::clone(&entry))).finish().with(Unexpected).init();
        panic::set_hook(Box::new(|panic| {
            tracing::error!("{}", panic.to_string().replace('\n', " "));
        }));
        let tells_all = to_stderr && (style.to_journal || format == Format::Json);
        Ok(Log { queue, dir, covered: AtomicBool::new(false), tells_all })
    }

    /// Whether who reads standard error takes lines of the log only: why the process fails is to be one of them.
    #[must_use]
    pub(crate) fn tells_all(&self) -> bool {
        self.tells_all
    }

    /// Waits until what was logged before is written or lost, a moment at most.
    pub(crate) fn flush(&self) {
        self.queue.flush(LAST_WORDS);
    }

    /// Opens the file of the log anew, so that the one it was can be moved away (logrotate(8)).
    pub(crate) fn reopen(&self) {
        let way = if self.covered.load(Ordering::Relaxed) { Way::Directory } else { Way::Path };
        self.queue.reopen(way);
    }

    /// This process is going to mount there. A log below, opened anew, must not go through the mount:
    /// that would tell of its own lines, without end.
    pub(crate) fn keep_off(&self, mountpoint: &Path) {
        let covered = self.dir.as_ref().is_some_and(|dir| dir.starts_with(mountpoint));
        self.covered.store(covered, Ordering::Relaxed);
    }

    /// How many lines were lost so far.
    #[must_use]
    pub(crate) fn lost(&self) -> Arc<AtomicU64> {
        self.queue.lost()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The way of one event's line into the queue.
struct LineWriter(Arc<Queue>);

impl io::Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Drops fuser's complaints of replies that nobody waits for. The kernel interrupts the operations
/// of a caller that gets a signal; fuser refuses the interruption on the thread's own descriptor,
/// where the kernel does not find the operation (`fuse_dev_do_write`: ENOENT). The operation itself
/// goes on, and is answered where it came from.
struct Unexpected;

impl<S: Subscriber> Layer<S> for Unexpected {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        // Records of the crate log, as fuser's are, all have this target here.
        if event.metadata().target() != "log" {
            return true;
        }
        let mut reply = UnawaitedReply(false);
        event.record(&mut reply);
        !reply.0
    }
}

struct UnawaitedReply(bool);

impl Visit for UnawaitedReply {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let message = format!("{value:?}");
            self.0 = message.starts_with("Failed to send FUSE reply: ")
                && message.ends_with("(os error 2)");
        }
    }
}
