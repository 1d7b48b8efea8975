//! A file that a command writes when it ends: refused before it begins, and whole afterwards, or as it was. No locks.
//!
//! The text is written beside the file and renamed, so that a full disk leaves what was there. Where that cannot be
//! (no regular file, a directory that takes no file, a file of somebody else) it is written to the file itself.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

pub(super) struct Saved {
    /// As it was typed.
    path: PathBuf,
    file: File,
    /// Where it is, behind all links; none of what is no regular file, which takes the text as a pipe does.
    place: Option<PathBuf>,
    /// It was made here, and nothing stands in it yet.
    is_new: bool,
}

impl Saved {
    /// # Errors
    /// It cannot be written, or something stands in it already and `over` does not allow to lose it; one line.
    pub(super) fn open(path: &Path, over: bool) -> Result<Saved, String> {
        Saved::opened(path, over, 0)
    }

    /// The same of a file that may be written over, and of nothing else: it may keep who opens it waiting, or have
    /// the command's own output between.
    ///
    /// # Errors
    /// It cannot be written, or is no regular file; one line.
    pub(super) fn regular(path: &Path) -> Result<Saved, String> {
        let cannot =
            |why| Err(format!("cannot write {}: {why}; name another file", path.display()));
        if fs::metadata(path).is_ok_and(|at| !at.is_file()) {
            return cannot("it is no regular file");
        }
        match Saved::opened(path, true, libc::O_NONBLOCK)? {
            Saved { place: None, .. } => cannot("the command's own output goes there"),
            saved => Ok(saved),
        }
    }

    fn opened(path: &Path, over: bool, flags: i32) -> Result<Saved, String> {
        let cannot = |error| cannot(path, &error);
        let is_new = fs::metadata(path).is_err_and(|at| at.kind() == io::ErrorKind::NotFound);
        if !is_new && !over && !is_left_empty(path) {
            return Err(format!("{} is there already; --force writes over it", path.display()));
        }
        let own = stream(path);
        let is_own = own.is_some();
        let mut how = OpenOptions::new();
        let how = how.write(true).create(is_new).truncate(false).custom_flags(flags);
        let file = own.map_or_else(|| how.open(path), Ok).map_err(cannot)?;
        let is_regular = !is_own && file.metadata().map_err(cannot)?.is_file();
        let place = is_regular.then(|| fs::canonicalize(path)).transpose().map_err(cannot)?;
        let locked = place.as_ref().map(|_| flock(&file, FlockOperation::NonBlockingLockExclusive));
        if !over && locked == Some(Err(Errno::WOULDBLOCK)) {
            return Err(format!("{} is another command's; name another file", path.display()));
        }
        Ok(Saved { path: path.to_owned(), file, place, is_new })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// It cannot be written; one line.
    pub(super) fn write(&mut self, text: &str) -> Result<(), String> {
        let written = match &self.place {
            None => self.file.write_all(text.as_bytes()),
            Some(place) => match self.beside(place).and_then(|beside| beside.take(text)) {
                Err(error) if may_not(&error) => self.within(text),
                written => written,
            },
        };
        written.map_err(|error| cannot(&self.path, &error))?;
        self.is_new = false;
        Ok(())
    }

    /// A file that can take its place, of the same owner and mode.
    fn beside(&self, place: &Path) -> io::Result<Beside> {
        let was = self.file.metadata()?;
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = place.with_file_name(format!(".{name}.{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let beside = Beside { path, place: place.to_owned(), file, is_there: true };
        let is = beside.file.metadata()?;
        if (is.uid(), is.gid()) != (was.uid(), was.gid()) {
            std::os::unix::fs::fchown(&beside.file, Some(was.uid()), Some(was.gid()))?;
        }
        beside.file.set_permissions(Permissions::from_mode(was.mode() & 0o7777))?;
        Ok(beside)
    }

    /// Into the file itself.
    fn within(&self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).write_all(text.as_bytes())
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        if let Some(place) = self.place.as_ref().filter(|_| self.is_new) {
            // Nothing came of it, and that was said.
            let _ = fs::remove_file(place);
        }
    }
}

/// What is to take the place of a file, and goes if it does not.
struct Beside {
    path: PathBuf,
    place: PathBuf,
    file: File,
    is_there: bool,
}

impl Beside {
    fn take(mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        // Some filesystems tell only here that there is no room.
        self.file.sync_all()?;
        fs::rename(&self.path, &self.place)?;
        self.is_there = false;
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if self.is_there {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether both paths lead to one regular file.
pub(super) fn are_one(one: &Path, other: &Path) -> bool {
    let (one, other) = (fs::metadata(one), fs::metadata(other));
    matches!((one, other), (Ok(one), Ok(other)) if one.is_file() && is_same(&one, &other))
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// As a command leaves it that was killed: there is nothing to lose.
fn is_left_empty(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|at| at.is_file() && at.len() == 0)
}

/// Whether nothing may be made beside it, or not take its place: a file may be mounted by itself.
fn may_not(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | ResourceBusy)
}

/// The command's own output or errors, if the path leads there: what else it says stands before, and stays.
fn stream(path: &Path) -> Option<File> {
    let there = fs::metadata(path).ok()?;
    let (out, err) = (io::stdout(), io::stderr());
    let streams = [out.as_fd(), err.as_fd()].map(|fd| fd.try_clone_to_owned());
    let mut streams = streams.into_iter().flatten().map(File::from);
    streams.find(|stream| stream.metadata().is_ok_and(|at| is_same(&at, &there)))
}

fn cannot(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_do_not_write_one_file_and_nothing_stays_of_neither() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.toml");
        let first = Saved::open(&path, false).unwrap();
        let why = Saved::open(&path, false).err().unwrap();
        assert!(why.ends_with("disk.toml is another command's; name another file"), "{why}");
        drop(first);
        assert!(!path.exists());
        let mut one = Saved::open(&path, false).unwrap();
        one.write("mine").unwrap();
        drop(one);
        let why = Saved::open(&path, false).err().unwrap();
        assert!(why.ends_with("is there already; --force writes over it"), "{why}");
        drop(Saved::open(&path, true).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_that_leads_nowhere_gets_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        drop(Saved::open(&link, false).unwrap());
        assert!(link.is_symlink() && !file.exists());
        Saved::open(&link, false).unwrap().write("text").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
    }
}
