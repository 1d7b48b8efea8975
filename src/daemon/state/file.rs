//! The file of a state: one daemon has it, and what is in it is replaced whole. No locks, but for that by which
//! daemons tell it from one of another (flock(2)).

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::daemon::error::{StartError, strip};
use crate::daemon::own_file;

/// Longer than any that was written.
const MOST: u64 = 64 << 20;

pub(super) struct StateFile {
    /// As it was named.
    path: PathBuf,
    /// Its directory, as it was before the mount.
    dir: OwnedFd,
    name: OsString,
    /// What a next one is called until it takes its place.
    beside: OsString,
    /// Locked while this daemon has it, as is each that takes its place.
    file: File,
}

impl StateFile {
    /// Takes it, or makes it; and what stands in it.
    ///
    /// # Errors
    /// It cannot be written or read, another daemon has it, or it lies below the mountpoint.
    pub(super) fn take(path: &Path, mountpoint: &Path) -> Result<(StateFile, String), StartError> {
        let failed = |e: io::Error| StartError::OwnFile("state", path.to_owned(), strip(&e));
        let no_file = || failed(io::Error::other("it names no file"));
        let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(no_file)?;
        let parent = fs::canonicalize(parent).map_err(failed)?;
        if parent.starts_with(mountpoint) {
            let (dir, mountpoint) = (path.to_owned(), mountpoint.to_owned());
            return Err(StartError::Below { option: "--state", dir, mountpoint });
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&parent, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        let file = loop {
            let file = own_file::open(path).map_err(failed)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {
                    let whose = String::new();
                    return Err(StartError::OwnFileTaken("state", path.to_owned(), whose));
                }
                other => other.map_err(|e| failed(e.into()))?,
            }
            // Its owner may have put another in its place between the two calls.
            if own_file::is_named(path, &file) {
                break file;
            }
        };
        let mut text = String::new();
        (&file).take(MOST).read_to_string(&mut text).map_err(failed)?;
        let beside = [".", &name.to_string_lossy(), ".new"].concat().into();
        let state = StateFile { path: path.to_owned(), dir, name: name.to_owned(), beside, file };
        // Rather now than at the first change.
        state.make_beside().and_then(|_| state.remove_beside()).map_err(failed)?;
        Ok((state, text))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Has that stand in it, once it is on the disk.
    ///
    /// # Errors
    /// It cannot be written: it has what it had.
    pub(super) fn replace(&mut self, text: &str) -> io::Result<()> {
        let file = self.make_beside()?;
        let placed = self
            .fill(&file, text)
            .and_then(|()| Ok(renameat(&self.dir, &self.beside, &self.dir, &self.name)?));
        if let Err(error) = placed {
            // What is left of it says nothing to anybody.
            let _ = self.remove_beside();
            return Err(error);
        }
        self.file = file;
        Ok(rustix::fs::fsync(&self.dir)?)
    }

    /// A new and empty file beside it; one that a killed daemon has left goes.
    fn make_beside(&self) -> io::Result<File> {
        self.remove_beside()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        Ok(openat(&self.dir, &self.beside, flags, mode)?.into())
    }

    fn remove_beside(&self) -> io::Result<()> {
        match unlinkat(&self.dir, &self.beside, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    /// With what stands in it, and as the one has it whose place it takes.
    fn fill(&self, mut file: &File, text: &str) -> io::Result<()> {
        file.write_all(text.as_bytes())?;
        let (is, was) = (file.metadata()?, self.file.metadata()?);
        if (is.uid(), is.gid()) != (was.uid(), was.gid()) {
            fchown(file, Some(was.uid()), Some(was.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(was.mode() & 0o7777))?;
        flock(file, FlockOperation::NonBlockingLockExclusive)?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path, mountpoint: &Path) -> String {
        StateFile::take(path, mountpoint).err().expect("it was taken").to_string()
    }

    #[test]
    fn it_is_one_daemons_and_whole_and_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let nowhere = Path::new("/none");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        // What a killed daemon has left.
        fs::write(dir.path().join(".state.new"), "half").unwrap();
        let (mut state, text) = StateFile::take(&path, nowhere).unwrap();
        assert_eq!(text, "before");
        assert!(refusal(&path, nowhere).contains("another daemon runs with it"));
        let (long, short) = ("long\n".repeat(9_999), "short\n");
        for text in [&*long, short] {
            state.replace(text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert!(refusal(&path, nowhere).contains("another daemon runs with it"));
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(state);
        assert_eq!(StateFile::take(&path, nowhere).unwrap().1, short);
    }

    #[test]
    fn one_that_would_be_hidden_or_cannot_be_written_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (link, file) = (dir.join("link"), dir.join("a"));
        std::os::unix::fs::symlink(&dir, &link).unwrap();
        for path in [&file, &link.join("a")] {
            let told = refusal(path, &dir);
            assert!(told.contains("for --state: it lies below"), "{told}");
            assert!(!file.exists());
        }
        let nowhere = Path::new("/none");
        assert!(refusal(&link, nowhere).contains("it is a symbolic link"));
        assert!(refusal(&dir, nowhere).contains("directory"));
        assert!(refusal(&dir.join("none/a"), nowhere).contains("No such file"));
        assert!(refusal(Path::new("/dev/null"), nowhere).contains("it is no regular file"));
        assert!(refusal(Path::new("/"), nowhere).contains("it names no file"));
    }
}
