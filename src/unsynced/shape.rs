//! What is otherwise in an image than in the live tree: entries, contents, attributes. The one place that knows
//! how a content becomes that of the image, and what an inode is given; `image` builds all of it in a directory
//! of its own, `back` writes it over the live one. No locks of its own.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Uid, makedev};
use rustix::io::Errno;

use super::choice::{Chosen, Piece};
use super::log::Log;
use crate::mirror::{Ino, Mirror, Reached, Seen, decode_dev};

/// What is copied at once.
const AT_ONCE: usize = 1 << 20;

/// So many places of a file are told of at most.
const MOST_RANGES: usize = 1000;

/// By directory the entries that are others, and what they are.
pub(super) type Names<'a> = HashMap<Ino, BTreeMap<&'a OsStr, Option<Ino>>>;

/// What is otherwise.
pub(super) struct Shape<'a, N: Default> {
    pub(super) tree: &'a Mirror<N>,
    log: &'a Log,
    chosen: &'a Chosen<'a>,
    pub(super) states: HashMap<Ino, &'a Seen>,
    pub(super) attributes: HashMap<Ino, BTreeMap<&'a OsStr, Option<&'a [u8]>>>,
}

/// A content that is not the live one.
#[derive(Default)]
pub(super) struct Other {
    pub(super) size: u64,
    /// Where it has bytes from before: offset and length.
    pub(super) ranges: Vec<(u64, u64)>,
    /// How many more such places there are.
    pub(super) left_out: u64,
}

impl Other {
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

impl<'a, N: Default> Shape<'a, N> {
    pub(super) fn new(tree: &'a Mirror<N>, log: &'a Log, chosen: &'a Chosen<'a>) -> Self {
        let (states, attributes) = (chosen.states(), chosen.attributes());
        Shape { tree, log, chosen, states, attributes }
    }

    /// The files whose contents are not durable.
    pub(super) fn files(&self) -> impl Iterator<Item = Ino> {
        self.log.files.keys().copied()
    }

    /// Makes of a file that has the live content what it is in the image; none, and it is not opened, if
    /// that is the same.
    pub(super) fn revert(
        &self,
        found: &Reached,
        open: impl Fn() -> io::Result<File>,
    ) -> io::Result<Option<Other>> {
        let Some(file) = found.ino.and_then(|ino| self.log.files.get(&ino)) else {
            return Ok(None);
        };
        let live_size = found.seen.size;
        let (mut to, mut other) = (None, Other::default());
        other.size = self.chosen.content(file, live_size, &mut |Piece { range, event }| {
            let Some(event) = file.events.get(event) else { return Ok(()) };
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
            let from = range.start - event.from;
            if let Some(image) = &event.image
                && let Some(some) = image.len().checked_sub(from)
            {
                let some = usize::try_from(some).unwrap_or(usize::MAX).min(bytes.len());
                image.read(from, bytes.get_mut(..some).unwrap_or_default())?;
            }
            let to = match &mut to {
                Some(to) => to,
                none => none.insert(open()?),
            };
            to.write_all_at(&bytes, range.start)?;
            other.add(&range);
            Ok(())
        })?;
        match to {
            None if other.size == live_size => return Ok(None),
            None => open()?.set_len(other.size)?,
            Some(to) => to.set_len(other.size)?,
        }
        Ok(Some(other))
    }

    /// Makes anything but a directory anew, with the content that it has in the image; what that has of the
    /// live one's otherwise, and how many bytes had to be copied.
    pub(super) fn make(
        &self,
        found: &Reached,
        (to, name): (BorrowedFd<'_>, &OsStr),
    ) -> io::Result<(Option<Other>, u64)> {
        let private = Mode::RUSR | Mode::WUSR;
        match found.seen.kind() {
            libc::S_IFREG => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let file = File::from(rustix::fs::openat(to, name, flags, private)?);
                let source = self.tree.opened_to_read(&found.fd, OFlags::empty())?;
                let copied = match rustix::fs::ioctl_ficlone(&file, &source) {
                    Ok(()) => 0,
                    Err(_) => copy(&File::from(source), &file)?,
                };
                let other = self.revert(found, || file.try_clone())?;
                self.dress(found, &file, true)?;
                Ok((other, copied))
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
                self.dress(found, &made, true)?;
                Ok((None, 0))
            }
        }
    }

    /// Gives an inode the owner, the mode, the attributes and the times that it has in the image: one that was
    /// made for it, or the live one, found before anything of it was changed.
    pub(super) fn dress(&self, found: &Reached, to: impl AsFd, made: bool) -> io::Result<()> {
        let to = to.as_fd();
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
            let live = if made { self.tree.attributes_of(&found.fd)? } else { Vec::new() };
            let is_live = |name: &OsStr| !changed.is_some_and(|all| all.contains_key(name));
            for (name, value) in live.into_iter().filter(|(name, _)| is_live(name)) {
                self.tree.set_attribute(to, &name, &value)?;
            }
            for (name, value) in changed.into_iter().flatten() {
                match value {
                    Some(value) => self.tree.set_attribute(to, name, value)?,
                    None if made => {}
                    None => self.tree.remove_attribute(to, name)?,
                }
            }
        }
        match found.seen.kind() {
            libc::S_IFDIR | libc::S_IFREG => {
                let times = state.times();
                match rustix::fs::futimens(to, &times) {
                    // It was opened by O_PATH.
                    Err(Errno::BADF) => {
                        let opened = self.tree.opened_to_read(to, OFlags::empty())?;
                        Ok(rustix::fs::futimens(opened, &times)?)
                    }
                    set => Ok(set?),
                }
            }
            // An older kernel has no way to it by a descriptor.
            _ => Ok(()),
        }
    }
}

/// Copies what a file has, and leaves its holes; how many bytes that was.
fn copy(from: &File, to: &File) -> io::Result<u64> {
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
