//! A fast hash of numbers. No locks.

use std::hash::{Hash, Hasher};

/// A fast hasher for numbers that nobody gains by choosing badly.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_i64(&mut self, n: i64) {
        self.write_u64(n.cast_unsigned());
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
}

/// The values in 64 bits; others give others but for one chance in as many.
pub(super) fn digest(of: &impl Hash) -> u64 {
    let mut hash = Mix::default();
    of.hash(&mut hash);
    hash.finish()
}
