//! What a power cut would take back, and the directories that a disk could hold after it.
//!
//! The backing always has the newest. The log (`log`) remembers what was done to it and is not durable:
//! `track` takes it in as requests run, and `synced` as syncs do, `file` is its part for one file,
//! `durable` takes out what syncs make durable, `bound` what counts as written back, and `lost` is
//! what no sync stores any more. `choice` says which of the states that a disk could hold an image has,
//! `shape` what is otherwise there; `image` builds it, `stall` tells before how long that takes, `back` writes it
//! over the backing, and `told` tells what is pending and what an image lacks. For who goes back, `note` notes
//! moments before what requests do (`act`), and `past` keeps what is durable. `power` lets requests
//! in while there is any. Lock rule: see `track`.

mod act;
mod back;
mod bound;
mod choice;
mod durable;
mod file;
mod image;
mod log;
mod lost;
mod note;
mod past;
mod power;
mod shape;
mod stall;
mod synced;
#[cfg(test)]
mod tests;
mod told;
mod track;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

pub(crate) use act::Act;
pub(crate) use back::{NotTaken, TakenBack};
pub(crate) use choice::Choice;
pub(crate) use durable::SyncOf;
pub(crate) use note::{NoWayBack, Noting};
pub(crate) use past::{Gap, Moment};
pub(crate) use power::{Inside, NoCut, Outside, Power};
pub(crate) use told::{Manifest, Pending};
pub(crate) use track::About;

use choice::Chosen;
use image::Builder;
use log::Log;
use stall::Stall;

use crate::kept::Keep;
use crate::mirror::{Ino, Mirror};
use crate::sys::text_of;

/// A truncation or a hole of more than this counts as durable at once, with all that came before it.
const BULK: u64 = 64 << 20;

/// How many locks the inodes share.
const STRIPES: usize = 1024;

/// How long a cut waits for what is under way.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// So many files that others have changed are told of.
const MOST_FOREIGN: usize = 300;

/// What syncs promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// As ext4, xfs and btrfs do: a new file's sync makes its names durable, and changes keep their order.
    #[default]
    Linux,
    /// As POSIX has it: names are durable by the sync of their directory, and have no order.
    Posix,
}

/// How much is remembered, and where images go.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) order: Order,
    /// Bytes.
    pub(crate) most: u64,
    /// What is older counts as written back.
    pub(crate) age: Duration,
    /// The directory of images.
    pub(crate) images: Option<OwnedFd>,
}

/// What is not durable of one mount.
pub(crate) struct Unsynced {
    /// Whether there is power.
    pub(crate) power: Power,
    /// Shared by what changes the tree, while it runs.
    gate: RwLock<()>,
    /// Changes of names come one after the other.
    names: Mutex<()>,
    inodes: Vec<Mutex<()>>,
    log: Mutex<Log>,
    keep: Arc<Keep>,
    limits: Limits,
    foreign: Mutex<Vec<PathBuf>>,
    told_of_bulk: AtomicBool,
    /// A sync has failed.
    has_failed: AtomicBool,
    /// The moments that can be gone back to.
    noting: Option<Noting>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoImage {
    #[error("this mount has no directory for images: mount with --images DIR")]
    Nowhere,
    #[error(
        "{0} is no name for an image: give one of at most 200 bytes, without a slash, that does not begin with a dot"
    )]
    Name(String),
    #[error("{0} is there already: name another, or remove it")]
    There(String),
    #[error(
        "the image would be of {0}, and what changes something would wait so long: allow that by --max-stall, or \
         put --images where it can share what it does not change, on the same btrfs or xfs"
    )]
    Stall(Stall),
    #[error(
        "requests that change something have not ended within {PATIENCE:?}: clear what holds the backing up, and \
         cut again"
    )]
    Busy,
    #[error("moment {0}: {1}")]
    Moment(usize, NoWayBack),
    #[error("cannot build the image {0}: {1}; nothing of it is left")]
    Failed(String, String),
}

impl Unsynced {
    pub(crate) fn new(keep: Arc<Keep>, limits: Limits) -> Unsynced {
        Unsynced {
            power: Power::default(),
            gate: RwLock::new(()),
            names: Mutex::new(()),
            inodes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            log: Mutex::new(Log::new(limits.order)),
            keep,
            limits,
            foreign: Mutex::default(),
            told_of_bulk: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            noting: None,
        }
    }

    /// Lets go of what is too old or too much, and of the inodes that are needed no more.
    fn settle<N: Default>(&self, tree: &Mirror<N>, mut log: MutexGuard<'_, Log>) {
        self.bound(&mut log);
        let released = log.take_released();
        drop(log);
        released.into_iter().for_each(|ino| tree.forget(ino, 1));
    }

    fn bound(&self, log: &mut Log) {
        log.bound(Instant::now().checked_sub(self.limits.age), self.limits.most);
    }

    /// All that is there now is durable; how many entries of the log that concerned.
    pub(crate) fn checkpoint<N: Default>(&self, tree: &Mirror<N>) -> u64 {
        let mut log = self.log.lock();
        let before = log.len();
        log.checkpoint();
        let durable = before.saturating_sub(log.len());
        self.settle(tree, log);
        durable as u64
    }

