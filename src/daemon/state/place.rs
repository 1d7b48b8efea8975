//! Where a state lies: a name in a directory. No locks, but for that by which daemons tell their place from one of
//! another (flock(2)).
//!
//! Invariants: whoever has the lock on the file there, or on the first one that is to lie there, has the place. The
//! directory is the one that its path without links names at that moment. It is not on the mount of this run, and all
//! that is done is done in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, Statx, StatxFlags, flock, makedev, openat, statat,
    statx, unlinkat,
};
use rustix::io::Errno;

use crate::daemon::mountinfo::Device;
use crate::daemon::mountpoint::{self, DIRECTORY, Identity};
use crate::daemon::own_file;

/// Who may read one that is made where none is.
const FIRST: Mode = Mode::from_raw_mode(0o644);

/// Who may read the next until it is as the one has it whose place it takes.
pub(super) const NEXT: Mode = Mode::from_raw_mode(0o600);

/// Where it lies.
pub(super) struct Place {
    /// The path of its directory, without links.
    parent: PathBuf,
    /// That directory.
    pub(super) dir: OwnedFd,
    pub(super) name: OsString,
    /// What a next one is called until it takes its place.
    pub(super) beside: OsString,
    /// The filesystem of this run, once it is mounted: nothing here leads through it.
    own: Option<Device>,
}

impl Place {
    pub(super) fn at(parent: PathBuf, name: &OsStr) -> io::Result<Place> {
        let beside = [".", &name.to_string_lossy(), ".new"].concat().into();
        Ok(Place {
            dir: directory(&parent, None)?,
            parent,
            name: name.to_owned(),
            beside,
            own: None,
        })
    }

    /// From now on nothing is done through that.
    pub(super) fn keep_off(&mut self, own: Device) {
        self.own = Some(own);
    }

    /// Goes to the directory that is there now: the one before may have been moved away or removed.
    pub(super) fn find(&mut self) -> io::Result<()> {
        self.dir = directory(&self.parent, self.own)?;
        Ok(())
    }

