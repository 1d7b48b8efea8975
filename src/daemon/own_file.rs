//! The files that a daemon has while it runs: one with its pid, one with its control address.
//!
//! Invariant: whoever holds the lock (flock(2)) on the file that the path names owns it. A file is
//! emptied, filled and removed by its owner only, and never through a symbolic link.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use rustix::path::Arg;

use super::config::RunConfig;
use super::error::{StartError, strip};

/// Longer than any pid and any control address.
const LONGEST: u64 = 128;

/// What such a file has in it, on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Pid,
    /// `ADDR:PORT`, or the path of a socket.
    Address,
}

impl Content {
    fn name(self) -> &'static str {
        match self {
            Content::Pid => "pid",
            Content::Address => "address",
        }
    }

    /// Whether that is in a file of this kind that was filled, or was not filled yet.
    fn fits(self, text: &str) -> bool {
        let text = text.strip_suffix('\n').unwrap_or(text);
        match self {
            _ if text.is_empty() => true,
            Content::Pid => text.chars().all(|c| c.is_ascii_digit()),
            Content::Address => {
                let is_socket = text.starts_with('/') && !text.contains('\n');
                is_socket || text.parse::<SocketAddr>().is_ok()
            }
        }
    }
}

/// Goes when it is dropped, unless it is somebody else's by then.
pub(super) struct OwnFile {
    content: Content,
    path: PathBuf,
    file: File,
}

impl OwnFile {
    /// Takes the file. What a daemon before has left there stays until it is filled, if it is a pid: who
    /// waits for an address waits for this daemon's.
    ///
    /// # Errors
    /// It cannot be made or opened, has something else in it, or a daemon that runs has it.
    pub(super) fn create(path: &Path, content: Content) -> Result<OwnFile, StartError> {
        let name = content.name();
        let failed = |e: io::Error| StartError::OwnFile(name, path.to_owned(), strip(&e));
        loop {
            let file = open(path).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => return Err(taken(path, content, file)),
                other => other.map_err(|e| failed(e.into()))?,
            }
            refuse_other_content(&file, content).map_err(failed)?;
            // Its last owner may have removed it between the two calls.
            if is_named(path, &file) {
                if content == Content::Address {
                    file.set_len(0).map_err(failed)?;
                }
                return Ok(OwnFile { content, path: path.to_owned(), file });
            }
        }
    }

    /// Writes the line.
    ///
    /// # Errors
    /// Those of ftruncate(2) and write(2).
    pub(super) fn fill(&self, line: &str) -> Result<(), StartError> {
        let mut file = &self.file;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{line}\n").as_bytes()))
            .map_err(|e| StartError::OwnFile(self.content.name(), self.path.clone(), strip(&e)))
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if is_named(&self.path, &self.file) {
            // One that somebody else removed is no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Those of one run.
pub(super) struct OwnFiles {
    pid: Option<OwnFile>,
    address: Option<OwnFile>,
}

impl OwnFiles {
    /// Takes those that are asked for.
    ///
    /// # Errors
    /// As [`OwnFile::create`].
    pub(super) fn take(config: &RunConfig) -> Result<OwnFiles, StartError> {
        let take = |path: &Option<PathBuf>, content| {
            path.as_deref().map(|path| OwnFile::create(path, content)).transpose()
        };
        let pid = take(&config.pid_file, Content::Pid)?;
        Ok(OwnFiles { pid, address: take(&config.addr_file, Content::Address)? })
    }

    /// Fills them: the mount answers.
    ///
    /// # Errors
    /// As [`OwnFile::fill`].
    pub(super) fn fill(&self, pid: u32, address: &str) -> Result<(), StartError> {
        if let Some(file) = &self.address {
            file.fill(address)?;
        }
        self.pid.as_ref().map_or(Ok(()), |file| file.fill(&pid.to_string()))
    }
}

/// Whether the path still names this file.
pub(super) fn is_named(path: &Path, file: &File) -> bool {
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(named)) => same(ours, named),
        _ => false,
    }
}

