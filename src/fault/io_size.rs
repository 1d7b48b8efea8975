//! How operations are counted by their size, as cloud disks count them. No locks.

use super::words::{Param, ParamType};

/// The parameter that tells it.
pub(super) const IO_SIZE: &str = "io_size";

/// The same, with what it says.
pub(super) const PARAM: Param = Param::optional(
    IO_SIZE,
    ParamType::Size,
    "the most bytes that count as one operation [default: 256KiB]",
);

/// How many bytes count as one operation at most, unless told.
pub(super) const DEFAULT: u64 = 256 << 10;

/// How many operations a request of so many bytes is.
pub(super) fn operations(len: u64, io_size: u64) -> u64 {
    len.div_ceil(io_size).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_one_counts_as_several_and_none_as_nothing() {
        assert_eq!([0, 1, 4096, 4097, 8193].map(|len| operations(len, 4096)), [1, 1, 1, 2, 3]);
    }
}
