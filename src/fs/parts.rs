//! Writes of which a fault lets only part through. No locks.

use std::io;
use std::ops::Range;

use super::Core;
use super::altered::{Altered, Parts};
use super::op::Operands;
use super::writes::Write;
use crate::fault::ledger::BLOCK;
use crate::fault::plan::Edit;
use crate::mirror::{Buffer, Caller, Changes, Fh, Ino, TimeChange, Written};

/// Source and target of a copy, each a handle and an offset, and their inodes.
pub(super) type Copied = ((Fh, u64), (Ino, Ino), (Fh, u64));

impl Core {
    /// Reads what is written over, if somebody asks for it. One that appends writes over nothing.
    #[inline(always)]
    pub(super) fn read_replaced(&self, operands: &Operands<'_>, at: (Fh, u64), len: u64) {
        if let Some(altered) = operands.altered {
            self.keep_replaced(altered, at, len);
        }
    }

    #[cold]
    fn keep_replaced(&self, altered: &Altered<'_>, (fh, offset): (Fh, u64), len: u64) {
        if !altered.wants_replaced {
            return;
        }
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
        caller: &Caller,
        (data, parts, altered): (&[u8], Parts<'_>, &Altered<'_>),
    ) -> io::Result<Written> {
        let file = (write.ino, write.fh);
        let start = match appends {
            true => self.tree.getattr(file.0, Some(file.1))?.size,
            false => write.offset,
        };
        let ordinary = write.kill.then_some(caller);
        let mut mode_changed = false;
        let bytes = self.write_parts(file, caller, (start, data.len() as u64), parts, |part| {
            let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let data = data.get(place(part.start)..place(part.end)).unwrap_or_default();
            let at = start.saturating_add(part.start);
            let written = self.write_at(write, ordinary, at, data)?;
            mode_changed |= written.mode_changed;
            Ok(written.bytes)
        })?;
        let asked = |range: &Range<u64>| {
            let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let asked = altered.asked.get(place(range.start)..place(range.end));
            Ok(Buffer::from(asked.unwrap_or_default()))
        };
        let all = (start, data.len() as u64);
        self.injected(altered, write.fh, all, bytes as u64, &asked);
        Ok(Written { bytes, mode_changed })
    }

    /// Copies part of what is to be copied, or spoils it.
    #[cold]
    pub(super) fn copy_torn(
        &self,
        (from, (source, ino), to): Copied,
        caller: &Caller,
        len: u64,
        altered: &Altered<'_>,
    ) -> io::Result<usize> {
        let Some(parts) = altered.parts() else { return Ok(0) };
        // Also what is told as done ends where the source does.
        let end = self.tree.getattr(source, Some(from.0))?.size;
        let len = len.min(end.saturating_sub(from.1));
        altered.would_move.set(Some(len));
        let copied = self.write_parts((ino, to.0), caller, (to.1, len), parts, |part| {
            let part = part.start.min(len)..part.end.min(len);
            let at = |(fh, offset): (Fh, u64)| (fh, offset.saturating_add(part.start));
            let whole = part.end - part.start;
            let copied = self.tree.copy_file_range(caller, at(from), at(to), whole, 0)?;
            self.spoil_copied(to, altered, copied as u64)?;
            Ok(copied)
        })?;
        let asked = |range: &Range<u64>| {
            let mut bytes = Buffer::new();
            let len = u32::try_from(range.end - range.start).unwrap_or(u32::MAX);
            self.tree.read_back(from.0, from.1.saturating_add(range.start), len, &mut bytes)?;
            Ok(bytes)
        };
        self.injected(altered, to.0, (to.1, len), copied as u64, &asked);
        Ok(copied)
    }