/// What a slip of the hand names is not to be lost.
fn refuse_other_content(mut file: &File, content: Content) -> io::Result<()> {
    let mut text = String::new();
    let fits = file.metadata()?.len() < LONGEST
        && file.read_to_string(&mut text).is_ok()
        && content.fits(&text);
    let name = content.name();
    let other = || io::Error::other(format!("it has something else in it than one {name}"));
    if fits { Ok(()) } else { Err(other()) }
}

/// A regular file to read and write, made if there is none.
///
/// # Errors
/// Those of open(2), or it is another thing.
pub(super) fn open(path: &Path) -> io::Result<File> {
    open_as(CWD, path, OFlags::CREATE)
}

/// One that lies there by that name, if there is one.
///
/// # Errors
/// Those of open(2), or it is another thing.
pub(super) fn open_there(dir: impl AsFd, name: &OsStr) -> io::Result<Option<File>> {
    match open_as(dir, name, OFlags::empty()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn open_as(dir: impl AsFd, path: impl Arg, create: OFlags) -> io::Result<File> {
    // Neither a link's target nor a FIFO, whose open would wait.
    let quiet = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o644);
    let file = match openat(dir, path, OFlags::RDWR | quiet | create, mode) {
        Err(Errno::LOOP) => return Err(io::Error::other("it is a symbolic link")),
        opened => File::from(opened?),
    };
    let regular = file.metadata()?.is_file();
    if regular { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

fn taken(path: &Path, content: Content, file: File) -> StartError {
    let mut text = String::new();
    let told = file.take(LONGEST).read_to_string(&mut text).is_ok() && !text.trim().is_empty();
    let name = content.name();
    let whose = if told { format!(" ({name} {})", text.trim()) } else { String::new() };
    StartError::OwnFileTaken(name, path.to_owned(), whose)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<OwnFile, StartError>) -> String {
        result.err().expect("it was taken").to_string()
    }

    #[test]
    fn a_pid_file_has_one_owner_and_the_last_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        // What a daemon that was killed left.
        fs::write(&path, "4194304\n").unwrap();
        let first = OwnFile::create(&path, Content::Pid).unwrap();
        let pid = std::process::id();
        first.fill(&pid.to_string()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{pid}\n"));
        assert!(message(OwnFile::create(&path, Content::Pid)).contains(&format!("(pid {pid})")));
        // Somebody removes it, and another daemon makes its own: that one stays.
        fs::remove_file(&path).unwrap();
        let second = OwnFile::create(&path, Content::Pid).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn links_fifos_and_other_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let [target, link, fifo, null] =
            ["target", "link", "fifo", "null"].map(|n| dir.path().join(n));
        fs::write(&target, "123 precious\n").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        assert!(message(OwnFile::create(&link, Content::Pid)).contains("symbolic link"));
        assert!(message(OwnFile::create(&null, Content::Pid)).contains("symbolic link"));
        assert!(message(OwnFile::create(&fifo, Content::Pid)).contains("no regular file"));
        assert!(message(OwnFile::create(&target, Content::Pid)).contains("something else"));
        assert_eq!(fs::read_to_string(&target).unwrap(), "123 precious\n");
        for path in [target, link, fifo] {
            assert!(fs::symlink_metadata(path).is_ok());
        }
    }

    #[test]
    fn an_address_file_has_the_address_of_the_daemon_that_runs_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("address");
        for left in ["", "127.0.0.1:9090\n", "/run/slowfs/mnt\n"] {
            fs::write(&path, left).unwrap();
            let file = OwnFile::create(&path, Content::Address).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "");
            file.fill("[::1]:1").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "[::1]:1\n");
        }
        assert!(!path.exists());
        for other in ["precious", "/a\n/b\n", "127.0.0.1\n"] {
            fs::write(&path, other).unwrap();
            let refused = message(OwnFile::create(&path, Content::Address));
            assert!(refused.contains("something else in it than one address"), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
        }
    }
}
