//! How often a fault matched in each place, for one that draws by that. No locks of its own.

use std::collections::HashMap;

/// So many places are told apart; in what comes beyond, each match is as the first there.
const MOST: usize = 1_000_000;

/// By the hash of a place.
#[derive(Default)]
pub(super) struct Places(HashMap<u64, u64>);

impl Places {
    /// How often there was one before in that place; one more from now on.
    pub(super) fn next(&mut self, place: u64) -> u64 {
        if self.0.len() >= MOST && !self.0.contains_key(&place) {
            return 0;
        }
        let count = self.0.entry(place).or_default();
        *count += 1;
        *count - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_counted_by_itself() {
        let mut places = Places::default();
        let counts = [1, 1, 2, 1, 2].map(|place| places.next(place));
        assert_eq!(counts, [0, 1, 0, 2, 1]);
    }
}
