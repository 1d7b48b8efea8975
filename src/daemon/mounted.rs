//! The mount of this run: which it is, wherever it has gone, and how it goes.
//!
//! Invariant: nothing is detached or aborted that is not this run's. What counts is the filesystem:
//! a mount may have been moved, bound elsewhere, renamed along with a directory, or covered. Its
//! number alone tells nothing, since the next filesystem gets it; but the kernel ends the connection
//! before it gives the number away. So while the connection lives, the filesystem of that number is
//! ours. Once it has ended, a mount of that number is ours if its unique id is one of those that ours had
//! while it lived; where the kernel has no such ids, if it is dead.
//! Lock rule: the lock of the ids covers memory work only.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, OpenTreeFlags};

use super::mark::Mark;
use super::mount::{self, lost_its_daemon};
use super::mountinfo::{Device, MountLine, MountTable, is_ours};
use super::mountpoint::{self, Identity, Mountpoint, directory};
use crate::sys::{mounts, namespace};

/// How long a mount must not be seen to be gone: who takes off what lies beneath it puts it back.
pub(super) const SETTLED: Duration = Duration::from_millis(200);

/// More places than anybody binds a mirror to.
const MOST_PLACES: usize = 1000;

/// How often something is tried again that failed while others mount and unmount at the same place.
const TRIES: usize = 10;

/// The mount; it goes at the latest when this is dropped, however the run ends.
pub(super) struct Mounted {
    /// Where it was mounted.
    mountpoint: PathBuf,
    identity: Identity,
    connection: OwnedFd,
    table: MountTable,
    /// The unique ids of the places where it lay when it was last looked for, alive.
    ids: Mutex<Vec<u64>>,
    _mark: Mark,
    /// Somebody has detached it, or has heard why not.
    told: AtomicBool,
}

/// What a path leads to.
enum Found {
    Ours(OwnedFd),
    /// Somebody else's, and ours may not live any more.
    Foreign,
    /// Somebody else's, while ours lives: it may lie beneath.
    Other(OwnedFd),
}

impl Mounted {
    /// The number of its filesystem, which is its own as long as it is served.
    pub(super) fn device(&self) -> Device {
        self.identity.device
    }

    /// # Errors
    /// There are no descriptors left.
    pub(super) fn new(
        mountpoint: &Path,
        identity: Identity,
        connection: BorrowedFd<'_>,
        table: MountTable,
    ) -> io::Result<Mounted> {
        Ok(Mounted {
            mountpoint: mountpoint.to_owned(),
            identity,
            connection: connection.try_clone_to_owned()?,
            table,
            ids: Mutex::default(),
            _mark: Mark::leave(identity.device)?,
            told: AtomicBool::new(false),
        })
    }

