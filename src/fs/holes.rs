//! LSEEK for data and holes, of files that are mapped.
//!
//! What was stored through a shared mapping is not in the backing before the kernel writes it back,
//! so the backing may call a hole what is none any more. Nor does the kernel write it back before it
//! asks. So where somebody may have stored into a hole, its pages are written back first and the
//! backing is asked again. The kernel also writes back by itself, at any moment: a hole that has filled
//! between two questions makes the first answer void. No locks.

use std::io;
use std::ops::Range;

use super::Core;
use crate::mirror::{Fh, Ino};

/// How often a hole may be found filled: hardly ever twice in a question, unless the backing contradicts
/// itself.
const TRIES: usize = 10;

impl Core {
    /// The first data or hole from `offset` on, as lseek(2) finds it. Waits for pages that are being
    /// read or written: not for a thread that these need.
    pub(super) fn seek(&self, ino: Ino, fh: Fh, offset: i64, whence: i32) -> io::Result<u64> {
        self.catch_up(ino);
        let mut written_back = 0;
        let fill = |hole: &Range<u64>| {
            if hole.end <= written_back || !self.tree.may_be_mapped(ino) {
                return false;
            }
            let Some(notices) = self.notices.get() else { return false };
            if let Err(error) = notices.write_back(ino, hole) {
                tracing::debug!("inode {ino}: pages not written back: {error}");
                return false;
            }
            written_back = hole.end;
            true
        };
        find(|offset, whence| self.tree.lseek(fh, offset, whence), (offset, whence), fill)
    }
}

/// Asks by `seek`, an lseek(2), until the answer rests on no hole, or on one that `fill` leaves as it is.
fn find(
    seek: impl Fn(i64, i32) -> io::Result<u64>,
    (offset, whence): (i64, i32),
    mut fill: impl FnMut(&Range<u64>) -> bool,
) -> io::Result<u64> {
    let mut tries = 0;
    loop {
        let found = seek(offset, whence);
        let Some(hole) = hole(&seek, (offset, whence), &found) else { return found };
        let has_filled = hole.is_empty();
        tries += usize::from(has_filled);
        if tries == TRIES || !has_filled && !fill(&hole) {
            return found;
        }
    }
}

/// The hole on which an answer rests, if it does on one; an empty one, if it has filled since.
fn hole(
    seek: impl Fn(i64, i32) -> io::Result<u64>,
    (offset, whence): (i64, i32),
    found: &io::Result<u64>,
) -> Option<Range<u64>> {
    let start = match (whence, found) {
        (libc::SEEK_DATA, Ok(data)) => {
            let before = u64::try_from(offset).ok()?..*data;
            return (!before.is_empty()).then_some(before);
        }
        (libc::SEEK_DATA, Err(_)) => u64::try_from(offset).ok()?,
        (libc::SEEK_HOLE, Ok(hole)) => *hole,
        _ => return None,
    };
    match seek(i64::try_from(start).ok()?, libc::SEEK_DATA) {
        Ok(data) => Some(start..data),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
            // What lies behind the last byte is a hole that nothing fills.
            let end = seek(0, libc::SEEK_END).ok()?;
            (start < end).then_some(start..end)
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use libc::{SEEK_DATA, SEEK_HOLE};

    use super::*;

    /// An lseek(2) of a file of 64 bytes whose first are data, `before` of them when it is asked first
    /// and `after` later.
    fn filling(before: u64, after: u64) -> impl Fn(i64, i32) -> io::Result<u64> {
        let data = Cell::new(before);
        move |offset, whence| {
            let (offset, data) = (u64::try_from(offset).unwrap(), data.replace(after));
            match whence {
                SEEK_DATA if offset < data => Ok(offset),
                SEEK_DATA => Err(io::Error::from_raw_os_error(libc::ENXIO)),
                SEEK_HOLE => Ok(offset.max(data)),
                _ => Ok(64),
            }
        }
    }

    /// What is found from there on where nobody stores into holes, and the holes that were to be filled.
    fn found(seek: impl Fn(i64, i32) -> io::Result<u64>, at: (i64, i32)) -> (Option<u64>, usize) {
        let mut asked = 0;
        let found = find(seek, at, |_| {
            asked += 1;
            false
        });
        (found.ok(), asked)
    }

    #[test]
    fn a_hole_that_fills_between_two_questions_is_data() {
        assert_eq!(found(filling(11, 11), (3, SEEK_HOLE)), (Some(11), 1));
        assert_eq!(found(filling(11, 12), (3, SEEK_HOLE)), (Some(12), 1));
        assert_eq!(found(filling(11, 64), (3, SEEK_HOLE)), (Some(64), 0));
        assert_eq!(found(filling(11, 11), (11, SEEK_DATA)), (None, 1));
        assert_eq!(found(filling(11, 12), (11, SEEK_DATA)), (Some(11), 0));
    }

    #[test]
    fn the_answer_rests_on_no_hole_where_data_is_found_at_once_or_the_file_ends() {
        assert_eq!(found(filling(11, 11), (3, SEEK_DATA)), (Some(3), 0));
        assert_eq!(found(filling(64, 64), (3, SEEK_HOLE)), (Some(64), 0));
        assert_eq!(found(filling(11, 11), (70, SEEK_DATA)), (None, 0));
    }

    #[test]
    fn a_backing_that_contradicts_itself_is_believed_in_the_end() {
        let asked = Cell::new(0);
        let seek = |offset, _| {
            asked.set(asked.get() + 1);
            assert!(asked.get() < 1000, "it is asked for ever");
            Ok(u64::try_from(offset).unwrap())
        };
        assert_eq!(found(seek, (3, SEEK_HOLE)), (Some(3), 0));
    }

    #[test]
    fn what_was_filled_is_looked_at_again() {
        let data = Cell::new(11);
        let seek = |offset, whence| filling(data.get(), data.get())(offset, whence);
        let fill = |hole: &Range<u64>| {
            assert_eq!(*hole, data.get()..64);
            data.set(data.get() + 1);
            data.get() < 14
        };
        assert_eq!(find(seek, (3, SEEK_HOLE), fill).unwrap(), 13);
    }
}
