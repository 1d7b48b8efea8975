//! Builds a directory that a disk could hold after a power cut: the live tree, but for what is dropped.
//!
//! It goes from the root down and makes each entry once, by the name that it has in the image, from the
//! inode that the name leads to there: so nothing that was renamed is ever in the way of anything else.
//! What changes the tree waits meanwhile. No locks of its own.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::choice::Chosen;
use super::log::Log;
use super::shape::{Names, Other, Shape};
use crate::mirror::{Mirror, ROOT, Reached};
use crate::sys::text_of;

/// How deep a tree may be: each level takes descriptors and stack.
pub(super) const DEEPEST: usize = 400;

/// A file whose content is not the live one's.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Reverted {
    /// Its path in the image.
    pub(crate) path: PathBuf,
    /// Its size there.
    pub(crate) size: u64,
    /// And behind the mount.
    pub(crate) live_size: u64,
    /// Where it has bytes from before: offset and length.
    pub(crate) ranges: Vec<(u64, u64)>,
    /// How many more such places there are.
    pub(crate) left_out: u64,
}

/// What was built.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// Files, directories and all else.
    pub(crate) entries: u64,
    /// Bytes that were copied, since they could not be shared.
    pub(crate) copied: u64,
    pub(crate) reverted: Vec<Reverted>,
}

pub(super) struct Builder<'a, N: Default> {
    shape: Shape<'a, N>,
    names: Names<'a>,
    root: BorrowedFd<'a>,
    /// Where each file with several names was made first.
    placed: HashMap<(u64, u64), PathBuf>,
    built: Built,
}

impl<'a, N: Default> Builder<'a, N> {
    /// Builds it in an empty directory.
    ///
    /// # Errors
    /// Something cannot be read or made; which, and why.
    pub(super) fn build(
        tree: &'a Mirror<N>,
        (log, chosen): (&'a Log, &'a Chosen<'a>),
        root: BorrowedFd<'a>,
    ) -> io::Result<Built> {
        let shape = Shape::new(tree, log, chosen);
        let (placed, built) = (HashMap::new(), Built::default());
        let mut builder = Builder { shape, names: chosen.names(), root, placed, built };
        let found = tree.reached(ROOT)?;
        builder.directory(&found, root, &mut PathBuf::new())?;
        Ok(builder.built)
    }

    /// Fills a directory that was made, then gives it its attributes.
    fn directory(
        &mut self,
        found: &Reached,
        to: BorrowedFd<'_>,
        path: &mut PathBuf,
    ) -> io::Result<()> {
        if path.components().count() > DEEPEST {
            return Err(at(path, &io::Error::other("it lies too deep")));
        }
        let source = self.shape.tree.opened_to_read(&found.fd, OFlags::DIRECTORY);
        let source = source.map_err(|e| at(path, &e))?;
        let changed = found.ino.and_then(|ino| self.names.remove(&ino)).unwrap_or_default();
        let mut entries = BTreeMap::new();
        for name in names_in(&source).map_err(|e| at(path, &e))? {
            if !changed.contains_key(name.as_os_str()) {
                entries.insert(name, None);
            }
        }
        let kept = changed.into_iter().filter_map(|(name, ino)| Some((name.to_owned(), ino?)));
        entries.extend(kept.map(|(name, ino)| (name, Some(ino))));
        for (name, ino) in entries {
            let child = match ino {
                Some(ino) => self.shape.tree.reached(ino),
                None => self.shape.tree.reached_at(source.as_fd(), &name),
            };
            path.push(&name);
            match child {
                // Somebody else has removed it.
                Err(error) if ino.is_none() && error.raw_os_error() == Some(libc::ENOENT) => {}
                child => child
                    .and_then(|child| self.entry(&child, (to, &name), path))
                    .map_err(|e| at(path, &e))?,
            }
            path.pop();
        }
        self.shape.dress(found, to, true)
    }

    fn entry(
        &mut self,
        found: &Reached,
        (to, name): (BorrowedFd<'_>, &OsStr),
        path: &mut PathBuf,
    ) -> io::Result<()> {
        let kind = found.seen.kind();
        if kind != libc::S_IFDIR
            && let Some(first) = self.placed.get(&found.file)
        {
            return Ok(rustix::fs::linkat(self.root, first, to, name, AtFlags::empty())?);
        }
        self.built.entries += 1;
        if kind == libc::S_IFDIR {
            rustix::fs::mkdirat(to, name, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(to, name, flags, Mode::empty())?;
            return self.directory(found, made.as_fd(), path);
        }
        let (other, copied) = self.shape.make(found, (to, name))?;
        self.built.copied += copied;
        if let Some(Other { size, ranges, left_out }) = other {
            let (path, live_size) = (path.clone(), found.seen.size);
            self.built.reverted.push(Reverted { path, size, live_size, ranges, left_out });
        }
        self.placed.insert(found.file, path.clone());
        Ok(())
    }
}

/// An error with the path that it is of, once.
fn at(path: &Path, error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => io::Error::other(format!("{}: {}", path.display(), text_of(error))),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

pub(super) fn names_in(dir: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}
