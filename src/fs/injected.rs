//! What faults have made of bytes, as those tell it who carry it out; and what is written over it. No locks.

use std::io;
use std::ops::Range;

use super::altered::Altered;
use super::op::Operands;
use super::{Core, Node};
use crate::fault::injections::{FileKey, Place, Wrong};
use crate::fault::plan::Run;
use crate::mirror::{Buffer, Fh, Ino};

/// What was to be in such a range of a request's bytes.
type Asked<'a> = &'a dyn Fn(&Range<u64>) -> io::Result<Buffer>;

/// As the injections know a file.
pub(super) fn file_key([dev, number, born]: [u64; 3]) -> FileKey {
    FileKey { dev, number, born }
}

impl Core {
    fn place(&self, inode: &Node) -> Place {
        let mut path = Vec::new();
        self.tree.path(inode, &mut path);
        Place { file: file_key(inode.key()), path: path.into() }
    }

    /// As an operation is to find it that begins only now, whenever it arrived.
    pub(super) fn guarded_now<'a>(&self, operands: Operands<'a>) -> Operands<'a> {
        Operands { guarded: self.gate.mask().guards(), ..operands }
    }

    /// Whether something that was injected in a file stands.
    pub(super) fn is_guarded(&self, inode: &Node) -> bool {
        self.gate.mask().guards() && self.gate.injections().concern(file_key(inode.key()))
    }

    /// A request that was to write so many bytes from an offset has moved so many as a fault had it.
    #[cold]
    pub(super) fn injected(
        &self,
        altered: &Altered<'_>,
        fh: Fh,
        (start, len): (u64, u64),
        moved: u64,
        asked: Asked<'_>,
    ) {
        let Ok(handle) = self.tree.handle(fh) else { return };
        let file = file_key(handle.inode().key());
        // What there is no room for no fault has taken away.
        let len = len.min(altered.room.unwrap_or(u64::MAX));
        let done = if altered.truthful { moved } else { len };
        let injections = self.gate.injections();
        injections.overwritten(file, start..start.saturating_add(done));
        let Some(source) = &altered.spoiler else { return };
        let is_cut = altered.truthful && *altered.run != Run::Whole && moved < len;
        let wrong = |range: Range<u64>| {
            let (should, offset) = (asked(&range)?, start.saturating_add(range.start));
            let (mut is, len) = (Buffer::new(), u32::try_from(should.len()).unwrap_or(u32::MAX));
            self.tree.read_back(fh, offset, len, &mut is)?;
            Ok::<_, io::Error>(Wrong::found(offset, &should, &is))
        };
        let mut wrongs = Vec::new();
        for range in altered.suspects(done) {
            match wrong(range) {
                Ok(found) => wrongs.extend(found),
                Err(error) => tracing::warn!(
                    "what {} made of inode {} is not known: {error}",
                    source.kind,
                    file.number
                ),
            }
        }
        if !is_cut && wrongs.is_empty() {
            return;
        }
        let place = self.place(handle.inode());
        if is_cut {
            let left = Wrong { offset: start.saturating_add(moved), ..Wrong::default() };
            let len = len.saturating_sub(moved);
            altered.has_injected(injections.add_transient(source, &place, &left, len));
        }
        altered.has_injected(injections.add(source, &place, wrongs));
    }

    /// An answer of a READ carries other bytes, or fewer, than there are.
    #[cold]
    pub(super) fn injected_answer(&self, altered: &Altered<'_>, ino: Ino, wrongs: &[(Wrong, u64)]) {
        let Some(source) = altered.spoiler.as_ref().filter(|_| !wrongs.is_empty()) else { return };
        let Ok(inode) = self.tree.inode(ino) else { return };
        let place = self.place(&inode);
        let injections = self.gate.injections();
        let add =
            |(wrong, len): &(Wrong, u64)| injections.add_transient(source, &place, wrong, *len);
        altered.has_injected(wrongs.iter().filter_map(add));
    }

    /// These bytes of a file were written, as nobody had it otherwise.
    #[cold]
    pub(super) fn written_over(&self, ino: Ino, bytes: Range<u64>) {
        if let Ok(inode) = self.tree.inode(ino) {
            self.gate.injections().overwritten(file_key(inode.key()), bytes);
        }
    }

    /// The same of those before the end of the file.
    #[cold]
    pub(super) fn appended_over(&self, ino: Ino, fh: Fh, len: u64) {
        match self.tree.getattr(ino, Some(fh)) {
            Ok(attr) => self.written_over(ino, attr.size.saturating_sub(len)..attr.size),
            Err(error) => tracing::debug!("inode {ino}: its end is not known: {error}"),
        }
    }

    /// The kernel is about to forget an inode: what was injected in it is found by its path from now on.
    pub(super) fn keep_path(&self, ino: Ino) {
        if !self.gate.mask().guards() {
            return;
        }
        let Ok(inode) = self.tree.inode(ino) else { return };
        if self.is_guarded(&inode) {
            let Place { file, path } = self.place(&inode);
            self.gate.injections().moved(file, path);
        }
    }
}
