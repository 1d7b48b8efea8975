//! Which injection stands at each byte of a file: pieces, ascending and apart. No locks of its own.

use std::collections::BTreeMap;
use std::ops::Range;

/// By where they begin: where they end, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Pieces(BTreeMap<u64, (u64, u64)>);

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole pieces that a range touches: where each begins and ends, and whose it is.
    pub(super) fn touched(&self, range: &Range<u64>) -> Vec<(Range<u64>, u64)> {
        if range.is_empty() {
            return Vec::new();
        }
        let before = self.0.range(..range.start).next_back();
        let first = before.filter(|(_, (end, _))| *end > range.start).map(|(start, _)| *start);
        let pieces = self.0.range(first.unwrap_or(range.start)..range.end);
        pieces.map(|(start, (end, id))| (*start..*end, *id)).collect()
    }

    /// Takes a range away; what it takes from each.
    pub(super) fn take(&mut self, range: &Range<u64>) -> Vec<(u64, Range<u64>)> {
        let mut taken = Vec::new();
        for (Range { start, end }, id) in self.touched(range) {
            self.0.remove(&start);
            if start < range.start {
                self.0.insert(start, (range.start, id));
            }
            if end > range.end {
                self.0.insert(range.end, (end, id));
            }
            taken.push((id, start.max(range.start)..end.min(range.end)));
        }
        taken
    }

    /// Adds a range of which nothing is there.
    pub(super) fn put(&mut self, range: &Range<u64>, id: u64) {
        if !range.is_empty() {
            self.0.insert(range.start, (range.end, id));
        }
    }

    /// What stands of one within this range.
    pub(super) fn of(&self, id: u64, within: &Range<u64>) -> Vec<Range<u64>> {
        let pieces = self.0.range(within.start..within.end.max(within.start));
        pieces.filter(|(_, (_, of))| *of == id).map(|(start, (end, _))| *start..*end).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As an array of bytes would have it.
        #[test]
        fn each_byte_is_of_the_last(
            steps in prop::collection::vec((0u64..100, 1u64..40, any::<bool>()), 1..40),
        ) {
            let (mut pieces, mut bytes) = (Pieces::default(), [0u64; 140]);
            for ((start, len, puts), id) in steps.into_iter().zip(1..) {
                let range = start..start + len;
                let place = start as usize..(start + len) as usize;
                let mut gone = bytes[place.clone()].to_vec();
                gone.retain(|id| *id != 0);
                let taken = pieces.take(&range);
                prop_assert_eq!(taken.iter().map(|(_, r)| r.end - r.start).sum::<u64>(), gone.len() as u64);
                prop_assert!(taken.iter().all(|(id, r)| bytes[r.start as usize] == *id));
                if puts {
                    pieces.put(&range, id);
                }
                bytes[place].fill(if puts { id } else { 0 });
                for one in 1..=id {
                    let left = pieces.of(one, &(0..140));
                    let has = |at: usize| left.iter().any(|r| r.contains(&(at as u64)));
                    prop_assert!(bytes.iter().enumerate().all(|(at, id)| has(at) == (*id == one)));
                }
            }
        }
    }
}
