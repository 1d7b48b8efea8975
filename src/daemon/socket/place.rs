//! The directories of control sockets: root's, and each user's own.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, StatxFlags, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::super::strangers;
use super::name::{LONGEST_PATH, MOST, name_of};

/// Root's sockets. Everybody sees which mounts there are, and only root may connect.
const OF_ROOT: &str = "/run/slowfs";

/// The file in each directory that is locked while names change there.
const LOCK: &str = ".lock";

/// How long to wait for another who holds the lock: it is held for memory work only.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bits of a mode by which others than the owner could put something into a directory.
const WRITABLE: u32 = 0o022;

/// A directory of control sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    owner: u32,
}

impl Place {
    /// Where daemons of the calling user put theirs.
    pub(super) fn own() -> Place {
        let owner = geteuid().as_raw();
        match owner {
            0 => Place { path: OF_ROOT.into(), owner },
            _ => Place::of_session(owner).unwrap_or_else(|| Place::without_session(owner)),
        }
    }

    /// Where the sockets of that user's mounts may lie.
    pub(super) fn of(owner: u32) -> Vec<Place> {
        if owner == 0 {
            return vec![Place { path: OF_ROOT.into(), owner }];
        }
        let usual = Place { path: format!("/run/user/{owner}/slowfs").into(), owner };
        let mut places = vec![usual, Place::without_session(owner)];
        let own = Place::own();
        if own.owner == owner && !places.contains(&own) {
            places.insert(0, own);
        }
        places
    }

    /// Where the sockets may lie that the calling user may open.
    pub(super) fn all() -> Vec<Place> {
        let user = geteuid().as_raw();
        let mut places = Place::of(user);
        if user != 0 {
            places.extend(Place::of(0));
        }
        places
    }

    /// The one whose directory that is.
    pub(super) fn at(dir: &Path) -> Option<Place> {
        // The only number in such a path is its owner's.
        let mut words = dir.to_str()?.split(['/', '-']);
        let owner = words.find_map(|word| word.parse().ok()).unwrap_or(0);
        let own = Place::of(geteuid().as_raw());
        Place::of(owner).into_iter().chain(own).find(|place| place.path == dir)
    }

    /// In the user's own runtime directory, if there is one that is the user's and has a path that is not
    /// too long for a socket's.
    fn of_session(owner: u32) -> Option<Place> {
        let session = PathBuf::from(env::var("XDG_RUNTIME_DIR").ok()?);
        let path = session.join("slowfs");
        let fits = session.is_absolute() && path.as_os_str().len() + 1 + MOST <= LONGEST_PATH;
        (fits && checked(&session, owner).is_ok()).then_some(Place { path, owner })
    }

    fn without_session(owner: u32) -> Place {
        Place { path: format!("/tmp/slowfs-{owner}").into(), owner }
    }

    /// Whether it is the calling user's.
    pub(super) fn is_own(&self) -> bool {
        self.owner == geteuid().as_raw()
    }

    pub(super) fn owner(&self) -> u32 {
        self.owner
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the socket of that mountpoint, absolute and resolved.
    pub(super) fn socket_of(&self, mountpoint: &Path) -> PathBuf {
        self.path.join(name_of(mountpoint, &self.path))
    }

    /// Opens the directory, which must be its owner's alone to write to.
    ///
    /// # Errors
    /// There is none, it may not be opened, or it is not what it must be: why.
    pub(super) fn open(&self) -> io::Result<OwnedFd> {
        checked(&self.path, self.owner)
    }

    /// Opens the directory of the calling user, and makes it first if it is missing.
    ///
    /// # Errors
    /// It cannot be made, or as [`Place::open`].
    pub(super) fn make(&self) -> io::Result<OwnedFd> {
        let mode = if self.owner == 0 { 0o755 } else { 0o700 };
        match (make_directory(&self.path, mode), self.path.parent()) {
            // A container may have nothing but the program: no /run either.
            (Err(Errno::NOENT), Some(above)) if self.owner == 0 => {
                make_directory(above, mode)?;
                make_directory(&self.path, mode)?;
            }
            (made, _) => made?,
        }
        let dir = opened(&self.path, self.owner)?;
        // Whatever the umask has left of it, or somebody has made of it since.
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))?;
        Ok(dir)
    }
}

/// Makes a directory, unless something is there.
fn make_directory(path: &Path, mode: u32) -> rustix::io::Result<()> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a directory that must belong to that user.
fn opened(path: &Path, owner: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let is_trusted = [0, geteuid().as_raw()].contains(&owner);
    let dir = if is_trusted {
        rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)
    } else {
        // Its owner may have mounted there what never answers.
        strangers::opened(path)
    };
    let dir = dir.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP | Errno::NOTDIR) => io::Error::other("it is no directory"),
        _ => error,
    })?;
    let found = rustix::fs::fstat(&dir)?.st_uid;
    if found != owner {
        return Err(io::Error::other(format!("it belongs to user {found}, not to {owner}")));
    }
    Ok(dir)
}

/// The same, which nobody else may write to.
fn checked(path: &Path, owner: u32) -> io::Result<OwnedFd> {
    let dir = opened(path, owner)?;
    if rustix::fs::fstat(&dir)?.st_mode & WRITABLE != 0 {
        return Err(io::Error::other("others may write to it"));
    }
    Ok(dir)
}

/// Holds the lock of a directory until it is dropped.
pub(super) struct Locked(#[allow(dead_code, reason = "closing it unlocks")] File);

/// Locks a directory that was opened here.
///
/// # Errors
/// It is another user's, or somebody holds it for too long.
pub(super) fn lock(dir: &OwnedFd) -> io::Result<Locked> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(2));
            }
            other => return Ok(other.map(|()| Locked(file.into()))?),
        }
    }
}

/// What tells a socket's file from another of the same name; None if there is no socket of that name.
pub(super) fn identity(dir: &OwnedFd, name: &str) -> Option<(u64, u64)> {
    let found = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let is_socket = FileType::from_raw_mode(found.st_mode) == FileType::Socket;
    is_socket.then_some((found.st_dev, found.st_ino))
}

/// The socket of that name itself, opened with O_PATH: not one that a symbolic link leads to, nor one that
/// takes its name later. A filesystem that is mounted there is not asked.
pub(super) fn socket(dir: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let quietly = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = rustix::fs::statx(&file, "", quietly, StatxFlags::TYPE)?;
    match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::Socket => Ok(file),
        _ => Err(Errno::NOTSOCK),
    }
}

/// Takes a name away from a socket.
pub(super) fn remove(dir: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    rustix::fs::unlinkat(dir, name, AtFlags::empty())
}

/// Reads the names of a directory that was opened here.
pub(super) fn names(dir: &OwnedFd) -> io::Result<Vec<String>> {
    let entries = rustix::fs::Dir::read_from(dir)?.flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| Some(entry.file_name().to_str().ok()?.to_owned())).collect();
    names.sort_unstable();
    Ok(names)
}

/// Whether the path names nothing at all.
pub(super) fn is_free(dir: &OwnedFd, name: &str) -> bool {
    let found = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    matches!(found, Err(Errno::NOENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_of_root_is_made_where_not_even_run_is_there() {
        let scratch = tempfile::tempdir().unwrap();
        let owner = geteuid().as_raw();
        let place = Place { path: scratch.path().join("run/slowfs"), owner };
        assert_eq!(place.make().is_ok(), owner == 0);
        let too_deep = Place { path: scratch.path().join("none/run/slowfs"), owner };
        assert_eq!(too_deep.make().unwrap_err().raw_os_error(), Some(Errno::NOENT.raw_os_error()));
    }
}
