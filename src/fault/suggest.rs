//! The nearest of a list of names to a word somebody mistyped.

use strsim::osa_distance;

/// Words longer than this get no suggestion: nobody mistypes a name that much, and the word may
/// come from the network.
const LONGEST: usize = 40;

/// The candidate nearest to `word`, if it is near enough to have been meant: at most one slip
/// (insertion, deletion, substitution, swap of neighbours) per three characters, at least one.
/// Case does not matter; of equally near candidates the first is taken.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    if word.is_empty() || word.len() > LONGEST {
        return None;
    }
    let bound = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(slips, _)| *slips <= bound)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
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
}
