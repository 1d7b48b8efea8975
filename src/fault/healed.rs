//! Stretches of files, so many at most in all. No locks: who has them has one.

use std::collections::{BTreeMap, HashMap};

/// How many stretches there may be: a few mebibytes of memory.
pub(super) const MOST: usize = 1 << 16;

/// Stretches of files, by inode. They lie apart: those that touch are one.
#[derive(Debug, Default)]
pub(super) struct Healed {
    /// Where each begins, and the first place behind it.
    files: HashMap<u64, BTreeMap<u64, u64>>,
    count: usize,
}

impl Healed {
    /// Whether that place of a file lies in one.
    pub(super) fn has(&self, inode: u64, at: u64) -> bool {
        let before = self.files.get(&inode).and_then(|own| own.range(..=at).next_back());
        before.is_some_and(|(_, end)| at < *end)
    }

    /// Adds the places from `start` up to `end`. False if there are too many stretches already, and it
    /// would be one more.
    pub(super) fn add(&mut self, inode: u64, mut start: u64, mut end: u64) -> bool {
        if start >= end {
            return true;
        }
        let own = self.files.entry(inode).or_default();
        let before = own.len();
        // Those that it touches, from the last on: each ends before the next begins.
        while let Some((from, to)) = own.range(..=end).next_back().map(|(from, to)| (*from, *to)) {
            if to < start {
                break;
            }
            own.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        let fits = self.count < MOST || own.len() < before;
        if fits {
            own.insert(start, end);
        }
        self.count = self.count + own.len() - before;
        fits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_had_as_by_a_set(added in prop::collection::vec((0u64..60, 0u64..9), 0..40)) {
            let mut healed = Healed::default();
            let mut set = std::collections::HashSet::new();
            for (start, len) in added {
                prop_assert!(healed.add(7, start, start + len));
                set.extend(start..start + len);
                for at in 0..70 {
                    prop_assert_eq!(healed.has(7, at), set.contains(&at));
                }
            }
            let starts = set.iter().filter(|at| **at == 0 || !set.contains(&(*at - 1))).count();
            prop_assert_eq!(healed.count, starts);
            prop_assert!(!healed.has(8, 0));
        }
    }

    #[test]
    fn there_are_so_many_stretches_and_no_more() {
        let mut healed = Healed::default();
        (0..MOST as u64).for_each(|n| assert!(healed.add(n % 7, 4 * n, 4 * n + 1)));
        assert!(!healed.add(8, 0, 1) && !healed.has(8, 0));
        assert!(healed.add(0, 1, 2) && healed.has(0, 1), "it makes one of them longer");
        assert_eq!(healed.count, MOST);
    }
}
