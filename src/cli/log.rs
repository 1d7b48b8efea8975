//! Where the log goes: standard error or a file, colour only on a terminal.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::Context as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn start(file: Option<&Path>) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt().with_max_level(Level::INFO).with_target(false);
    match file {
        Some(path) => {
            let file = File::options().create(true).append(true).open(path);
            let file = file.with_context(|| format!("cannot log to {}", path.display()))?;
            log.with_ansi(false).with_writer(file).finish().with(Unexpected).init();
        }
        None => {
            let log = log.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
            log.finish().with(Unexpected).init();
        }
    }
    Ok(())
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
