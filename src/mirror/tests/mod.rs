//! The mirror on real directories, without FUSE. Most of these need root, as the daemon of a shared
//! mount does, and a backing with extended attributes and file flags (ext4, tmpfs of Linux 6.6).

mod attr;
mod data;
mod dir;
mod names;
mod reach;
mod walk;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use super::*;

pub(super) const ROOT_USER: Caller = Caller { uid: 0, gid: 0, tid: 0, process: None, umask: 0 };
pub(super) const USER: Caller =
    Caller { uid: 1234, gid: 4321, tid: 0, process: None, umask: 0o022 };

/// A temporary directory and the mirror of it.
pub(super) struct Disk {
    pub(super) mirror: Mirror<()>,
    pub(super) backing: PathBuf,
    _dir: tempfile::TempDir,
}

pub(super) fn os(name: &str) -> &OsStr {
    OsStr::new(name)
}

#[track_caller]
pub(super) fn code<T>(result: io::Result<T>) -> i32 {
    result.map(drop).unwrap_err().raw_os_error().expect("errors are those of the system")
}

impl Disk {
    pub(super) fn new() -> Disk {
        Self::with_cache(16384)
    }

    pub(super) fn with_cache(room: usize) -> Disk {
        assert!(rustix::process::geteuid().is_root(), "this test must run as root");
        let dir = tempfile::tempdir().unwrap();
        let backing = dir.path().join("backing");
        fs::create_dir(&backing).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&backing, flags, Mode::empty()).unwrap();
        let mirror = Mirror::with_cache(root, &backing, room).unwrap();
        Disk { mirror, backing, _dir: dir }
    }

    pub(super) fn touch(&self, path: &str) {
        fs::write(self.backing.join(path), b"").unwrap();
    }

    /// The node id at the end of a path, each part of it looked up.
    #[track_caller]
    pub(super) fn walk(&self, path: &str) -> Ino {
        path.split('/').fold(ROOT, |at, name| self.mirror.lookup(at, os(name)).unwrap().ino)
    }

    pub(super) fn make_file(&self, path: &str) -> Ino {
        self.touch(path);
        self.walk(path)
    }

    pub(super) fn make_dir(&self, path: &str) -> Ino {
        fs::create_dir(self.backing.join(path)).unwrap();
        self.walk(path)
    }

    /// The path of an inode below the base.
    #[track_caller]
    pub(super) fn path(&self, ino: Ino) -> String {
        let mut path = Vec::new();
        self.mirror.path(&self.mirror.inode(ino).unwrap(), &mut path);
        let base = self.backing.as_os_str().as_bytes();
        String::from_utf8_lossy(path.strip_prefix(base).expect("paths begin with the base")).into()
    }

    /// The paths of all its names below the base, sorted.
    #[track_caller]
    pub(super) fn paths(&self, ino: Ino) -> Vec<String> {
        let base = self.backing.as_os_str().as_bytes();
        let mut paths = Vec::new();
        self.mirror.paths(&self.mirror.inode(ino).unwrap(), &mut |path| {
            let path = path.strip_prefix(base).expect("paths begin with the base");
            paths.push(String::from_utf8_lossy(path).into_owned());
        });
        paths.sort_unstable();
        paths
    }

    pub(super) fn epoch(&self, ino: Ino) -> u64 {
        self.mirror.epoch(&self.mirror.inode(ino).unwrap())
    }

    pub(super) fn lookups(&self, ino: Ino) -> u64 {
        self.mirror.inode(ino).map_or(0, |inode| inode.lookups())
    }

    /// Closes every descriptor that may be closed.
    pub(super) fn evict(&self) {
        self.mirror.ring.clear();
    }

    #[track_caller]
    pub(super) fn contents(&self, fh: Fh) -> Vec<u8> {
        let mut buf = Buffer::new();
        self.mirror.read(fh, 0, 1 << 20, &mut buf).unwrap();
        buf.to_vec()
    }
}
