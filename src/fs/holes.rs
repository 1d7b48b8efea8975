//! LSEEK for data and holes, of files that are mapped.
//!
//! What was stored through a shared mapping is not in the backing before the kernel writes it back,
//! so the backing may call a hole what is none any more. Nor does the kernel write it back before it
//! asks. So where somebody may have stored into a hole, its pages are written back first and the
//! backing is asked again. No locks.

use std::io;
use std::ops::Range;

use super::Core;
use crate::mirror::{Fh, Ino};

impl Core {
    /// The first data or hole from `offset` on, as lseek(2) finds it. Waits for pages that are being
    /// read or written: not for a thread that these need.
    pub(super) fn seek(&self, ino: Ino, fh: Fh, offset: i64, whence: i32) -> io::Result<u64> {
        self.catch_up(ino);
        let mut written_back = 0;
        loop {
            let found = self.tree.lseek(fh, offset, whence);
            let Some(hole) = self.hole(fh, offset, whence, &found) else { return found };
            if hole.end <= written_back || !self.tree.may_be_mapped(ino) {
                return found;
            }
            let Some(notices) = self.notices.get() else { return found };
            if let Err(error) = notices.write_back(ino, &hole) {
                tracing::debug!("inode {ino}: pages not written back: {error}");
                return found;
            }
            written_back = hole.end;
        }
    }

    /// The hole on which an answer rests, if it does on one.
    fn hole(
        &self,
        fh: Fh,
        offset: i64,
        whence: i32,
        found: &io::Result<u64>,
    ) -> Option<Range<u64>> {
        let end_of = |start: i64| match self.tree.lseek(fh, start, libc::SEEK_DATA) {
            Ok(data) => Some(data),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                self.tree.lseek(fh, 0, libc::SEEK_END).ok()
            }
            Err(_) => None,
        };
        let hole = match (whence, found) {
            (libc::SEEK_DATA, Ok(data)) => u64::try_from(offset).ok()?..*data,
            (libc::SEEK_DATA, Err(_)) => u64::try_from(offset).ok()?..end_of(offset)?,
            (libc::SEEK_HOLE, Ok(hole)) => *hole..end_of(i64::try_from(*hole).ok()?)?,
            _ => return None,
        };
        (!hole.is_empty()).then_some(hole)
    }
}
