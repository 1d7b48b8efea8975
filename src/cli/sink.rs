//! Where the lines of a trace go: standard output or a file. The file is opened and written here: a daemon
//! opens no path that a client names. No locks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::traced::Places;
use crate::sys::signals;

/// Where lines go.
pub(super) struct Sink {
    out: BufWriter<File>,
    name: String,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    InTime,
    BySignal,
    /// Nobody reads the lines any more.
    NoReader,
}

impl Sink {
    /// Opens it, which must not lie on one of the mounts that are traced.
    ///
    /// # Errors
    /// Why not, in one line; nothing is made or changed then.
    pub(super) fn open(to: Option<&Path>, traced: &Places<'_>) -> Result<Sink, String> {
        let Some(path) = to else {
            let stdout = io::stdout();
            refuse_traced("standard output", traced.under(stdout.as_fd()))?;
            let out = stdout.as_fd().try_clone_to_owned();
            let out = out.map_err(|e| format!("cannot write to standard output: {e}"))?;
            return Ok(Sink::new(out.into(), "standard output".to_owned()));
        };
        let name = path.display().to_string();
        refuse_traced(&name, traced.under_path(path))?;
        let file = File::create(path).map_err(|error| format!("cannot write {name}: {error}"))?;
        Ok(Sink::new(file, name))
    }

    fn new(file: File, name: String) -> Sink {
        Sink { out: BufWriter::new(file), name }
    }

    /// Writes lines, all of them; false if their reader has gone, which is no error.
    pub(super) fn write(&mut self, lines: &[Value]) -> Result<bool, String> {
        let write = |out: &mut BufWriter<File>| {
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            out.flush()
        };
        match write(&mut self.out) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(format!("cannot write to {}: {error}", self.name)),
        }
    }

    /// Waits until then, for a signal, or until nobody reads any more.
    pub(super) fn wait(&self, stop: &OwnedFd, until: Instant) -> Woken {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // What the reader's end tells, it tells unasked.
            let mut fds = [
                PollFd::new(stop, PollFlags::IN),
                PollFd::new(self.out.get_ref(), PollFlags::empty()),
            ];
            // A failed wait shows in the time that is left.
            let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
            let [_, out] = &fds;
            if signals::take(stop).is_some() {
                return Woken::BySignal;
            }
            if out.revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                return Woken::NoReader;
            }
            if left.is_zero() {
                return Woken::InTime;
            }
        }
    }
}

fn refuse_traced(name: &str, on: Option<&Path>) -> Result<(), String> {
    match on {
        None => Ok(()),
        Some(mountpoint) => Err(format!(
            "cannot trace to {name}: it lies on {}, which is traced, and so would trace its own \
             writes; name a file elsewhere",
            mountpoint.display()
        )),
    }
}
