//! The nearest of a list of names to a word somebody mistyped.

/// Words longer than this get no suggestion: nobody mistypes a name that much, and the word may
/// come from the network.
const LONGEST: usize = 40;

/// The candidate nearest to `word`, if it is near enough to have been meant: at most one slip
/// (insertion, deletion, substitution, swap of neighbours) per three characters, at least one.
/// Case does not matter; of equally near candidates the first is taken.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<u8> = word.bytes().map(|b| b.to_ascii_lowercase()).collect();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let bound = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate.to_ascii_lowercase().as_bytes()), candidate))
        .filter(|(slips, _)| *slips <= bound)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: edits and swaps of neighbours that turn `a` into `b`.
#[allow(clippy::indexing_slicing, reason = "rows have b.len() + 1 places; i, j stay within")]
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row = vec![0; b.len() + 1];
    for i in 0..a.len() {
        row[0] = i + 1;
        for j in 0..b.len() {
            let substituted = above[j] + usize::from(a[i] != b[j]);
            let mut best = substituted.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ops::Method;

    #[test]
    fn slips_of_the_finger_are_understood() {
        let methods = || Method::all().map(Method::name);
        assert_eq!(closest("fsycn", methods()), Some("fsync"));
        assert_eq!(closest("wirte", methods()), Some("write"));
        assert_eq!(closest("FDATASYNC", methods()), Some("fdatasync"));
        assert_eq!(closest("fdatasinc", methods()), Some("fdatasync"));
        assert_eq!(closest("colour", methods()), None);
        assert_eq!(closest("", methods()), None);
        assert_eq!(closest(&"w".repeat(5000), methods()), None);
    }

    #[test]
    fn distance_counts_a_swap_once() {
        assert_eq!(distance(b"ab", b"ba"), 1);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_zero_only_for_equals(a in "[a-c]{0,8}", b in "[a-c]{0,8}") {
            let d = distance(a.as_bytes(), b.as_bytes());
            prop_assert_eq!(d, distance(b.as_bytes(), a.as_bytes()));
            prop_assert_eq!(d == 0, a == b);
            prop_assert!(d <= a.len().max(b.len()));
        }
    }
}
