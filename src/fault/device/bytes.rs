//! Where bytes lie, and how long they take. No locks.

use crate::fault::rate::SECOND;

/// A byte of a file: its inode, its offset.
pub(super) type Byte = (u64, u64);

/// How long so many bytes take, at so many a second; rounded up.
pub(super) fn transfer(len: u64, each_second: Option<u64>) -> u64 {
    let Some(each_second) = each_second else { return 0 };
    let time = (u128::from(len) * u128::from(SECOND)).div_ceil(u128::from(each_second));
    u64::try_from(time).unwrap_or(u64::MAX)
}
