//! Space that operations take and give back, for faults that count it: reserved before one runs, settled
//! once it has. No locks: a ledger has one, for memory work.

use std::ops::Range;
use std::{io, iter};

use super::Core;
use super::extents::File;
use super::injected::file_key;
use super::op::{Op, Operands};
use super::struck::Struck;
use crate::fault::Shared;
use crate::fault::injections::FileKey;
use crate::fault::ledger::{BLOCK, Used};
use crate::fault::operation::Span;
use crate::fault::plan::Run;
use crate::mirror::{Attr, Fh, Ino};
use crate::ops::Call;

/// What an operation has reserved, to be settled.
pub(super) struct Charge<'a> {
    file: File<'a>,
    /// As the ledgers know it, if it was there.
    key: Option<FileKey>,
    /// Of each ledger what it got, and whether it is told of the file.
    shares: Vec<(Shared<'a>, Used)>,
    /// So many of its bytes are let through, if not all are.
    bytes: Option<u64>,
}

impl Charge<'_> {
    /// How much of it runs then.
    pub(super) fn limited(&self, run: &Run) -> Option<Run> {
        let bytes = self.bytes?;
        Some(run.both(&Run::Part(iter::once(0..bytes).collect())))
    }

    /// It has not run, or made nothing.
    fn drop_all(self) {
        for (shared, reserved) in &self.shares {
            if let Some(key) = self.key {
                shared.ledger.end(key, 0, None);
            }
            shared.ledger.release(*reserved);
        }
    }
}

impl Core {
    /// Reserves what an operation takes. None if nothing counts that.
    ///
    /// # Errors
    /// It does not fit: what it is answered.
    pub(super) fn charge<'a>(
        &self,
        op: &Op,
        operands: Operands<'a>,
        struck: &'a Struck,
    ) -> Result<Option<Charge<'a>>, io::Error> {
        let mut ledgers = struck.hit.ledgers().peekable();
        if ledgers.peek().is_none() {
            return Ok(None);
        }
        let Some(file) = self.changed_file(op, operands) else { return Ok(None) };
        let key = match file {
            File::Known(ino) => match self.charged_as(ino) {
                None => return Ok(None),
                known => known,
            },
            File::New(..) => None,
        };
        let ledgers: Vec<_> = ledgers.collect();
        key.iter().for_each(|key| ledgers.iter().for_each(|shared| shared.ledger.begin(*key)));
        let before = self.attr_before(op, file);
        if let (File::Known(ino), Some(key), Some(before)) = (file, key, &before) {
            // As it is looked at afterwards, so that it is not taken for there once it was given back.
            let there = (!self.is_gone(ino, before)).then_some(before);
            let found = |shared: &Shared<'_>| shared.ledger.found(key, used(shared, there));
            ledgers.iter().for_each(found);
        }
        let owner = before.map_or(op.caller.uid, |attr| attr.uid);
        let asked = self.asked(op, file, before.as_ref());
        let mut charge = Charge { file, key, shares: Vec::new(), bytes: None };
        let mut refused = None;
        for shared in ledgers {
            let limits = shared.limits() && shared.ledger.charges(owner);
            let need = if limits { asked.need() } else { Used::default() };
            let got = shared.ledger.reserve(need);
            let reserved = got.map_or_else(Used::default, |blocks| Used { blocks, ..need });
            if refused.is_none() && reserved != need {
                let bytes = asked.fits(reserved.blocks).filter(|_| got.is_some());
                shared.acts(bytes.is_none());
                match bytes {
                    Some(bytes) => charge.bytes = Some(charge.bytes.unwrap_or(bytes).min(bytes)),
                    None => refused = Some(shared.ledger.errno()),
                }
            }
            charge.shares.push((shared, reserved));
        }
        match refused {
            None => Ok(Some(charge)),
            Some(errno) => {
                charge.drop_all();
                Err(io::Error::from_raw_os_error(errno.raw()))
            }
        }
    }

    /// Settles what an operation has come to take that has run, and made what it makes if it is done.
    pub(super) fn settle(&self, op: &Op, charge: Charge<'_>, done: bool) {
        let tickets: Vec<_> = charge.shares.iter().map(|(s, _)| s.ledger.ticket()).collect();
        let file = match charge.file {
            File::New(dir, name) => match self.tree.known_at(dir, name).filter(|_| done) {
                Some(inode) => File::Known(inode.ino()),
                None => return charge.drop_all(),
            },
            known @ File::Known(_) => known,
        };
        let File::Known(ino) = file else { return };
        let after = self.attr_after(op, ino);
        let made = self.charged_as(ino).filter(|_| charge.key.is_none());
        for ((shared, reserved), ticket) in charge.shares.iter().zip(tickets) {
            let now = after.as_ref().map(|after| used(shared, after.as_ref()));
            if let Some(key) = charge.key {
                shared.ledger.end(key, ticket, now);
            }
            if let (Some(key), Some(now)) = (made, now) {
                shared.ledger.add(key, now);
            }
            shared.ledger.release(*reserved);
        }
    }

    fn charged_as(&self, ino: Ino) -> Option<FileKey> {
        self.tree.inode(ino).ok().map(|inode| file_key(inode.key()))
    }

    /// What an operation asks for.
    fn asked(&self, op: &Op, file: File<'_>, before: Option<&Attr>) -> Asked {
        let is_new = matches!(file, File::New(..));
        let inodes = |blocks| Asked { inodes: 1, whole: blocks, ..Asked::default() };
        match (op.call, op.span, op.fh, before) {
            (Call::Mkdir, ..) if is_new => inodes(1),
            (Call::Create | Call::Mknod | Call::Symlink, ..) if is_new => inodes(0),
            (Call::Write | Call::CopyTo | Call::Fallocate, Some(span), Some(fh), Some(attr))
                if !op.frees =>
            {
                let appends = op.call == Call::Write && op.flags & libc::O_APPEND != 0;
                let start = if appends && !op.kernel { attr.size } else { span.offset };
                let holes = self.unmapped(fh, attr, Span { offset: start, ..span });
                let is_whole = op.kernel || op.call == Call::Fallocate;
                Asked { holes, start: (!is_whole).then_some(start), ..Asked::default() }
            }
            _ => Asked::default(),
        }
    }

    /// The blocks of a range that the file does not have, as far as can be told.
    fn unmapped(&self, fh: Fh, attr: &Attr, span: Span) -> Vec<Range<u64>> {
        let mut blocks = span.offset / BLOCK..span.end().div_ceil(BLOCK);
        let (mapped, size) = (attr.blocks.div_ceil(BLOCK / 512), attr.size.div_ceil(BLOCK));
        if span.len == 0 {
            return Vec::new();
        }
        if mapped >= size {
            // Without holes what it has are its first ones, also ahead of its end.
            blocks.start = blocks.start.max(mapped);
            return if blocks.is_empty() { Vec::new() } else { vec![blocks] };
        }
        let seek = |at: u64, whence| {
            let at = i64::try_from(at.saturating_mul(BLOCK)).ok()?;
            self.tree.lseek(fh, at, whence).ok()
        };
        let mut holes: Vec<Range<u64>> = Vec::new();
        let mut at = blocks.start;
        while at < blocks.end.min(size) {
            let data = seek(at, libc::SEEK_DATA).map_or(size, |data| data / BLOCK);
            let end = data.min(blocks.end);
            holes.extend((at < end).then_some(at..end));
            let Some(hole) = seek(end, libc::SEEK_HOLE) else { break };
            at = hole.div_ceil(BLOCK).max(end + 1);
        }
        let beyond = blocks.start.max(size)..blocks.end;
        holes.extend((!beyond.is_empty()).then_some(beyond));
        holes
    }
}

