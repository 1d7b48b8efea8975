//! All that is below the root now, whether the kernel knows it or not.
//!
//! Invariant: one directory is open at a time, so that neither many nor deep ones take descriptors, and what
//! is kept of those to come is bounded. Nothing else that is mounted below is entered: it might not answer,
//! or be this mirror's own place. No locks.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags, openat2};

use super::dir::AT_ONCE;
use super::inode::Inode;
use super::room::For;
use super::{Mirror, ROOT, stat_at};

/// How much the paths of directories that are still to be looked into may take.
const MOST_PENDING: usize = 32 << 20;

/// What a visit has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Directories that were left out, as something else is mounted there or they cannot be read.
    pub(crate) left_out: u64,
    /// Whether all others were looked into.
    pub(crate) whole: bool,
}

/// Told each path, and the name in its directory; says whether what is in that is visited too, or ends it.
type Visit<'a> = dyn FnMut(&[u8], (BorrowedFd<'_>, &OsStr)) -> ControlFlow<(), bool> + 'a;

/// What lies below a directory.
pub(crate) struct Lying<'a, N> {
    /// Its path.
    pub(crate) path: &'a [u8],
    /// Which file it is.
    pub(crate) key: [u64; 3],
    /// Its inode, if the kernel knows it.
    pub(crate) known: Option<Arc<Inode<N>>>,
    /// Its owner.
    pub(crate) uid: u32,
    /// What it occupies, in units of 512 bytes.
    pub(crate) blocks: u64,
}

impl<N: Default> Mirror<N> {
    /// Visits the path of the root and of all that is below it, a directory before what it has. The visitor
    /// says whether what is in that is visited too, or ends it; so does `goes_on`, which is asked before each
    /// directory is opened and at each name. What comes or goes meanwhile may be missed.
    ///
    /// # Errors
    /// The root cannot be read.
    pub(crate) fn visit_all(
        &self,
        goes_on: &dyn Fn() -> bool,
        visit: &mut dyn FnMut(&[u8]) -> ControlFlow<(), bool>,
    ) -> io::Result<Walked> {
        let (root, mut path) = (self.inode(ROOT)?, Vec::new());
        self.path(&root, &mut path);
        match visit(&path) {
            ControlFlow::Continue(true) => self.visit_in(b"", goes_on, &mut |path, _| visit(path)),
            end => Ok(Walked { left_out: 0, whole: end.is_continue() }),
        }
    }

    /// Visits all that is below a directory, by the path that it has now, a directory before what it has.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn visit_below(
        &self,
        directory: &Inode<N>,
        visit: &mut dyn FnMut(&Lying<'_, N>),
    ) -> io::Result<Walked> {
        let mut path = Vec::new();
        self.path(directory, &mut path);
        let below = path.strip_prefix(self.base()).unwrap_or_default();
        let start = [below.strip_prefix(b"/").unwrap_or(below), b"/"].concat();
        self.visit_in(&start, &|| true, &mut |path, (dir, name)| {
            // What is gone by now is nowhere.
            if let Ok(stat) = stat_at(dir, name) {
                let identity = self.identity(&stat);
                let (uid, blocks) = (stat.stx_uid, stat.stx_blocks);
                let (known, key) = (self.table.known(&identity), identity.key());
                visit(&Lying { path, key, known, uid, blocks });
            }
            ControlFlow::Continue(true)
        })
    }

    /// Visits what is in a directory, with a path below the root that ends with a slash, or in the root.
    fn visit_in(
        &self,
        start: &[u8],
        goes_on: &dyn Fn() -> bool,
        visit: &mut Visit<'_>,
    ) -> io::Result<Walked> {
        let top = self.descriptor(&self.inode(ROOT)?)?;
        let mut path = self.base.clone();
        let mut walked = Walked { left_out: 0, whole: true };
        let mut pending = Pending::default();
        pending.push(start, b"");
        while let Some(directory) = pending.pop() {
            if !goes_on() {
                return Ok(Walked { whole: false, ..walked });
            }
            let opened = match self.open_below(top.as_fd(), &directory) {
                Ok(opened) => opened,
                Err(error) if *directory == *start => return Err(error),
                Err(error) => {
                    walked.left_out += u64::from(!is_gone(&error));
                    continue;
                }
            };
            path.truncate(self.base.len());
            path.push(b'/');
            path.extend_from_slice(&directory);
            let mut room = [MaybeUninit::<u8>::uninit(); AT_ONCE];
            let mut entries = RawDir::new(&opened, &mut room);
            let before = path.len();
            while let Some(entry) = entries.next() {
                let Ok(entry) = entry else {
                    walked.left_out += 1;
                    break;
                };
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                path.truncate(before);
                path.extend_from_slice(name);
                let enter = match visit(&path, (opened.as_fd(), OsStr::from_bytes(name))) {
                    ControlFlow::Continue(enter) if goes_on() => enter,
                    _ => return Ok(Walked { whole: false, ..walked }),
                };
                if enter && matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
                    walked.whole &= pending.push(&directory, name);
                }
            }
        }
        Ok(walked)
    }

    fn open_below(&self, top: impl AsFd, directory: &[u8]) -> io::Result<OwnedFd> {
        let directory = if directory.is_empty() { b"." } else { directory };
        let directory = Path::new(OsStr::from_bytes(directory));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        let open = |flags| Ok(openat2(&top, directory, flags, Mode::empty(), resolve)?);
        self.with_room(For::Passing, || {
            // To look is not to use; only the owner and root may look so.
            let quiet: io::Result<OwnedFd> = open(flags | OFlags::NOATIME);
            match quiet {
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => open(flags),
                opened => opened,
            }
        })
    }
}

/// The directories that are still to be looked into: paths below the root, with a slash behind each.
#[derive(Default)]
struct Pending {
    paths: Vec<Box<[u8]>>,
    bytes: usize,
}

impl Pending {
    fn cost(path: &[u8]) -> usize {
        size_of_val(path) + size_of::<Box<[u8]>>()
    }

    /// Keeps one more, unless it is too much.
    fn push(&mut self, directory: &[u8], name: &[u8]) -> bool {
        let slash: &[u8] = if name.is_empty() { b"" } else { b"/" };
        let path = [directory, name, slash].concat().into_boxed_slice();
        let bytes = self.bytes + Pending::cost(&path);
        let fits = bytes <= MOST_PENDING;
        if fits {
            self.bytes = bytes;
            self.paths.push(path);
        }
        fits
    }

    fn pop(&mut self) -> Option<Box<[u8]>> {
        let path = self.paths.pop()?;
        self.bytes -= Pending::cost(&path);
        Some(path)
    }
}

/// Whether there is no such directory any more, or what is of unknown type is none.
fn is_gone(error: &io::Error) -> bool {
    let gone = [libc::ENOENT, libc::ENOTDIR, libc::ELOOP];
    error.raw_os_error().is_some_and(|code| gone.contains(&code))
}
