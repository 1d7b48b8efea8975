//! Filesystems of a test's own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stdout_of;

/// An ext4 in a file beside its directory, mounted until it is dropped.
pub struct Disk(PathBuf);

impl Disk {
    /// Makes it at `at`, an existing directory, with these options of mkfs.ext4.
    pub fn mount(at: &Path, options: &[&str]) -> Disk {
        let image = at.with_extension("image");
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        stdout_of(Command::new("mkfs.ext4").arg("-q").args(options).arg(&image));
        stdout_of(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(at));
        Disk(at.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
