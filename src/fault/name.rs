//! What a fault may be called. No locks.

use std::fmt;

use super::error::SpecError;
use super::kinds::KINDS;
use crate::ops::Method;

/// A fault's name: `[a-z][a-z0-9_-]*`, at most 64 bytes, no method, no kind and not `all`, so that
/// it is told apart from these wherever one of them may stand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(Box<str>);

/// The longest, in bytes.
const LONGEST: usize = 64;

impl Name {
    /// That name.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn new(name: &str) -> Result<Name, SpecError> {
        let refuse = |why| Err(SpecError::Name(name.chars().take(LONGEST).collect(), why));
        let first = name.starts_with(|c: char| c.is_ascii_lowercase());
        let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if !first || !name.chars().all(rest) {
            return refuse("it begins with one of a to z and has these, 0 to 9, _ and - only");
        }
        if name.len() > LONGEST {
            return refuse("it has 64 bytes at most");
        }
        if name == "all" {
            return refuse("it stands for every method");
        }
        if Method::from_name(name).is_some() {
            return refuse("it is a method");
        }
        if KINDS.iter().any(|kind| kind.name() == name) {
            return refuse("it is a kind of fault");
        }
        Ok(Name(name.into()))
    }

    /// As text.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_other_word() {
        for name in ["slow", "slow-wal_2", &"a".repeat(64)] {
            assert_eq!(Name::new(name).unwrap().as_str(), name);
        }
        for name in ["", "1", "Slow", "a b", "fsync", "delay", "all", "-a", &"a".repeat(65)] {
            let why = Name::new(name).unwrap_err().to_string();
            assert!(why.contains("cannot be a fault's name") && !why.contains('\n'), "{why}");
            assert_eq!(why.ends_with("it is a method"), name == "fsync", "{why}");
        }
    }
}
