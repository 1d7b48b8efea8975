//! The buffer that a read fills, laid where the kernel copies fast.
//!
//! Invariant: its bytes begin 64 bytes behind the start of a page. Pages of a file are copied to it
//! from their start; to a place that is up to 63 bytes behind a page's start some processors copy five
//! times slower (seen on AMD EPYC), since each store looks as if the next load depended on it. The
//! allocator lays large blocks 16 bytes behind one. No locks.

use std::ops::{Deref, DerefMut};

const PAGE: usize = 4096;
/// Where in a page the bytes begin.
const BEHIND: usize = 64;

/// What was read; used again, it keeps its room.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// What lies before the bytes, and the bytes.
    room: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// One that has no room yet.
    #[must_use]
    pub(crate) const fn new() -> Buffer {
        Buffer { room: Vec::new(), start: 0 }
    }

    /// Empties it.
    fn clear(&mut self) {
        self.room.truncate(self.start);
    }

    /// Leaves it so many of its bytes at most.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.room.truncate(self.start.saturating_add(len));
    }

    /// Empties it and makes room for so many bytes, which are then appended.
    #[inline]
    pub(super) fn begin(&mut self, size: usize) -> &mut Vec<u8> {
        self.clear();
        if self.room.capacity() - self.start < size {
            self.grow(size);
        }
        &mut self.room
    }

    #[cold]
    fn grow(&mut self, size: usize) {
        self.room = Vec::with_capacity(size + PAGE);
        self.start = BEHIND.wrapping_sub(self.room.as_ptr().addr()) % PAGE;
        self.room.resize(self.start, 0);
    }
}

impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::new();
        buffer.begin(bytes.len()).extend_from_slice(bytes);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.room.get(self.start..).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.room.get_mut(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_begin_at_their_place_in_a_page_whatever_the_size() {
        let mut buffer = Buffer::default();
        for size in [0, 1, 4096, 1 << 17, 1 << 20, 10, 1 << 21] {
            let room = buffer.begin(size);
            assert!(room.capacity() - room.len() >= size, "{size}: room without moving");
            room.extend(std::iter::repeat_n(7, size));
            assert_eq!(buffer.len(), size);
            assert!(buffer.iter().all(|byte| *byte == 7));
            assert!(size == 0 || buffer.as_ptr().addr() % PAGE == BEHIND, "{size}");
        }
        buffer.clear();
        assert!(buffer.is_empty());
    }
}
