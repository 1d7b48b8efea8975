//! A directory of the probe's own below the one that is probed, with all that the probe makes; gone when the probe
//! ends, also by an error or a signal. No locks.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::cli::output;

pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn below(dir: &Path) -> io::Result<Scratch> {
        let path = dir.join(format!(".slowfs-record-{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path).map(|()| Scratch(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            output::left_behind(&self.0, &error);
        }
    }
}
