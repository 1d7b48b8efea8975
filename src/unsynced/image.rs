//! Builds a directory that a disk could hold after a power cut: the live tree, but for what is dropped.
//!
//! It goes from the root down and makes each entry once, by the name that it has in the image, from the
//! inode that the name leads to there: so nothing that was renamed is ever in the way of anything else.
//! What changes the tree waits meanwhile. No locks of its own.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Uid, makedev};
use rustix::io::Errno;

use super::choice::{Chosen, Piece};
use super::log::Log;
use crate::mirror::{Ino, Mirror, ROOT, Reached, Seen, decode_dev};
use crate::sys::text_of;

/// How deep a tree may be: each level takes descriptors and stack.
const DEEPEST: usize = 400;

/// What is copied at once.
const AT_ONCE: usize = 1 << 20;

/// So many places of a file are told of at most.
const MOST_RANGES: usize = 1000;

/// A file whose content is not the live one's.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
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

impl Reverted {
    /// It has bytes from before there, behind all others.
    fn add(&mut self, range: &Range<u64>) {
        let (len, told) = (range.end - range.start, self.ranges.len());
        match self.ranges.last_mut() {
            Some((at, last)) if self.left_out == 0 && *at + *last == range.start => *last += len,
            _ if told < MOST_RANGES => self.ranges.push((range.start, len)),
            _ => self.left_out += 1,
        }
    }
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
    tree: &'a Mirror<N>,
    log: &'a Log,
    chosen: &'a Chosen<'a>,
    names: HashMap<Ino, BTreeMap<&'a OsStr, Option<Ino>>>,
    states: HashMap<Ino, &'a Seen>,
    attributes: HashMap<Ino, BTreeMap<&'a OsStr, Option<&'a [u8]>>>,
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
        let mut builder = Builder {
            tree,
            log,
            chosen,
            names: chosen.names(),
            states: chosen.states(),
            attributes: chosen.attributes(),
            root,
            placed: HashMap::new(),
            built: Built::default(),
        };
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
        let source = self.tree.opened_to_read(&found.fd, OFlags::DIRECTORY);
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
                Some(ino) => self.tree.reached(ino),
                None => self.tree.reached_at(source.as_fd(), &name),
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
        self.dress(found, to)
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
        let private = Mode::RUSR | Mode::WUSR;
        match kind {
            libc::S_IFDIR => {
                rustix::fs::mkdirat(to, name, private | Mode::XUSR)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = rustix::fs::openat(to, name, flags, Mode::empty())?;
                return self.directory(found, made.as_fd(), path);
            }
            libc::S_IFREG => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let file = std::fs::File::from(rustix::fs::openat(to, name, flags, private)?);
                self.fill(found, &file, path)?;
                self.dress(found, file.as_fd())?;
            }
            kind => {
                if kind == libc::S_IFLNK {
                    let target = rustix::fs::readlinkat(&found.fd, c"", Vec::new())?;
                    rustix::fs::symlinkat(target.as_c_str(), to, name)?;
                } else {
                    let (major, minor) = decode_dev(found.seen.rdev);
                    let kind = FileType::from_raw_mode(kind);
                    rustix::fs::mknodat(to, name, kind, private, makedev(major, minor))?;
                }
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let made = rustix::fs::openat(to, name, flags, Mode::empty())?;
                self.dress(found, made.as_fd())?;
            }
        }
        self.placed.insert(found.file, path.clone());
        Ok(())
    }

    /// Gives a file its content.
    fn fill(&mut self, found: &Reached, to: &std::fs::File, path: &Path) -> io::Result<()> {
        let source = self.tree.opened_to_read(&found.fd, OFlags::empty())?;
        match rustix::fs::ioctl_ficlone(to, &source) {
            Ok(()) => {}
            Err(_) => self.built.copied += copy(&std::fs::File::from(source), to)?,
        }
        let Some(file) = found.ino.and_then(|ino| self.log.files.get(&ino)) else {
            return Ok(());
        };
        let live_size = found.seen.size;
        let mut told = Reverted { live_size, ..Reverted::default() };
        told.size = self.chosen.content(file, live_size, &mut |Piece { range, event }| {
            let Some(event) = file.events.get(event) else { return Ok(()) };
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
            let from = range.start - event.range.start;
            if let Some(image) = &event.image
                && let Some(some) = image.len().checked_sub(from)
            {
                let some = usize::try_from(some).unwrap_or(usize::MAX).min(bytes.len());
                image.read(from, bytes.get_mut(..some).unwrap_or_default())?;
            }
            to.write_all_at(&bytes, range.start)?;
            told.add(&range);
            Ok(())
        })?;
        to.set_len(told.size)?;
        if told.size != live_size || !told.ranges.is_empty() {
            told.path = path.to_owned();
            self.built.reverted.push(told);
        }
        Ok(())
    }

    /// Gives what was made its owner, its mode, its attributes and its times.
    fn dress(&self, found: &Reached, to: BorrowedFd<'_>) -> io::Result<()> {
        let state = found.ino.and_then(|ino| self.states.get(&ino).copied());
        let state = state.unwrap_or(&found.seen);
        let (uid, gid) = (Uid::from_raw(state.uid), Gid::from_raw(state.gid));
        let own = rustix::fs::fstat(to)?;
        if (own.st_uid, own.st_gid) != (state.uid, state.gid) {
            rustix::fs::chownat(to, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
        }
        let is_link = found.seen.kind() == libc::S_IFLNK;
        let changed = found.ino.and_then(|ino| self.attributes.get(&ino));
        if !is_link {
            self.tree.set_mode(to, state.mode)?;
            let live = self.tree.attributes_of(&found.fd)?.into_iter();
            let is_live = |name: &OsStr| !changed.is_some_and(|all| all.contains_key(name));
            for (name, value) in live.filter(|(name, _)| is_live(name)) {
                self.tree.set_attribute(to, &name, &value)?;
            }
            let before = changed.into_iter().flatten();
            for (name, value) in before.filter_map(|(name, value)| Some((name, (*value)?))) {
                self.tree.set_attribute(to, name, value)?;
            }
        }
        match found.seen.kind() {
            libc::S_IFDIR | libc::S_IFREG => Ok(rustix::fs::futimens(to, &state.times())?),
            // An older kernel has no way to it by a descriptor.
            _ => Ok(()),
        }
    }
}

/// An error with the path that it is of, once.
fn at(path: &Path, error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => io::Error::other(format!("{}: {}", path.display(), text_of(error))),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

fn names_in(dir: &OwnedFd) -> io::Result<Vec<OsString>> {
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

/// Copies what a file has, and leaves its holes; how many bytes that was.
fn copy(from: &std::fs::File, to: &std::fs::File) -> io::Result<u64> {
    let size = from.metadata()?.len();
    let (mut at, mut copied) = (0, 0);
    let mut bytes = vec![0; AT_ONCE];
    while at < size {
        at = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(at))?;
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(AT_ONCE).min(AT_ONCE);
            let read = from.read_at(bytes.get_mut(..most).unwrap_or_default(), at)?;
            if read == 0 {
                break;
            }
            to.write_all_at(bytes.get(..read).unwrap_or_default(), at)?;
            (at, copied) = (at + read as u64, copied + read as u64);
        }
    }
    to.set_len(size)?;
    Ok(copied)
}
