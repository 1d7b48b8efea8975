//! The mounts that are traced, and whether a file lies on one of them: what is written there would be
//! traced again, without end. Neither a mount nor a file on it is asked, as they may hold the answer back.
//! No locks.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

use crate::daemon::mark;
use crate::daemon::mountinfo::{MountLine, MountTable, is_ours};
use crate::sys::{process, signals};

/// As many symbolic links as the kernel follows on one way.
const LINKS: usize = 40;

/// A mount as its daemon tells of it.
pub(super) struct Traced {
    /// Where the daemon has it, which may be another machine's path.
    pub(super) mountpoint: PathBuf,
    /// The daemon.
    pub(super) pid: i32,
    /// Whether it was reached on this machine.
    pub(super) is_here: bool,
}

impl Traced {
    /// Whether it is this one; `servers` are the processes that serve what a line tells.
    fn is_at(&self, line: &MountLine, servers: impl Fn(&MountLine) -> Vec<i32>) -> bool {
        let by_here = || self.is_here && is_ours(&line.kind);
        line.mountpoint == self.mountpoint && (by_here() || servers(line).contains(&self.pid))
    }
}

/// The places of this machine's mount table where traced mounts are: the number of each, and the
/// mountpoint that its daemon tells.
pub(super) struct Places<'a>(Vec<(u64, &'a Path)>);

impl<'a> Places<'a> {
    pub(super) fn of(traced: impl Iterator<Item = &'a Traced>) -> Places<'a> {
        let lines = MountTable::open().and_then(|table| table.mounts()).unwrap_or_default();
        let places = traced.flat_map(|traced| {
            let own = lines.iter().filter(|line| traced.is_at(line, servers));
            let devices: Vec<_> = own.map(|line| line.device).collect();
            // It may be bound to other places as well.
            let bound = lines.iter().filter(move |line| devices.contains(&line.device));
            bound.map(|line| (line.number, traced.mountpoint.as_path()))
        });
        Places(places.collect())
    }

    /// The traced mount that an open file lies on.
    pub(super) fn under(&self, file: BorrowedFd<'_>) -> Option<&'a Path> {
        let number = process::mount_of(&format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
        self.0.iter().find(|(own, _)| *own == u64::from(number)).map(|(_, mountpoint)| *mountpoint)
    }

    /// The traced mount on which a path ends or, since only that mount could tell how it goes on, would
    /// look up a name. None also for a path that leads nowhere: to open it says why.
    pub(super) fn under_path(&self, path: &Path) -> Option<&'a Path> {
        let mut at = look(CWD, OsStr::new("."))?;
        let mut left = steps(path);
        let mut links = 0;
        while let Some(step) = left.pop() {
            let is_name = !["/", ".", ".."].iter().any(|other| step == *other);
            if let Some(mountpoint) = self.under(at.as_fd()).filter(|_| is_name) {
                return Some(mountpoint);
            }
            let next = look(at.as_fd(), &step)?;
            match readlinkat(&next, "", Vec::new()) {
                Ok(_) if links == LINKS => return None,
                Ok(target) => {
                    links += 1;
                    left.extend(steps(Path::new(&OsString::from_vec(target.into_bytes()))));
                }
                Err(_) => at = next,
            }
        }
        self.under(at.as_fd())
    }
}

/// What a path is made of, the first last.
fn steps(path: &Path) -> Vec<OsString> {
    path.iter().rev().map(OsStr::to_owned).collect()
}

/// What is there; of a symbolic link the link. A mount is entered without a word to it.
fn look(at: BorrowedFd<'_>, step: &OsStr) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, step, flags, Mode::empty()).ok()
}

/// The processes that serve what is mounted there. A thread that looks may stay behind, and takes no signals.
fn servers(line: &MountLine) -> Vec<i32> {
    let found = signals::masked(|| mark::servers_of(line)).unwrap_or_default();
    found.iter().map(|server| server.pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_what_else_is_mounted_at_such_a_path() {
        let line = |kind: &str| MountLine {
            number: 97,
            parent: 28,
            device: (0, 52),
            mountpoint: "/data".into(),
            options: String::new(),
            kind: kind.to_owned(),
            source: "/backing".into(),
            owner: 0,
        };
        let is_at = |mountpoint: &str, is_here, kind| {
            let traced = Traced { mountpoint: mountpoint.into(), pid: 7, is_here };
            [vec![], vec![8], vec![7, 8]]
                .map(|servers| traced.is_at(&line(kind), |_| servers.clone()))
        };
        assert_eq!(is_at("/data", true, "fuse.slowfs"), [true; 3]);
        assert_eq!(is_at("/data", false, "fuse.slowfs"), [false, false, true], "another machine's");
        assert_eq!(is_at("/data", true, "ext4"), [false, false, true]);
        assert_eq!(is_at("/data", false, "ext4"), [false, false, true], "its type may be renamed");
        assert_eq!(is_at("/other", true, "fuse.slowfs"), [false; 3]);
    }

    #[test]
    fn a_path_is_followed_as_the_kernel_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir(root.join("sub")).unwrap();
        for (link, target) in [("round", "round"), ("up", "sub/../sub"), ("far", "/proc")] {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        let proc = MountTable::open().unwrap().at(Path::new("/proc")).unwrap().unwrap();
        let places = Places(vec![(proc.number, Path::new("/traced"))]);
        for (path, is_under) in [
            ("far", true),
            ("far/version", true),
            ("up/../far/none", true),
            ("/proc/none/further", true),
            ("/proc/../none", false),
            ("up/new", false),
            ("sub/none/further", false),
            ("round", false),
        ] {
            let found = places.under_path(&root.join(path));
            assert_eq!(found, is_under.then_some(Path::new("/traced")), "{path}");
        }
        assert_eq!(
            places.under(look(CWD, OsStr::new("/proc")).unwrap().as_fd()),
            Some(Path::new("/traced"))
        );
    }
}
