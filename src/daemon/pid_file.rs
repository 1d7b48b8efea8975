//! The file that has the daemon's pid in it while the daemon runs.
//!
//! Invariant: whoever holds the lock (flock(2)) on the file that the path names owns it. A file is
//! emptied, filled and removed by its owner only, and never through a symbolic link.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::{StartError, strip};

/// Longer than any pid.
const LONGEST: u64 = 32;

/// Goes when it is dropped, unless it is somebody else's by then.
pub(super) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Takes the file, which stays as it is until it is filled.
    ///
    /// # Errors
    /// It cannot be made or opened, is no pid file, or a daemon that runs has it.
    pub(super) fn create(path: &Path) -> Result<PidFile, StartError> {
        let failed = |e: io::Error| StartError::PidFile(path.to_owned(), strip(&e));
        loop {
            let file = open(path).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => return Err(taken(path, file)),
                other => other.map_err(|e| failed(e.into()))?,
            }
            refuse_other_content(&file).map_err(failed)?;
            // Its last owner may have removed it between the two calls.
            if is_named(path, &file) {
                return Ok(PidFile { path: path.to_owned(), file });
            }
        }
    }

    /// Writes the pid.
    ///
    /// # Errors
    /// Those of ftruncate(2) and write(2).
    pub(super) fn fill(&self) -> Result<(), StartError> {
        let mut file = &self.file;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
            .map_err(|e| StartError::PidFile(self.path.clone(), strip(&e)))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if is_named(&self.path, &self.file) {
            // One that somebody else removed is no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the path still names this file.
fn is_named(path: &Path, file: &File) -> bool {
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(named)) => same(ours, named),
        _ => false,
    }
}

/// What a slip of the hand names is not to be lost.
fn refuse_other_content(mut file: &File) -> io::Result<()> {
    let mut text = String::new();
    let pid = file.metadata()?.len() < LONGEST
        && file.read_to_string(&mut text).is_ok()
        && text.trim().chars().all(|c| c.is_ascii_digit());
    if pid { Ok(()) } else { Err(io::Error::other("it has something else than a pid in it")) }
}

fn open(path: &Path) -> io::Result<File> {
    // Neither a link's target nor a FIFO, whose open would wait.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(flags);
    let file = options.open(path).map_err(|e| match Errno::from_io_error(&e) {
        Some(Errno::LOOP) => io::Error::other("it is a symbolic link"),
        _ => e,
    })?;
    let regular = file.metadata()?.is_file();
    if regular { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

fn taken(path: &Path, file: File) -> StartError {
    let mut text = String::new();
    let told = file.take(LONGEST).read_to_string(&mut text).is_ok() && !text.trim().is_empty();
    let pid = if told { format!(" (pid {})", text.trim()) } else { String::new() };
    StartError::PidFileTaken(path.to_owned(), pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<PidFile, StartError>) -> String {
        result.err().expect("it was taken").to_string()
    }

    #[test]
    fn a_pid_file_has_one_owner_and_the_last_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        // What a daemon that was killed left.
        fs::write(&path, "4194304\n").unwrap();
        let first = PidFile::create(&path).unwrap();
        first.fill().unwrap();
        let pid = std::process::id();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{pid}\n"));
        assert!(message(PidFile::create(&path)).contains(&format!("(pid {pid})")));
        // Somebody removes it, and another daemon makes its own: that one stays.
        fs::remove_file(&path).unwrap();
        let second = PidFile::create(&path).unwrap();
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
        assert!(message(PidFile::create(&link)).contains("symbolic link"));
        assert!(message(PidFile::create(&null)).contains("symbolic link"));
        assert!(message(PidFile::create(&fifo)).contains("no regular file"));
        assert!(message(PidFile::create(&target)).contains("something else"));
        assert_eq!(fs::read_to_string(&target).unwrap(), "123 precious\n");
        for path in [target, link, fifo] {
            assert!(fs::symlink_metadata(path).is_ok());
        }
    }
}
