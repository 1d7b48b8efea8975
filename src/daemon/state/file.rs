//! The file of a state: one daemon has it, and what is in it is replaced whole. No locks, but for those of its place.
//!
//! Invariant: the file has what a daemon has written to its end, or it is not there.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::renameat;

use super::place::{NEXT, Place};
use crate::daemon::error::{StartError, strip};
use crate::daemon::mountinfo::Device;

/// Longer than any that was written.
const MOST: u64 = 64 << 20;

pub(super) struct StateFile {
    /// As it was named.
    path: PathBuf,
    place: Place,
    /// Locked while this daemon has it, as is each that takes its place. Until the first is written it lies beside it.
    file: File,
}

/// Why a state is not written as it is to be.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// It is as it was.
    Whole(io::Error),
    /// It is written; which file has its name may not be on the disk.
    Name(io::Error),
}

impl StateFile {
    /// Takes it, or its place if there is none; and what stands in it.
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
        let place = Place::at(parent, name).map_err(failed)?;
        let file = place.take().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                StartError::OwnFileTaken("state", path.to_owned(), String::new())
            }
            _ => failed(error),
        })?;
        let mut text = String::new();
        (&file).take(MOST).read_to_string(&mut text).map_err(failed)?;
        Ok((StateFile { path: path.to_owned(), place, file }, text))
    }

    /// From now on it is never written through that.
    pub(super) fn keep_off(&mut self, own: Device) {
        self.place.keep_off(own);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this very file lies there.
    pub(super) fn is_there(&mut self) -> bool {
        self.place.find().is_ok() && self.place.has_there(&self.file)
    }

    /// Has that stand in it, once it is on the disk.
    ///
    /// # Errors
    /// It cannot be written, or its name not be kept.
    pub(super) fn replace(&mut self, text: &str) -> Result<(), Unwritten> {
        self.replace_name(text).map_err(Unwritten::Whole)?;
        rustix::fs::fsync(&self.place.dir).map_err(|error| Unwritten::Name(error.into()))
    }

    fn replace_name(&mut self, text: &str) -> io::Result<()> {
        self.place.find()?;
        let Place { dir, name, beside, .. } = &self.place;
        self.place.refuse_others(&self.file)?;
        let is_first = self.place.has(beside, &self.file);
        let next = if is_first { self.file.try_clone()? } else { self.place.make_beside(NEXT)? };
        let placed = self.fill(&next, text).and_then(|()| Ok(renameat(dir, beside, dir, name)?));
        if let Err(error) = placed {
            if !is_first {
                // What is left of it says nothing to anybody.
                let _ = self.place.remove_beside();
            }
            return Err(error);
        }
        self.file = next;
        Ok(())
    }

    /// With what stands in it, and as the one has it whose place it takes.
    fn fill(&self, mut file: &File, text: &str) -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        let (is, was) = (file.metadata()?, self.file.metadata()?);
        if (is.uid(), is.gid()) != (was.uid(), was.gid()) {
            fchown(file, Some(was.uid()), Some(was.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(was.mode() & 0o7777))?;
        file.sync_all()
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        if self.place.has(&self.place.beside, &self.file) {
            // It was never written; an empty one is no harm.
            let _ = self.place.remove_beside();
        }
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
    fn it_is_not_there_until_something_stands_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let nowhere = Path::new("/none");
        fs::write(dir.path().join(".state.new"), "of a daemon that was killed").unwrap();
        let (mut state, text) = StateFile::take(&path, nowhere).unwrap();
        assert!(text.is_empty() && !path.exists() && !state.is_there());
        assert!(refusal(&path, nowhere).contains("another daemon runs with it"));
        drop(state);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left of it");
        let (mut state, _) = StateFile::take(&path, nowhere).unwrap();
        state.replace("one").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert!(refusal(&path, nowhere).contains("another daemon runs with it"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn it_follows_the_path_of_its_directory_and_no_link() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().canonicalize().unwrap().join("dir");
        let (path, nowhere) = (dir.join("state"), Path::new("/none"));
        fs::create_dir(&dir).unwrap();
        let (mut state, _) = StateFile::take(&path, nowhere).unwrap();
        let mut write = |text: &str| state.replace(text).map_err(|error| format!("{error:?}"));
        // Before the first is written, and after.
        for text in ["one", "two"] {
            fs::remove_dir_all(&dir).unwrap();
            assert!(write(text).unwrap_err().contains("No such file"));
            fs::create_dir(&dir).unwrap();
            write(text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        }
        let away = dir.with_file_name("away");
        fs::rename(&dir, &away).unwrap();
        std::os::unix::fs::symlink(&away, &dir).unwrap();
        assert!(write("three").unwrap_err().contains("has become a symbolic link"));
        assert_eq!(fs::read_to_string(away.join("state")).unwrap(), "two");
        fs::remove_file(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        // Another daemon that came first has it.
        let (other, _) = StateFile::take(&path, nowhere).unwrap();
        assert!(write("three").unwrap_err().contains("another daemon runs with it"));
        drop(other);
        write("three").unwrap();
        let (mut other, _) = StateFile::take(&away.join("state"), nowhere).unwrap();
        other.replace("its own").unwrap();
        fs::rename(away.join("state"), &path).unwrap();
        assert!(write("four").unwrap_err().contains("another daemon runs with it"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "its own");
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
