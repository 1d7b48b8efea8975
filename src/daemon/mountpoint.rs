//! A directory as a mountpoint, and which mount it is on.
//!
//! Invariant: nothing here asks a mount that may be dead or hold everything: directories are opened
//! with O_PATH, and what the kernel knows is enough.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::mountinfo::Device;

/// What tells a mount from every other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Given to another filesystem as soon as this one is gone.
    pub(super) device: Device,
    /// Never given to another mount; None before Linux 6.8 (statx(2), STATX_MNT_ID_UNIQUE).
    pub(super) id: Option<u64>,
}

impl Identity {
    /// Of the mount that a descriptor is on. Asks nobody who may not answer.
    ///
    /// # Errors
    /// What statx(2) reports.
    pub(super) fn of(dir: impl AsFd) -> io::Result<Identity> {
        let unique = StatxFlags::from_bits_retain(0x4000);
        // Who may not enter a FUSE mount may ask for nothing more than its number.
        let seen = statx(&dir, unique).or_else(|_| statx(&dir, StatxFlags::empty()))?;
        let id = (seen.stx_mask & unique.bits() != 0).then_some(seen.stx_mnt_id);
        Ok(Identity { device: (seen.stx_dev_major, seen.stx_dev_minor), id })
    }
}

/// The number of the mount that a descriptor is on, as mountinfo has it; None before Linux 5.8.
pub(super) fn number_of(dir: impl AsFd) -> Option<u64> {
    let seen = statx(dir, StatxFlags::MNT_ID).ok()?;
    (seen.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(seen.stx_mnt_id)
}

fn statx(dir: impl AsFd, wanted: StatxFlags) -> rustix::io::Result<rustix::fs::Statx> {
    let what_is_known = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    rustix::fs::statx(dir, c"", what_is_known, wanted)
}

/// A directory to mount on. The descriptor is what counts; the path is for people, and for
/// fusermount3.
#[derive(Debug)]
pub(super) struct Mountpoint {
    /// Opened with O_PATH: on top of what is mounted there.
    pub(super) dir: OwnedFd,
    /// Absolute and resolved.
    pub(super) path: PathBuf,
}

impl Mountpoint {
    /// The directory that the path leads to. Symbolic links are followed, but not where everybody may
    /// put one: neither the last one, nor one of somebody else. Asks no mount that lies there.
    ///
    /// # Errors
    /// There is no such directory, or it may not be reached.
    pub(super) fn open(typed: &Path) -> io::Result<Mountpoint> {
        let absolute = std::path::absolute(typed)?;
        let mut dir = directory(Path::new("/"), OFlags::empty())?;
        let mut names = absolute.components().skip(1).peekable();
        while let Some(name) = names.next() {
            dir = open_below(&dir, name.as_os_str(), names.peek().is_none())?;
        }
        let path = rustix::fs::readlink(format!("/proc/self/fd/{}", dir.as_raw_fd()), Vec::new())?;
        Ok(Mountpoint { dir, path: PathBuf::from(OsString::from_vec(path.into_bytes())) })
    }
}

/// How a directory is opened of which nothing is asked.
pub(super) const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a directory with O_PATH: what is mounted there is not asked.
pub(super) fn directory(path: &Path, more: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, DIRECTORY | more, Mode::empty())
}

fn open_below(parent: &OwnedFd, name: &OsStr, last: bool) -> io::Result<OwnedFd> {
    let open = |more| rustix::fs::openat(parent, name, DIRECTORY | more, Mode::empty());
    match open(OFlags::NOFOLLOW) {
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let found = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let above = rustix::fs::fstat(parent)?;
            let is_link = FileType::from_raw_mode(found.st_mode) == FileType::Symlink;
            let trusted = [above.st_uid, rustix::process::geteuid().as_raw()];
            let somebody_elses = last || !trusted.contains(&found.st_uid);
            if is_link && above.st_mode & 0o002 != 0 && somebody_elses {
                return Err(io::Error::other(format!(
                    "{} is a symbolic link where everybody may put one; name the directory itself",
                    name.display()
                )));
            }
            Ok(open(OFlags::empty())?)
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn links_are_followed_but_where_everybody_may_put_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let [target, link] = ["target", "link"].map(|name| dir.path().join(name));
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        assert_eq!(Mountpoint::open(&link).unwrap().path, target.canonicalize().unwrap());
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o1777)).unwrap();
        assert!(Mountpoint::open(&link).unwrap_err().to_string().contains("symbolic link"));
        assert_eq!(Mountpoint::open(&target).unwrap().path, target.canonicalize().unwrap());
        // On the way one's own is followed, and nobody else's.
        fs::create_dir(target.join("below")).unwrap();
        let below = target.canonicalize().unwrap().join("below");
        assert_eq!(Mountpoint::open(&link.join("below/../below")).unwrap().path, below);
        std::os::unix::fs::lchown(&link, Some(65533), None).unwrap();
        assert!(
            Mountpoint::open(&link.join("below"))
                .unwrap_err()
                .to_string()
                .contains("symbolic link")
        );
        assert_eq!(Mountpoint::open(Path::new("/")).unwrap().path, Path::new("/"));
    }
}
