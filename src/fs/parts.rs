//! Writes of which a fault lets only part through. No locks.

use std::io;
use std::ops::Range;

use super::Core;
use super::altered::Parts;
use super::op::Operands;
use super::writes::Write;
use crate::mirror::{Buffer, Caller, Changes, Fh, Ino, TimeChange, Written};

impl Core {
    /// Reads what is written over, if somebody asks for it. One that appends writes over nothing.
    #[inline]
    pub(super) fn read_replaced(&self, operands: Operands<'_>, (fh, offset): (Fh, u64), len: u64) {
        let Some(altered) = operands.altered.filter(|altered| altered.wants_replaced) else {
            return;
        };
        let mut bytes = Buffer::new();
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        match self.tree.read_back(fh, offset, len, &mut bytes) {
            Ok(()) => altered.replaced.set(Some(bytes)),
            Err(error) => tracing::debug!("what a write replaces cannot be read: {error}"),
        }
    }

    /// Writes part of the data.
    #[cold]
    pub(super) fn write_torn(
        &self,
        write: &Write,
        appends: bool,
        caller: Caller,
        (data, parts): (&[u8], Parts<'_>),
    ) -> io::Result<Written> {
        let file = (write.ino, write.fh);
        let start = match appends {
            true => self.tree.getattr(file.0, Some(file.1))?.size,
            false => write.offset,
        };
        let ordinary = write.kill.then_some(&caller);
        let mut mode_changed = false;
        let bytes = self.write_parts(file, caller, (start, data.len() as u64), parts, |part| {
            let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let data = data.get(place(part.start)..place(part.end)).unwrap_or_default();
            let at = start.saturating_add(part.start);
            let written = self.tree.write(ordinary, write.fh, at, data)?;
            mode_changed |= written.mode_changed;
            Ok(written.bytes)
        })?;
        Ok(Written { bytes, mode_changed })
    }

    /// Has `put` write each part of what was to be so many bytes from an offset; how many they were.
    /// What the kernel has in its cache is no longer what the file has: with another time of
    /// modification it drops that before the next read(2).
    #[cold]
    pub(super) fn write_parts(
        &self,
        (ino, fh): (Ino, Fh),
        caller: Caller,
        (start, len): (u64, u64),
        parts: Parts<'_>,
        put: impl FnMut(&Range<u64>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let before = self.tree.getattr(ino, Some(fh))?;
        let bytes = parts.ranges.iter().map(put).sum::<io::Result<usize>>()?;
        let end = start.saturating_add(len);
        if parts.whole && len > 0 && self.tree.getattr(ino, Some(fh))?.size < end {
            // It never shrinks a file that others have made longer meanwhile.
            self.tree.fallocate(&caller, fh, 0, end - 1, 1)?;
        }
        if self.tree.getattr(ino, Some(fh))?.mtime <= before.mtime {
            let (seconds, nanoseconds) = before.mtime;
            let later = match nanoseconds + 1 {
                1_000_000_000 => TimeChange::At(seconds + 1, 0),
                nanoseconds => TimeChange::At(seconds, nanoseconds),
            };
            let changes = Changes { mtime: Some(later), ..Changes::default() };
            self.tree.setattr(&caller, ino, Some(fh), &changes)?;
        }
        Ok(bytes)
    }
}