    /// Edits what was copied, where it came to be.
    fn spoil_copied(&self, to: (Fh, u64), altered: &Altered<'_>, len: u64) -> io::Result<()> {
        for edit in altered.edits_of(len) {
            let at = to.1.saturating_add(edit.at);
            let mut bytes = Buffer::new();
            let size = u32::try_from(edit.bytes.len()).unwrap_or(u32::MAX);
            self.tree.read_back(to.0, at, size, &mut bytes)?;
            Edit { at: 0, ..edit }.apply(&mut bytes);
            self.tree.write(None, to.0, at, &bytes)?;
        }
        Ok(())
    }

    /// Has `put` write each part of what was to be so many bytes from an offset; how many they were.
    /// What the kernel has in its cache is no longer what the file has: with another time of
    /// modification it drops that before the next read(2).
    #[cold]
    pub(super) fn write_parts(
        &self,
        (ino, fh): (Ino, Fh),
        caller: &Caller,
        (start, len): (u64, u64),
        parts: Parts<'_>,
        put: impl FnMut(&Range<u64>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let before = self.tree.getattr(ino, Some(fh))?.mtime;
        let bytes = parts.ranges.iter().map(put).sum::<io::Result<usize>>();
        let grown = match bytes {
            Ok(_) if parts.whole && len > 0 => {
                self.grow((ino, fh), caller, start.saturating_add(len.min(parts.room)))
            }
            _ => Ok(()),
        };
        // Also if one of them failed: others may have been written.
        let moved = match parts.hidden {
            true => self.set_mtime((ino, fh), caller, TimeChange::At(before.0, before.1)),
            false => self.move_mtime((ino, fh), caller, before),
        };
        let bytes = bytes?;
        grown.and(moved)?;
        Ok(bytes)
    }

    /// Makes a file that ends before this end there, by a hole. It never shrinks one that others have
    /// made longer meanwhile, if the backing has fallocate(2): that takes a block, which goes again.
    fn grow(&self, (ino, fh): (Ino, Fh), caller: &Caller, end: u64) -> io::Result<()> {
        let attr = || self.tree.getattr(ino, Some(fh));
        let before = attr()?;
        if before.size >= end {
            return Ok(());
        }
        match self.tree.fallocate(caller, fh, 0, end - 1, 1) {
            Ok(()) if attr()?.blocks > before.blocks => self.free_block(fh, caller, end - 1),
            Err(error) if is_unsupported(&error) => {
                if attr()?.size < end {
                    let changes = Changes { size: Some(end), ..Changes::default() };
                    self.tree.setattr(caller, ino, Some(fh), &changes)?;
                }
                Ok(())
            }
            done => done,
        }
    }

    /// Takes from a file the block that has this byte, unless somebody has written to it.
    fn free_block(&self, fh: Fh, caller: &Caller, at: u64) -> io::Result<()> {
        let start = at - at % BLOCK;
        let data = self.tree.lseek(fh, start.cast_signed(), libc::SEEK_DATA);
        if data.is_ok_and(|data| data < start.saturating_add(BLOCK)) {
            return Ok(());
        }
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        match self.tree.fallocate(caller, fh, punch, start, BLOCK) {
            Err(error) if is_unsupported(&error) => Ok(()),
            done => done,
        }
    }

    /// Moves a time of modification on if it is not later than it was.
    fn move_mtime(
        &self,
        (ino, fh): (Ino, Fh),
        caller: &Caller,
        before: (i64, u32),
    ) -> io::Result<()> {
        if self.tree.getattr(ino, Some(fh))?.mtime > before {
            return Ok(());
        }
        self.set_mtime((ino, fh), caller, TimeChange::just_after(before))
    }

    /// Has the file that time of modification.
    fn set_mtime(&self, (ino, fh): (Ino, Fh), caller: &Caller, time: TimeChange) -> io::Result<()> {
        let changes = Changes { mtime: Some(time), ..Changes::default() };
        self.tree.setattr(caller, ino, Some(fh), &changes).map(drop)
    }
}

/// Whether the backing has no such operation.
fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EOPNOTSUPP)
}