    /// The directory of images, where one of that name can be made in it.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn images_for(&self, name: &str) -> Result<&OwnedFd, NoImage> {
        let images = self.limits.images.as_ref().ok_or(NoImage::Nowhere)?;
        let is_name = !name.is_empty() && name.len() <= 200 && !name.starts_with('.');
        if !is_name || name.bytes().any(|byte| matches!(byte, b'/' | 0) || byte.is_ascii_control())
        {
            return Err(NoImage::Name(format!("{name:?}")));
        }
        let is_there = |name: &str| {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::statat(images, name, flags).is_ok()
        };
        if is_there(name) || is_there(&manifest_of(name)) {
            return Err(NoImage::There(name.to_owned()));
        }
        Ok(images)
    }

    /// Builds the directory of that name below the one for images: what a disk could hold if the power
    /// went now, or at one of the moments, the first of which is 1. The mount goes on, but what changes something
    /// waits: so long at most, as far as that can be told before.
    ///
    /// # Errors
    /// There is none; why.
    pub(crate) fn cut<N: Default>(
        &self,
        tree: &Mirror<N>,
        moment: Option<usize>,
        (name, most): (&str, Option<Duration>),
        choice: Choice,
    ) -> Result<Manifest, NoImage> {
        let images = self.images_for(name)?;
        let failed = |e: io::Error| NoImage::Failed(name.to_owned(), text_of(&e));
        if let Some(most) = most {
            let stall = Stall::of(tree, images).map_err(failed)?;
            if stall.is_longer_than(most) {
                return Err(NoImage::Stall(stall));
            }
        }
        let _alone = self.gate.try_write_for(PATIENCE).ok_or(NoImage::Busy)?;
        self.find_foreign(tree);
        let mut log = self.log.lock();
        self.bound(&mut log);
        let back = |n: usize| {
            let at = n.checked_sub(1).ok_or(NoWayBack::NoMoment);
            at.and_then(|at| log.back_at(at)).map_err(|why| NoImage::Moment(n, why))
        };
        let back = moment.map(back).transpose()?;
        let log = back.as_ref().unwrap_or(&log);
        let chosen = Chosen::new(log, choice);
        let beside = Beside::make(images, name).map_err(failed)?;
        let built = Builder::build(tree, (log, &chosen), beside.dir.as_fd()).map_err(failed)?;
        let foreign = self.foreign.lock().clone();
        let told = Manifest::of(tree, &chosen, (name, choice), (built, foreign));
        beside.finish(name, &manifest_of(name), &told).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => NoImage::There(name.to_owned()),
            _ => failed(error),
        })?;
        Ok(told)
    }

    /// Looks for what others have changed since the last request.
    fn find_foreign<N: Default>(&self, tree: &Mirror<N>) {
        let tracked: Vec<Ino> = self.log.lock().files.keys().copied().collect();
        for ino in tracked {
            if let Ok(seen) = tree.seen(ino) {
                self.compare(tree, ino, &seen);
            }
        }
    }

    fn became_foreign<N: Default>(&self, tree: &Mirror<N>, ino: Ino) {
        let path = path_of(tree, ino);
        tracing::warn!(
            "{} was changed behind the mount: what is there now counts as durable",
            path.display()
        );
        let mut foreign = self.foreign.lock();
        if foreign.len() < MOST_FOREIGN && !foreign.contains(&path) {
            foreign.push(path);
        }
    }

    fn told_of_bulk<N: Default>(&self, tree: &Mirror<N>, ino: Ino, gap: Gap) {
        if !self.told_of_bulk.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{}: {gap}: that counts as durable, with all that came before it",
                path_of(tree, ino).display()
            );
        }
    }

    /// What is not durable.
    pub(crate) fn pending<N: Default>(&self, tree: &Mirror<N>) -> Pending {
        let mut log = self.log.lock();
        self.bound(&mut log);
        let foreign = self.foreign.lock().clone();
        let pending = Pending::of(tree, &log, foreign);
        self.settle(tree, log);
        pending
    }
}

/// The file that tells of an image.
fn manifest_of(name: &str) -> String {
    format!("{name}.json")
}

/// The backing path of an inode, by the name that it had last.
fn path_of<N: Default>(tree: &Mirror<N>, ino: Ino) -> PathBuf {
    let mut path = Vec::new();
    if let Ok(inode) = tree.inode(ino) {
        tree.path(&inode, &mut path);
    }
    PathBuf::from(OsStr::from_bytes(&path))
}

/// A directory that is written beside what it will be, and gone if it does not come to that.
struct Beside<'a> {
    images: &'a OwnedFd,
    name: String,
    dir: OwnedFd,
    /// Its manifest, once there is one.
    manifest: Option<String>,
    done: bool,
}

impl<'a> Beside<'a> {
    fn make(images: &'a OwnedFd, name: &str) -> io::Result<Beside<'a>> {
        let name = format!(".{name}.{:016x}", rand::random::<u64>());
        rustix::fs::mkdirat(images, &name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(images, &name, flags, Mode::empty()) {
            Ok(dir) => Ok(Beside { images, name, dir, manifest: None, done: false }),
            Err(error) => {
                let _ = rustix::fs::unlinkat(images, &name, AtFlags::REMOVEDIR);
                Err(error.into())
            }
        }
    }

    /// Gives it its name, and its manifest beside it.
    fn finish(mut self, name: &str, manifest: &str, told: &Manifest) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
        let file = rustix::fs::openat(self.images, manifest, flags, mode)?;
        self.manifest = Some(manifest.to_owned());
        let mut text = BufWriter::new(File::from(file));
        serde_json::to_writer_pretty(&mut text, told)?;
        text.flush()?;
        let only = RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(self.images, &self.name, self.images, name, only)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if !self.done {
            let images = format!("/proc/self/fd/{}", self.images.as_raw_fd());
            let _ = std::fs::remove_dir_all(PathBuf::from(images).join(&self.name));
            if let Some(manifest) = &self.manifest {
                let _ = rustix::fs::unlinkat(self.images, manifest, AtFlags::empty());
            }
        }
    }
}
