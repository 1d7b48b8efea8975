//! What space an operation asks for. No locks.

use std::ops::Range;

use super::Core;
use super::extents::File;
use super::op::Op;
use crate::fault::ledger::{BLOCK, Used};
use crate::fault::operation::Span;
use crate::mirror::{Attr, Fh};
use crate::ops::Call;

/// What an operation asks for.
#[derive(Default)]
pub(super) struct Asked {
    /// Blocks that are not there, by their numbers in the file.
    holes: Vec<Range<u64>>,
    /// The first byte, where it may be done in part.
    start: Option<u64>,
    /// Blocks besides.
    whole: u64,
    inodes: u64,
}

impl Asked {
    pub(super) fn need(&self) -> Used {
        let holes: u64 = self.holes.iter().map(|hole| hole.end - hole.start).sum();
        Used { blocks: holes + self.whole, inodes: self.inodes }
    }

    /// How many of its bytes fit into so many blocks; none if it cannot be done.
    pub(super) fn fits(&self, mut blocks: u64) -> Option<u64> {
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

impl Core {
    /// What an operation on that file asks for, which is so before it.
    pub(super) fn asked(&self, op: &Op, file: File<'_>, before: Option<&Attr>) -> Asked {
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
                let holes = self.unmapped(fh, Span { offset: start, ..span });
                let is_whole = op.kernel || op.call == Call::Fallocate;
                Asked { holes, start: (!is_whole).then_some(start), ..Asked::default() }
            }
            _ => Asked::default(),
        }
    }

    /// The blocks of a range that the file does not have, as far as can be told.
    fn unmapped(&self, fh: Fh, span: Span) -> Vec<Range<u64>> {
        if span.len == 0 {
            return Vec::new();
        }
        let blocks = span.offset / BLOCK..span.end().div_ceil(BLOCK);
        let bytes = span.offset - span.offset % BLOCK..blocks.end.saturating_mul(BLOCK);
        let has = self.tree.blocks(fh, &bytes).unwrap_or_default();
        holes(blocks, &has)
    }
}

/// Which of these blocks have none of these bytes, ascending.
fn holes(blocks: Range<u64>, has: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut holes = Vec::new();
    let mut at = blocks.start;
    for bytes in has {
        let hole = at..(bytes.start / BLOCK).min(blocks.end);
        at = at.max(bytes.end.div_ceil(BLOCK));
        holes.extend((!hole.is_empty()).then_some(hole));
    }
    let rest = at..blocks.end;
    holes.extend((!rest.is_empty()).then_some(rest));
    holes
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

    #[test]
    fn blocks_without_a_byte_are_holes() {
        let all = |blocks: &[(u64, u64)]| -> Vec<Range<u64>> {
            blocks.iter().map(|(start, end)| *start..*end).collect()
        };
        for (has, missing) in [
            (&[][..], &[(2, 9)][..]),
            (&[(0, 2 * BLOCK)], &[(2, 9)]),
            (&[(0, 2 * BLOCK + 1)], &[(3, 9)]),
            (&[(4 * BLOCK, 5 * BLOCK), (6 * BLOCK, 7 * BLOCK)], &[(2, 4), (5, 6), (7, 9)]),
            (&[(0, 1 << 30)], &[]),
            (&[(20 * BLOCK, 21 * BLOCK)], &[(2, 9)]),
        ] {
            assert_eq!(holes(2..9, &all(has)), all(missing), "{has:?}");
        }
    }
}