    /// The file that lies there; or else one that is to, once something stands in it.
    pub(super) fn take(&self) -> io::Result<File> {
        loop {
            let Some(file) = own_file::open_there(&self.dir, &self.name)? else {
                let file = self.make_beside(FIRST)?;
                // Another daemon may have come and written between the two.
                let there = statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW);
                if there.err() == Some(Errno::NOENT) {
                    return Ok(file);
                }
                self.remove_beside()?;
                continue;
            };
            lock(&file)?;
            // Its owner may have put another in its place between the two calls.
            if self.has_there(&file) {
                // Rather now than at the first change.
                self.make_beside(NEXT).and_then(|_| self.remove_beside())?;
                return Ok(file);
            }
        }
    }

    /// A new and empty file beside it; one that a killed daemon has left goes.
    pub(super) fn make_beside(&self, mode: Mode) -> io::Result<File> {
        self.refuse_locked(&self.beside)?;
        self.remove_beside()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&self.dir, &self.beside, flags, mode)?.into();
        lock(&file)?;
        Ok(file)
    }

    pub(super) fn remove_beside(&self) -> io::Result<()> {
        match unlinkat(&self.dir, &self.beside, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Whether this file lies there by that name.
    pub(super) fn has(&self, name: &OsStr, file: &File) -> bool {
        let quiet = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT | AtFlags::SYMLINK_NOFOLLOW;
        let named = statx(&self.dir, name, quiet, StatxFlags::INO);
        let is = |there: Statx| {
            let device = makedev(there.stx_dev_major, there.stx_dev_minor);
            file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (device, there.stx_ino))
        };
        named.is_ok_and(is)
    }

    /// Whether it lies where it is to.
    pub(super) fn has_there(&self, file: &File) -> bool {
        self.has(&self.name, file)
    }

    /// Once this file is gone from there, another daemon may have come.
    pub(super) fn refuse_others(&self, file: &File) -> io::Result<()> {
        if self.has_there(file) { Ok(()) } else { self.refuse_locked(&self.name) }
    }

    fn refuse_locked(&self, name: &OsStr) -> io::Result<()> {
        let quiet = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |flags| openat(&self.dir, name, flags | quiet, Mode::empty());
        // What cannot be opened or locked is nobody's.
        let Ok(there) = open(OFlags::PATH) else { return Ok(()) };
        refuse_own(&there, self.own)?;
        let Ok(other) = open(OFlags::RDONLY | OFlags::NONBLOCK) else { return Ok(()) };
        match lock(&other.into()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// Each step opens what lies there by that name, and no link: whoever puts one on the way leads nobody elsewhere. And
/// none is asked of the filesystem of this run: it may hold whoever asks.
fn directory(parent: &Path, own: Option<Device>) -> io::Result<OwnedFd> {
    let mut dir = mountpoint::directory(Path::new("/"), OFlags::empty())?;
    for name in parent.components().skip(1) {
        dir = openat(&dir, name.as_os_str(), DIRECTORY | OFlags::NOFOLLOW, Mode::empty()).map_err(
            |error| match error {
                Errno::NOTDIR | Errno::LOOP => {
                    io::Error::other("a part of its path has become a symbolic link or a file")
                }
                _ => error.into(),
            },
        )?;
        refuse_own(&dir, own)?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(&dir, ".", flags, Mode::empty())?)
}

fn refuse_own(there: impl AsFd, own: Option<Device>) -> io::Result<()> {
    match own {
        Some(own) if Identity::of(there)?.device == own => {
            Err(io::Error::other("its path leads through this very mount now"))
        }
        _ => Ok(()),
    }
}

/// Has it, as long as it is open.
fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, "another daemon runs with it"))
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use rustix::fs::{RenameFlags, renameat_with};

    use super::*;

    /// A directory on the way, and a link that somebody puts in its place and takes away again.
    #[test]
    fn no_link_leads_to_another_directory_however_it_comes_and_goes() {
        let scratch = tempfile::tempdir().unwrap();
        let scratch = scratch.path().canonicalize().unwrap();
        let [way, link, elsewhere] = ["way", "link", "elsewhere"].map(|name| scratch.join(name));
        for above in [&way, &elsewhere] {
            fs::create_dir_all(above.join("dir")).unwrap();
        }
        symlink(&elsewhere, &link).unwrap();
        let own = fs::metadata(way.join("dir")).unwrap().ino();
        let ended = AtomicBool::new(false);
        let (found, refused): (Vec<_>, Vec<_>) = thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let top = rustix::fs::CWD;
                    renameat_with(top, &way, top, &link, RenameFlags::EXCHANGE).unwrap();
                }
            });
            let parent = way.join("dir");
            let opened: Vec<_> = (0..20_000)
                .map(|_| directory(&parent, None).and_then(|dir| File::from(dir).metadata()))
                .collect();
            ended.store(true, Ordering::Relaxed);
            opened.into_iter().partition(Result::is_ok)
        });
        assert!(!found.is_empty() && !refused.is_empty());
        assert!(found.iter().flatten().all(|dir| dir.ino() == own));
    }

    /// What is seen there and what is taken is of one directory: else it is looked at for ever.
    #[test]
    fn a_directory_that_is_swapped_before_its_file_is_taken_keeps_nobody() {
        let scratch = tempfile::tempdir().unwrap();
        let [dir, away] = ["dir", "away"].map(|name| scratch.path().join(name));
        fs::create_dir(&dir).unwrap();
        let place = Place::at(dir.canonicalize().unwrap(), OsStr::new("state")).unwrap();
        fs::rename(&dir, &away).unwrap();
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("state"), "of another").unwrap();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(place.take().map(|file| place.has(&place.beside, &file))));
        let taken = told.recv_timeout(Duration::from_secs(20)).expect("it is taken");
        assert!(taken.unwrap() && away.join(".state.new").exists());
    }
}
