//! All that is below the root now, whether the kernel knows it or not.
//!
//! Invariant: one directory is open at a time, so that neither many nor deep ones take descriptors.
//! Nothing else that is mounted below is entered: it might not answer, or be this mirror's own place.
//! No locks.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags, openat2};

use super::dir::AT_ONCE;
use super::room::For;
use super::{Mirror, ROOT};

impl<N: Default> Mirror<N> {
    /// Visits the path of the root and of all that is below it, a directory before what it has. The visitor
    /// says whether what is in that is visited too, or ends it. How many directories were left out, as
    /// something else is mounted there or they cannot be read. What comes or goes meanwhile may be missed.
    ///
    /// # Errors
    /// The root cannot be read.
    pub(crate) fn visit_all(
        &self,
        visit: &mut dyn FnMut(&[u8]) -> ControlFlow<(), bool>,
    ) -> io::Result<u64> {
        let root = self.inode(ROOT)?;
        let top = self.descriptor(&root)?;
        let mut path = Vec::new();
        self.path(&root, &mut path);
        let ControlFlow::Continue(true) = visit(&path) else { return Ok(0) };
        let mut left_out = 0;
        // Below the root, with a slash behind each.
        let mut pending = vec![Vec::new()];
        while let Some(directory) = pending.pop() {
            let opened = self.open_below(top.as_fd(), &directory);
            let opened = match opened {
                Ok(opened) => opened,
                Err(error) if directory.is_empty() => return Err(error),
                Err(error) => {
                    left_out += u64::from(!is_gone(&error));
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
                    left_out += 1;
                    break;
                };
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                path.truncate(before);
                path.extend_from_slice(name);
                let enter = match visit(&path) {
                    ControlFlow::Continue(enter) => enter,
                    ControlFlow::Break(()) => return Ok(left_out),
                };
                if enter && matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
                    pending.push([&directory, name, b"/"].concat());
                }
            }
        }
        Ok(left_out)
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

/// Whether there is no such directory any more, or what is of unknown type is none.
fn is_gone(error: &io::Error) -> bool {
    let gone = [libc::ENOENT, libc::ENOTDIR, libc::ELOOP];
    error.raw_os_error().is_some_and(|code| gone.contains(&code))
}
