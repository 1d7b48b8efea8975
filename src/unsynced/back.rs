//! Rewrites the backing to what a disk could hold after a power cut: what `image` would build from the same
//! choice. Only what differs is touched.
//!
//! 1. Files that come back and have no name any more are made again, in a working directory on the same filesystem
//!    ("aside"). If that fails, nothing has changed yet.
//! 2. Contents and attributes are restored, while everything can still be found by its name.
//! 3. Each directory entry that differs is moved aside, and then to where it belongs. So none is in the way of
//!    another. What is left aside is removed.
//!
//! Nobody else changes the tree meanwhile. No locks of its own.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;

use super::choice::{Choice, Chosen};
use super::shape::{Names, Other, Shape};
use super::{PATIENCE, Unsynced, path_of};
use crate::mirror::{Ino, Mirror, ROOT, Reached};
use crate::sys::text_of;

/// A file whose content was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PutBack {
    pub(crate) ino: Ino,
    /// Where it has bytes from before: offset and length.
    pub(crate) ranges: Vec<(u64, u64)>,
    pub(crate) size: u64,
}

impl PutBack {
    fn of(ino: Ino, Other { size, ranges, left_out }: Other) -> PutBack {
        // If some ranges were left out of the list, any byte may be from before.
        let ranges = if left_out > 0 { vec![(0, u64::MAX)] } else { ranges };
        PutBack { ino, ranges, size }
    }
}

/// What was taken back.
#[derive(Debug)]
pub(crate) struct TakenBack {
    /// How many entries the log had.
    pub(crate) entries: u64,
    /// How many changes of names, attributes and sizes were dropped.
    pub(crate) dropped: u64,
    pub(crate) put_back: Vec<PutBack>,
}

/// Why the backing is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("an image that is being built has not ended within {PATIENCE:?}; nothing is changed")]
    Busy,
    #[error("cannot take the backing back: {0}; nothing is changed")]
    Unchanged(String),
    #[error("cannot take all of the backing back: {0}; what was done of it stays")]
    Half(String),
}

impl Unsynced {
    /// Rewrites the backing to what a disk could hold if the power went now. The result counts as durable.
    /// Nobody else may change anything while it runs.
    ///
    /// # Errors
    /// Why it was not done, or not completely.
    pub(crate) fn take_back<N: Default>(
        &self,
        tree: &Mirror<N>,
        choice: Choice,
    ) -> Result<TakenBack, NotTaken> {
        let figures = tree.statfs(ROOT).map_err(|e| NotTaken::Unchanged(text_of(&e)))?;
        if figures.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(NotTaken::Unchanged(text_of(&io::Error::from(Errno::ROFS))));
        }
        let _alone = self.gate.try_write_for(PATIENCE).ok_or(NotTaken::Busy)?;
        self.find_foreign(tree);
        let mut log = self.log.lock();
        self.bound(&mut log);
        let chosen = Chosen::new(&log, choice);
        let (entries, dropped) = (log.len() as u64, chosen.lacks().count() as u64);
        let taken = Back::take(Shape::new(tree, &log, &chosen), chosen.names());
        if !matches!(taken, Err(NotTaken::Unchanged(_))) {
            log.forget_all();
        }
        self.settle(tree, log);
        taken.map(|put_back| TakenBack { entries, dropped, put_back })
    }
}

/// A directory entry that differs.
struct Difference<'a> {
    /// The index of its directory.
    dir: usize,
    name: &'a OsStr,
    /// The file that is there now, and whether it is a directory.
    live: Option<(Key, bool)>,
    /// The file that belongs there.
    wanted: Option<Ino>,
}

/// A file: the numbers of its filesystem and of its inode.
type Key = (u64, u64);

/// A directory of which some entries differ.
struct Directory {
    ino: Ino,
    found: Reached,
    /// Where its entries are put: the directory itself, or the new one made for it. None if it does not come back.
    fd: Option<Arc<OwnedFd>>,
    made: bool,
}

/// A working directory for the entries of one filesystem.
struct Aside {
    /// The directory in which it is.
    parent: Arc<OwnedFd>,
    name: String,
    fd: OwnedFd,
    /// The names of the entries in it.
    has: BTreeSet<OsString>,
}

impl Aside {
    fn new(parent: Arc<OwnedFd>) -> io::Result<Aside> {
        let name = format!(".slowfs-cut-{:016x}", rand::random::<u64>());
        rustix::fs::mkdirat(&parent, &name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, &name, flags, Mode::empty())?;
        Ok(Aside { parent, name, fd, has: BTreeSet::new() })
    }

    fn remove(&self) -> io::Result<()> {
        let parent = PathBuf::from(format!("/proc/self/fd/{}", self.parent.as_raw_fd()));
        std::fs::remove_dir_all(parent.join(&self.name))
    }
}

