//! Directories that are reached without a word to filesystems of other users: who serves a FUSE filesystem
//! need never answer, and whoever asks then stays. No locks.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;

use super::mountinfo::{MountLine, MountTable};
use super::mountpoint::{DIRECTORY, Identity, directory};

/// Opens a directory (absolute and resolved) with O_PATH. No name is looked up on a FUSE filesystem that is
/// neither root's nor the calling user's, whatever is mounted meanwhile; what lies at the end may be one.
///
/// # Errors
/// There is no such directory, a symbolic link is on the way, or such a filesystem.
pub(super) fn reached(path: &Path) -> io::Result<OwnedFd> {
    let mut dir = directory(Path::new("/"), OFlags::empty())?;
    for name in path.components().filter(|part| !matches!(part, Component::RootDir)) {
        dir = step(&dir, name.as_os_str())?;
    }
    Ok(dir)
}

/// The same, and opened for reading: it lies on no such filesystem either.
pub(super) fn opened(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = reached(path)?;
    refuse(&dir)?;
    Ok(rustix::fs::openat(&dir, ".", flags, Mode::empty())?)
}

/// A directory there, on whatever is mounted on it: that is not asked.
fn step(dir: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    refuse(dir)?;
    Ok(rustix::fs::openat(dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Refuses a directory on a FUSE filesystem of another user.
fn refuse(dir: impl AsFd) -> io::Result<()> {
    let device = Identity::of(dir)?.device;
    let lines = MountTable::open()?.mounts()?;
    let of_stranger = |line: &MountLine| line.device == device && is_strangers(line);
    // What is in no table was detached meanwhile, or is where this process has its root.
    let is_known = lines.iter().any(|line| line.device == device)
        || Identity::of(directory(Path::new("/"), OFlags::empty())?)?.device == device;
    match lines.iter().find(|line| of_stranger(line)) {
        None if is_known => Ok(()),
        None => Err(io::Error::other("it lies on a filesystem that was detached")),
        Some(line) => Err(io::Error::other(format!(
            "it lies on a filesystem of user {}, which need not answer",
            line.owner
        ))),
    }
}

fn is_strangers(line: &MountLine) -> bool {
    let is_fuse =
        ["fuse", "fuseblk"].contains(&line.kind.as_str()) || line.kind.starts_with("fuse.");
    is_fuse && line.owner != 0 && line.owner != geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nobodys_is_opened_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir(dir.join("a")).unwrap();
        std::os::unix::fs::symlink("a", dir.join("link")).unwrap();
        assert_eq!(Identity::of(opened(&dir.join("a")).unwrap()).unwrap().device, {
            Identity::of(directory(&dir, OFlags::empty()).unwrap()).unwrap().device
        });
        assert!(opened(Path::new("/")).is_ok() && reached(Path::new("/proc")).is_ok());
        for none in ["none", "link", "link/none"] {
            assert!(reached(&dir.join(none)).is_err(), "{none}");
        }
    }
}
