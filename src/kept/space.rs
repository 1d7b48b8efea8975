//! What is free of a file that others' parts come into and leave. No locks of its own.

use std::collections::BTreeMap;

/// What is free of the file: its parts by where they begin, and where it ends.
#[derive(Default)]
pub(super) struct Space {
    free: BTreeMap<u64, u64>,
    end: u64,
}

impl Space {
    /// The first part that is large enough.
    pub(super) fn take(&mut self, len: u64) -> u64 {
        let found = self.free.iter().find(|(_, free)| **free >= len).map(|(at, free)| (*at, *free));
        let Some((at, free)) = found else {
            let at = self.end;
            self.end += len;
            return at;
        };
        self.free.remove(&at);
        if free > len {
            self.free.insert(at + len, free - len);
        }
        at
    }

    /// Gives a part back. Its neighbours join it; the last ends the file earlier.
    pub(super) fn give(&mut self, mut at: u64, mut len: u64) {
        if let Some(next) = self.free.remove(&(at + len)) {
            len += next;
        }
        let before = self.free.range(..at).next_back().map(|(at, len)| (*at, *len));
        if let Some((start, free)) = before.filter(|(start, free)| start + free == at) {
            self.free.remove(&start);
            (at, len) = (start, len + free);
        }
        if at + len == self.end {
            self.end = at;
        } else {
            self.free.insert(at, len);
        }
    }

    /// How long the file is.
    #[cfg(test)]
    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_never_given_twice() {
        let mut space = Space::default();
        let mut taken: Vec<(u64, u64)> = Vec::new();
        let mut dice = 1u64;
        for _ in 0..5000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let len = (dice >> 60) + 1;
            if dice >> 32 & 1 == 0 || taken.is_empty() {
                let at = space.take(len);
                assert!(taken.iter().all(|(a, l)| at + len <= *a || a + l <= at));
                taken.push((at, len));
            } else {
                let (at, len) = taken.swap_remove((dice >> 40) as usize % taken.len());
                space.give(at, len);
            }
        }
        taken.drain(..).for_each(|(at, len)| space.give(at, len));
        assert_eq!((space.end, space.free.len()), (0, 0));
    }
}