struct Back<'a, N: Default> {
    shape: Shape<'a, N>,
    names: Names<'a>,
    directories: Vec<Directory>,
    entries: Vec<Difference<'a>>,
    /// Files that belong to an entry that differs: the name that each has aside, and its filesystem.
    places: HashMap<Ino, (OsString, u64)>,
    asides: HashMap<u64, Aside>,
    put_back: Vec<PutBack>,
}

fn name_of(kind: &str, (dev, ino): Key) -> OsString {
    format!("{kind}-{dev:x}-{ino:x}").into()
}

impl<'a, N: Default> Back<'a, N> {
    /// Does it. Returns the files whose contents have changed.
    ///
    /// # Errors
    /// What could not be read or written, and why.
    fn take(shape: Shape<'a, N>, names: Names<'a>) -> Result<Vec<PutBack>, NotTaken> {
        let mut back = Back {
            shape,
            names,
            directories: Vec::new(),
            entries: Vec::new(),
            places: HashMap::new(),
            asides: HashMap::new(),
            put_back: Vec::new(),
        };
        let prepared = back.find().and_then(|()| back.prepare());
        if let Err(error) = prepared {
            // If the directory cannot be removed, its name still says what it is.
            back.asides.values().for_each(|aside| drop(aside.remove()));
            return Err(NotTaken::Unchanged(text_of(&error)));
        }
        back.write().map_err(|error| NotTaken::Half(text_of(&error)))?;
        Ok(back.put_back)
    }

    /// Finds what is otherwise, and the directories in which it is.
    fn find(&mut self) -> io::Result<()> {
        let mut names: Vec<_> = std::mem::take(&mut self.names).into_iter().collect();
        names.sort_unstable_by_key(|(dir, _)| *dir);
        for (ino, wanted) in names {
            let tree = self.shape.tree;
            let found = tree.reached(ino).map_err(|e| self.at(ino, &e))?;
            let dir = self.directories.len();
            for (name, wanted) in wanted {
                let live = match tree.reached_at(found.fd.as_fd(), name) {
                    Ok(live) => Some(live),
                    Err(error) if error.raw_os_error() == Some(libc::ENOENT) => None,
                    Err(error) => return Err(self.at(ino, &error)),
                };
                if live.as_ref().and_then(|live| live.ino) != wanted
                    || wanted.is_none() && live.is_some()
                {
                    let live = live.map(|live| (live.file, live.seen.kind() == libc::S_IFDIR));
                    self.entries.push(Difference { dir, name, live, wanted });
                }
            }
            self.directories.push(Directory { ino, found, fd: None, made: false });
        }
        Ok(())
    }

    /// An error with the path of what it is about.
    fn at(&self, ino: Ino, error: &io::Error) -> io::Error {
        let path = path_of(self.shape.tree, ino);
        io::Error::other(format!("{}: {}", path.display(), text_of(error)))
    }

    /// Finds a name aside for each file that is to be put somewhere. A file that has no name any more is made there, one
    /// whose own name stays is linked there; the others are moved there later.
    fn prepare(&mut self) -> io::Result<()> {
        let moved: BTreeSet<Key> =
            self.entries.iter().filter_map(|entry| Some(entry.live?.0)).collect();
        let wanted: BTreeSet<Ino> = self.entries.iter().filter_map(|entry| entry.wanted).collect();
        for ino in wanted {
            let found = self.shape.tree.reached(ino).map_err(|e| self.at(ino, &e))?;
            let is_dir = found.seen.kind() == libc::S_IFDIR;
            let is_gone = if is_dir { !moved.contains(&found.file) } else { found.seen.links == 0 };
            let kind = if is_gone { "made" } else { "moved" };
            let name = name_of(kind, found.file);
            self.places.insert(ino, (name.clone(), found.file.0));
            let done = match (is_gone, is_dir) {
                (true, _) => self.make(ino, &found, &name),
                (false, false) if !moved.contains(&found.file) => self.link(&found, &name),
                (false, _) => Ok(()),
            };
            done.map_err(|e| self.at(ino, &e))?;
        }
        for directory in &mut self.directories {
            let is_gone = directory.ino != ROOT && directory.found.seen.links == 0;
            if !is_gone && directory.fd.is_none() {
                directory.fd = Some(Arc::clone(&directory.found.fd));
            }
        }
        Ok(())
    }