    /// Where it was mounted.
    pub(super) fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// What polls readable (POLLPRI) when mounts come or go.
    pub(super) fn changes(&self) -> BorrowedFd<'_> {
        self.table.as_fd()
    }

    /// Whether the path leads to this mount.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let found = Mountpoint::open(path).and_then(|mountpoint| self.recognise(mountpoint.dir));
        matches!(found, Ok(Found::Ours(_)))
    }

    /// Whether it lies on that place, with nothing in between, as far as can be told.
    pub(super) fn lies_on(&self, mountpoint: &Mountpoint) -> bool {
        let lines = self.table.mounts().unwrap_or_default();
        let own = lines.iter().find(|line| line.device == self.identity.device);
        let number = mountpoint::number_of(&mountpoint.dir);
        own.is_none_or(|line| number.is_none_or(|number| number == line.parent))
    }

    /// Whether it is mounted anywhere that this process sees. Once the connection has ended another
    /// filesystem may be meant.
    ///
    /// # Errors
    /// What reading the mount table reports.
    pub(super) fn is_visible(&self) -> io::Result<bool> {
        let ids = mounts::mounts_of(self.identity.device);
        // They were its own if it lives still.
        if let Ok(ids) = ids
            && self.is_connected()
        {
            *self.ids.lock() = ids;
        }
        Ok(!self.table.places_of(self.identity.device)?.is_empty())
    }

    /// Whether it is mounted anywhere that this process sees, or may be, once the connection has ended.
    pub(super) fn is_left(&self) -> bool {
        let is_ours = |path: &PathBuf| {
            let root = directory(path, OFlags::NOFOLLOW).map_err(io::Error::from);
            !matches!(root.and_then(|root| self.recognise(root)), Ok(Found::Foreign))
        };
        self.table.places_of(self.identity.device).map_or(true, |places| places.iter().any(is_ours))
    }

    /// Whether the kernel has not ended the connection, so that the filesystem lives.
    fn is_connected(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.connection, PollFlags::empty())];
        let ready = poll(&mut fds, Some(&now));
        ready.is_ok() && fds.iter().all(|fd| !fd.revents().contains(PollFlags::ERR))
    }

    /// Detaches it wherever this process sees it, and nothing else.
    ///
    /// # Errors
    /// It lies somewhere still: where, and why it cannot be detached.
    pub(super) fn detach(&self) -> io::Result<()> {
        self.told.store(true, Ordering::Relaxed);
        let settled = Instant::now() + SETTLED;
        while Instant::now() < settled
            && self.is_connected()
            && matches!(self.is_visible(), Ok(false))
        {
            thread::sleep(SETTLED / 20);
        }
        let mut failures = 0;
        for _ in 0..MOST_PLACES {
            match self.detach_somewhere() {
                Ok(true) => {}
                Ok(false) => break,
                // What was seen is there no more: what lay on it has gone, or something has come.
                Err(_) if failures < TRIES && self.table.take_change() => failures += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether something was detached, at one of the places where it lies.
    fn detach_somewhere(&self) -> io::Result<bool> {
        let places = self.table.places_of(self.identity.device);
        // Where the table cannot be read the next look would find no more.
        let readable = places.is_ok();
        let mut left = Ok(false);
        // The first is the outermost: what is bound within it goes with it.
        for path in places.unwrap_or_else(|_| vec![self.mountpoint.clone()]) {
            match self.detach_at(&path) {
                Ok(true) => return Ok(readable),
                Ok(false) => {}
                Err(error) => {
                    left = Err(io::Error::other(format!("{}: {error}", path.display())));
                }
            }
        }
        left
    }

    /// Whether something was detached, or must be looked at again.
    fn detach_at(&self, path: &Path) -> io::Result<bool> {
        match self.recognise(directory(path, OFlags::NOFOLLOW)?)? {
            // Who was quicker may be putting it back.
            Found::Ours(root) => mount::detach(root.as_fd(), path).map(|_| true),
            Found::Foreign => Ok(false),
            Found::Other(cover) => self.detach_beneath(path, &cover),
        }
    }

    /// What lies where the mount table shows ours, or something of its number.
    fn recognise(&self, root: OwnedFd) -> io::Result<Found> {
        // While this descriptor is open its filesystem keeps its number.
        let seen = Identity::of(&root)?;
        // What was looked up before the connection was seen alive was looked up while it lived.
        let alive = self.is_connected();
        if seen.device != self.identity.device {
            return Ok(if alive { Found::Other(root) } else { Found::Foreign });
        }
        let ours = alive
            || match (seen.id, self.identity.id) {
                (Some(id), Some(first)) => id == first || self.ids.lock().contains(&id),
                _ => lost_its_daemon(&root),
            };
        Ok(if ours { Found::Ours(root) } else { Found::Foreign })
    }

    /// Takes what lies on top away, detaches, and puts it back: the kernel detaches a mount together
    /// with what is mounted on it. What is put back has the same files and options; its open files
    /// stay open, but for the path that the kernel shows of them.
    fn detach_beneath(&self, path: &Path, cover: &OwnedFd) -> io::Result<bool> {
        let covering = mountpoint::number_of(cover);
        let mut lines = self.table.mounts()?.into_iter();
        let line = lines.find(|line| covering == Some(line.number) && line.mountpoint == path);
        let Some(line) = line else {
            return Err(io::Error::other("another mount lies on a directory above it"));
        };
        let whole = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH
            | OpenTreeFlags::AT_RECURSIVE;
        let copy = rustix::mount::open_tree(cover, c"", whole)
            .map_err(|e| io::Error::other(format!("another mount lies on it: {e}")))?;
        if !mount::detach(cover.as_fd(), path)? {
            // Nor may it come back.
            return Err(io::Error::other("another mount lay on it"));
        }
        let done = self.detach_at(path);
        put_back(&copy, path, &line)?;
        done
    }

    /// Aborts the connection, of a filesystem that may be mounted nowhere any more: whoever waits
    /// for it gets an error at once. The control filesystem is mounted for that in a mount namespace
    /// of its own, since hardly any machine has it mounted.
    ///
    /// # Errors
    /// It may not be mounted (an ordinary user), or the connection has ended already.
    pub(super) fn abort(&self) -> io::Result<()> {
        const CONTROL: &str = "/sys/fs/fuse/connections";
        let file = Path::new(CONTROL).join(self.identity.device.1.to_string()).join("abort");
        let aborting = || {
            namespace::leave_mounts()?;
            let quiet = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", quiet)?;
            match rustix::mount::mount("none", CONTROL, "fusectl", MountFlags::empty(), None) {
                // It is there already, as systemd mounts it.
                Ok(()) | Err(Errno::BUSY) => {}
                Err(error) => return Err(error.into()),
            }
            // The open file stands for one connection: for ours, if that lives still.
            let file = std::fs::File::options().write(true).open(file)?;
            match self.is_connected() {
                true => rustix::io::write(&file, b"1").map(drop).map_err(Into::into),
                false => Ok(()),
            }
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, aborting)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the aborting thread panicked")))
        })
    }
}

/// Attaches what had to go from there for a moment.
fn put_back(copy: &OwnedFd, path: &Path, line: &MountLine) -> io::Result<()> {
    let attach = || mount::attach(copy, &directory(path, OFlags::NOFOLLOW)?);
    // What lies there may go just then, and a mount that is gone takes no other.
    let attached = (1..TRIES).map(|_| attach()).find(Result::is_ok).unwrap_or_else(attach);
    if let Err(error) = attached {
        tracing::error!("cannot put back what was mounted on {}: {error}", path.display());
    } else if is_ours(&line.kind) && lost_its_daemon(copy) {
        // Its daemon has ended meanwhile, and did not see it.
        mount::detach(copy.as_fd(), path)?;
    }
    Ok(())
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.told.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.detach() {
            tracing::error!("cannot unmount {error}");
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
