//! Where the lines of a trace go: standard output or a file. The file is opened and written here: a daemon
//! opens no path that a client names. No locks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use serde_json::Value;

use crate::daemon::mountinfo::MountTable;
use crate::sys::{process, signals};

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
    pub(super) fn open(to: Option<&Path>, traced: &[PathBuf]) -> Result<Sink, String> {
        let Some(path) = to else {
            let stdout = io::stdout();
            refuse_traced("standard output", stdout.as_fd(), traced)?;
            let out = stdout.as_fd().try_clone_to_owned();
            let out = out.map_err(|e| format!("cannot write to standard output: {e}"))?;
            return Ok(Sink::new(out.into(), "standard output".to_owned()));
        };
        let name = path.display().to_string();
        if let Some(place) = place_of(path) {
            refuse_traced(&name, place.as_fd(), traced)?;
        }
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

/// The file, if it is there, or else its directory.
fn place_of(path: &Path) -> Option<OwnedFd> {
    let look = |path: &Path| open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    look(path).or_else(|| look(parent.unwrap_or(Path::new("."))))
}

/// What is written to a mount that is traced would be traced again, without end.
fn refuse_traced(name: &str, file: BorrowedFd<'_>, traced: &[PathBuf]) -> Result<(), String> {
    match traced.iter().find(|mountpoint| lies_on(file, mountpoint).unwrap_or(false)) {
        None => Ok(()),
        Some(mountpoint) => Err(format!(
            "cannot trace to {name}: it lies on {}, which is traced, and so would trace its own \
             writes; name a file elsewhere",
            mountpoint.display()
        )),
    }
}

/// Whether a file lies on the filesystem that is mounted there, wherever it is bound to. Asks neither of
/// the two, as they may hold the answer back.
fn lies_on(file: BorrowedFd<'_>, mountpoint: &Path) -> Option<bool> {
    let table = MountTable::open().ok()?;
    let mounted = table.at(mountpoint).ok()??;
    let number = process::mount_of(&format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let lines = table.mounts().ok()?;
    let own = lines.iter().find(|line| line.number == u64::from(number))?;
    Some(own.device == mounted.device)
}