    /// Makes a file again that has no name any more.
    fn make(&mut self, ino: Ino, found: &Reached, name: &OsStr) -> io::Result<()> {
        let shape = &self.shape;
        let aside = aside(&mut self.asides, &self.directories, found.file.0)?;
        aside.has.insert(name.to_owned());
        if found.seen.kind() != libc::S_IFDIR {
            let (other, _) = shape.make(found, (aside.fd.as_fd(), name))?;
            self.put_back.extend(other.map(|other| PutBack::of(ino, other)));
            return Ok(());
        }
        rustix::fs::mkdirat(&aside.fd, name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&aside.fd, name, flags, Mode::empty())?;
        match self.directories.iter_mut().find(|directory| directory.ino == ino) {
            Some(directory) => (directory.fd, directory.made) = (Some(Arc::new(made)), true),
            None => shape.dress(found, &made, true)?,
        }
        Ok(())
    }

    /// Links a file aside that keeps another name.
    fn link(&mut self, found: &Reached, name: &OsStr) -> io::Result<()> {
        let aside = aside(&mut self.asides, &self.directories, found.file.0)?;
        self.shape.tree.link_to(&found.fd, (aside.fd.as_fd(), name))?;
        aside.has.insert(name.to_owned());
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.write_contents()?;
        for Difference { dir, name, live, .. } in &self.entries {
            let Some((key, is_dir)) = live else { continue };
            let Some(fd) = self.directories.get(*dir).map(|directory| &directory.found.fd) else {
                continue;
            };
            let aside = aside(&mut self.asides, &self.directories, key.0)?;
            let other = name_of("moved", *key);
            match !*is_dir && aside.has.contains(&other) {
                true => rustix::fs::unlinkat(fd, *name, AtFlags::empty())?,
                false => rustix::fs::renameat(fd, *name, &aside.fd, &other)?,
            }
            aside.has.insert(other);
        }
        for Difference { dir, name, wanted, .. } in &self.entries {
            let fd = self.directories.get(*dir).and_then(|directory| directory.fd.as_ref());
            let place = wanted.and_then(|ino| self.places.get(&ino));
            let (Some(fd), Some((other, dev))) = (fd, place) else { continue };
            let Some(aside) = self.asides.get(dev) else { continue };
            match rustix::fs::linkat(&aside.fd, other, fd, *name, AtFlags::empty()) {
                // A directory.
                Err(Errno::PERM) => rustix::fs::renameat(&aside.fd, other, fd, *name)?,
                linked => linked?,
            }
        }
        self.asides.values().try_for_each(Aside::remove)?;
        for Directory { found, fd, made, .. } in &self.directories {
            if let Some(fd) = fd {
                self.shape.dress(found, fd, *made)?;
            }
        }
        Ok(())
    }

    /// Restores contents and attributes of everything that has a name, but for directories whose entries change.
    fn write_contents(&mut self) -> io::Result<()> {
        let shape = &self.shape;
        let changed = self.directories.iter().map(|directory| directory.ino);
        let changed: BTreeSet<Ino> = changed.collect();
        let mut inodes: BTreeSet<Ino> = shape.files().collect();
        inodes.extend(shape.states.keys().chain(shape.attributes.keys()));
        for ino in inodes.into_iter().filter(|ino| !changed.contains(ino)) {
            // Somebody else may have removed it.
            let found = match shape.tree.reached(ino) {
                Err(error) if error.raw_os_error() == Some(libc::ESTALE) => continue,
                found => found.map_err(|e| self.at(ino, &e))?,
            };
            if found.seen.links == 0 {
                continue;
            }
            let is_otherwise =
                shape.states.contains_key(&ino) || shape.attributes.contains_key(&ino);
            let other = match found.seen.kind() {
                libc::S_IFREG => {
                    let open = || shape.tree.opened_anew(&found.fd, OFlags::WRONLY);
                    shape.revert(&found, || open().map(File::from))
                }
                _ => Ok(None),
            };
            let other = other.map_err(|e| self.at(ino, &e))?;
            if other.is_some() || is_otherwise {
                shape.dress(&found, &*found.fd, false).map_err(|e| self.at(ino, &e))?;
            }
            self.put_back.extend(other.map(|other| PutBack::of(ino, other)));
        }
        Ok(())
    }
}

/// The working directory for a filesystem: made in the first of these directories that is on it.
fn aside<'a>(
    asides: &'a mut HashMap<u64, Aside>,
    directories: &[Directory],
    dev: u64,
) -> io::Result<&'a mut Aside> {
    match asides.entry(dev) {
        std::collections::hash_map::Entry::Occupied(there) => Ok(there.into_mut()),
        std::collections::hash_map::Entry::Vacant(free) => {
            let is_there = |directory: &&Directory| {
                directory.found.file.0 == dev
                    && (directory.ino == ROOT || directory.found.seen.links > 0)
            };
            let parent = directories.iter().find(is_there).ok_or(Errno::XDEV)?;
            Ok(free.insert(Aside::new(Arc::clone(&parent.found.fd))?))
        }
    }
}