/// What of a file is charged to it, if it is there.
fn used(shared: &Shared<'_>, attr: Option<&Attr>) -> Used {
    let charged = attr.filter(|attr| shared.ledger.charges(attr.uid));
    let blocks = |attr: &Attr| attr.blocks.div_ceil(BLOCK / 512);
    charged.map_or_else(Used::default, |attr| Used { blocks: blocks(attr), inodes: 1 })
}

/// What an operation asks for.
#[derive(Default)]
struct Asked {
    /// Blocks that are not there, by their numbers in the file.
    holes: Vec<Range<u64>>,
    /// The first byte, where it may be done in part.
    start: Option<u64>,
    /// Blocks besides.
    whole: u64,
    inodes: u64,
}

impl Asked {
    fn need(&self) -> Used {
        let holes: u64 = self.holes.iter().map(|hole| hole.end - hole.start).sum();
        Used { blocks: holes + self.whole, inodes: self.inodes }
    }

    /// How many of its bytes fit into so many blocks; none if it cannot be done.
    fn fits(&self, mut blocks: u64) -> Option<u64> {
        let start = self.start?;
        for hole in &self.holes {
            let len = hole.end - hole.start;
            if len > blocks {
                let end = (hole.start + blocks).saturating_mul(BLOCK);
                return Some(end.saturating_sub(start)).filter(|bytes| *bytes > 0);
            }
            blocks -= len;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_ends_where_the_first_block_is_missing() {
        let asked = |holes: &[Range<u64>], start| Asked {
            holes: holes.to_vec(),
            start: Some(start),
            ..Asked::default()
        };
        // From byte 4,000 on; blocks 1 and 2 are there.
        let some = asked(&[0..1, 3..5], 4_000);
        assert_eq!(some.need(), Used { blocks: 3, inodes: 0 });
        assert_eq!([0, 1, 2].map(|blocks| some.fits(blocks)), [None, Some(8288), Some(12384)]);
        assert_eq!(asked(&[2..3, 3..4], 4_000).fits(0), Some(4192), "what is written over");
        assert_eq!(Asked { start: None, ..some }.fits(2), None, "all or nothing");
    }
}
