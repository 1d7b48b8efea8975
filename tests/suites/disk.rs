//! Filesystems to mirror, each made for one test and gone with it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, unmount};
use tempfile::TempDir;

use crate::common::stdout_of;

/// What an ext4 may grow to, in bytes. What is not written takes no memory.
const SIZE: u64 = 2 << 30;

/// A filesystem of its own, in memory: whether a mirror is right does not depend on a device's pace.
pub(crate) struct Disk {
    scratch: TempDir,
    /// What is mounted, the last on top.
    mounted: Vec<PathBuf>,
}

impl Disk {
    pub(crate) fn tmpfs() -> Disk {
        let scratch = tempfile::Builder::new().prefix("slowfs-").tempdir().unwrap();
        let mut disk = Disk { scratch, mounted: Vec::new() };
        let place = disk.scratch.path().to_owned();
        rustix::mount::mount("none", &place, "tmpfs", MountFlags::empty(), None).unwrap();
        disk.mounted.push(place);
        disk.open_to_all();
        disk
    }

    /// An image on a tmpfs, through a loop device that goes with its mount.
    pub(crate) fn ext4() -> Disk {
        let mut disk = Disk::tmpfs();
        let image = disk.path().join("image");
        File::create_new(&image).unwrap().set_len(SIZE).unwrap();
        let place = disk.path().join("ext4");
        fs::create_dir(&place).unwrap();
        stdout_of(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        stdout_of(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).args([&image, &place]));
        disk.mounted.push(place);
        disk.open_to_all();
        disk
    }

    /// The root of the filesystem.
    pub(crate) fn path(&self) -> &Path {
        self.mounted.last().unwrap()
    }

    /// A directory on it that every user may enter. Its name is short: that of a socket has to fit 108
    /// bytes.
    pub(crate) fn directory(&self) -> TempDir {
        let dir = tempfile::Builder::new().prefix("").tempdir_in(self.path()).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        dir
    }

    fn open_to_all(&self) {
        fs::set_permissions(self.path(), Permissions::from_mode(0o755)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for place in self.mounted.iter().rev() {
            if let Err(error) = unmount(place, UnmountFlags::empty()) {
                eprintln!("{} is detached: {error}", place.display());
                let _ = unmount(place, UnmountFlags::DETACH);
            }
        }
    }
}
