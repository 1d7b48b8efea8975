//! Ranges of bytes: `0..4096`, `64KiB..`, `..1MiB`.

use std::fmt;

use super::bytes;
use super::value::ValueError;

/// Numbers of bytes from the first up to, but without, the end; no end is all the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange {
    start: u64,
    end: Option<u64>,
}

impl ByteRange {
    /// A range as typed.
    ///
    /// # Errors
    /// It is none, or has nothing in it.
    pub(crate) fn read(text: &str) -> Result<ByteRange, ValueError> {
        let (start, end) = text.split_once("..").ok_or("write a range as in 0..4096 or 64KiB..")?;
        let bound = |text: &str| match text {
            "" => Ok(None),
            text => bytes::read(text).map(Some),
        };
        let (start, end) = (bound(start)?.unwrap_or(0), bound(end)?);
        if end.is_some_and(|end| end <= start) {
            return Err(
                format!("{text} has nothing in it: it ends where it starts or before").into()
            );
        }
        Ok(ByteRange { start, end })
    }

    /// Whether the number lies within.
    #[must_use]
    pub(crate) fn contains(self, n: u64) -> bool {
        self.start <= n && self.end.is_none_or(|end| n < end)
    }

    /// Whether so many bytes from `offset` share one with it.
    #[must_use]
    pub(crate) fn overlaps(self, offset: u64, len: u64) -> bool {
        let before_end = self.end.is_none_or(|end| offset < end);
        len > 0 && before_end && offset.saturating_add(len) > self.start
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", bytes::write(self.start))?;
        self.end.map_or(Ok(()), |end| f.write_str(&bytes::write(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_leaves_out_its_end() {
        let range = ByteRange::read("4KiB..8KiB").unwrap();
        assert!(range.contains(4096) && !range.contains(8192) && !range.contains(4095));
        for (offset, len, overlaps) in
            [(0, 4096, false), (0, 4097, true), (8191, 1, true), (8192, 9, false), (5000, 0, false)]
        {
            assert_eq!(range.overlaps(offset, len), overlaps, "{offset} {len}");
        }
        assert!(ByteRange::read("..").unwrap().overlaps(u64::MAX, 1));
    }

    #[test]
    fn ranges_read_as_written_and_empty_ones_are_refused() {
        for text in ["0..4KiB", "64KiB..", "0..1"] {
            assert_eq!(ByteRange::read(text).unwrap().to_string(), text);
        }
        assert_eq!(ByteRange::read("..1MB").unwrap().to_string(), "0..1000000");
        for text in ["", "5", "4..4", "8..4", "a..b", "-1..4"] {
            assert!(ByteRange::read(text).is_err(), "{text}");
        }
    }
}
