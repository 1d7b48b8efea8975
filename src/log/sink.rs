//! Where the lines end: standard error, a file, or nowhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

enum Place {
    Nowhere,
    StandardError(io::Stderr),
    Own(OwnedFd),
}

/// How the file of the log is found anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By its path, wherever that leads now.
    Path,
    /// By its name in the directory that it was opened in, whatever is mounted there since.
    Directory,
}

/// What the log's thread writes to. A write waits for whoever takes it, for ever if need be.
pub(super) struct Sink {
    place: Place,
    path: Option<PathBuf>,
    /// The directory that the path led to at first.
    dir: Option<OwnedFd>,
    /// The last line written lacks its end.
    torn: bool,
}

impl Sink {
    pub(super) fn nowhere() -> Sink {
        Sink { place: Place::Nowhere, path: None, dir: None, torn: false }
    }

    pub(super) fn standard_error() -> Sink {
        Sink { place: Place::StandardError(io::stderr()), path: None, dir: None, torn: false }
    }

    #[cfg(test)]
    pub(super) fn open(fd: OwnedFd) -> Sink {
        Sink { place: Place::Own(fd), path: None, dir: None, torn: false }
    }

    /// # Errors
    /// The file cannot be opened.
    pub(super) fn file(path: &Path) -> io::Result<Sink> {
        let place = Place::Own(open(CWD, path)?);
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let dir = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(parent.unwrap_or(Path::new(".")), dir, Mode::empty())?;
        Ok(Sink { place, path: Some(path.to_owned()), dir: Some(dir), torn: false })
    }

    /// Opens the file of that path anew: it may be another one by now. If that fails, the one that
    /// is open stays, and says so.
    pub(super) fn reopen(&mut self, way: Way) {
        let Some(path) = &self.path else { return };
        let opened = match (way, &self.dir, path.file_name()) {
            (Way::Directory, Some(dir), Some(name)) => open(dir.as_fd(), name.as_ref()),
            _ => open(CWD, path),
        };
        match opened {
            Ok(new) => {
                self.place = Place::Own(new);
                self.torn = false;
                tracing::info!("SIGHUP: the log goes on in {}", path.display());
            }
            Err(error) => tracing::error!(
                "cannot reopen the log {}: {error}; it goes on where it was",
                path.display()
            ),
        }
    }

    /// Writes it all; else how many bytes were written, and why no more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        if bytes.is_empty() {
            return Ok(());
        }
        let fd = match &self.place {
            Place::Nowhere => return Ok(()),
            Place::StandardError(stream) => stream.as_fd(),
            Place::Own(fd) => fd.as_fd(),
        };
        if self.torn {
            write_all(fd, b"\n").map_err(|(_, error)| (0, error))?;
            self.torn = false;
        }
        write_all(fd, bytes).inspect_err(|(written, _)| {
            let last = written.checked_sub(1).and_then(|last| bytes.get(last));
            self.torn = last.is_some_and(|byte| *byte != b'\n');
        })
    }
}

/// Opens a log for appending, so that copytruncate (logrotate(8)) leaves no hole. A FIFO that nobody
/// reads yet waits for its reader, the start does not; a terminal does not become the daemon's.
fn open(dir: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags =
        OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o666);
    match rustix::fs::openat(dir, path, flags | OFlags::WRONLY, mode) {
        Err(Errno::NXIO) => Ok(rustix::fs::openat(dir, path, flags | OFlags::RDWR, mode)?),
        other => Ok(other?),
    }
}

fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match rustix::io::write(fd, rest) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // Whatever it says, the next write tells.
                let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], None);
            }
            Err(error) => return Err((written, error.into())),
        }
    }
    Ok(())
}
