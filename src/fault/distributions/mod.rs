//! How long: a time, or times that are distributed. A distribution is one file and one line of
//! [`DISTRIBUTIONS`].
//!
//! Each draws one even number between 0 and 1 and answers a time; what is asked is the same in
//! every program that computes it. No locks.

mod fixed;
mod uniform;

use std::fmt;
use std::time::Duration;

use super::words::{Value, ValueError};

/// How long, for an even number between 0 and 1.
pub(super) trait Distribution: fmt::Debug + Send + Sync {
    /// The time at `u`, which is above 0 and below 1.
    fn at(&self, u: f64) -> Duration;

    /// As data: nanoseconds of a time, else the text that reads the same.
    fn value(&self) -> Value;

    /// Whether it never holds anything.
    fn is_zero(&self) -> bool {
        false
    }
}

/// A form in which a distribution is written.
pub(super) struct Form {
    /// What stands before the colon; empty for a time.
    pub name: &'static str,
    /// How it is written.
    pub form: &'static str,
    read: fn(&str) -> Result<Box<dyn Distribution>, ValueError>,
}

/// Every form.
pub(super) const DISTRIBUTIONS: &[Form] = &[fixed::FORM, uniform::FORM];

/// All forms, for people.
#[must_use]
pub(super) fn forms() -> String {
    DISTRIBUTIONS.iter().map(|form| form.form).collect::<Vec<_>>().join("|")
}

/// A distribution as typed.
///
/// # Errors
/// It is none; one clause that says what would be.
pub(super) fn read(text: &str) -> Result<Box<dyn Distribution>, ValueError> {
    let (name, rest) = text.split_once(':').unwrap_or(("", text));
    match DISTRIBUTIONS.iter().find(|form| form.name == name) {
        Some(form) => (form.read)(rest),
        None => Err(format!("no distribution is called {name}; write {}", forms()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_begin_their_forms() {
        for (place, form) in DISTRIBUTIONS.iter().enumerate() {
            assert!(form.form.starts_with(form.name), "{}", form.name);
            let earlier = DISTRIBUTIONS.iter().take(place);
            assert!(earlier.map(|other| other.name).all(|name| name != form.name));
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for text in ["300ms", "0s", "1h"] {
            let value = read(text).unwrap().value();
            let Value::Whole(ns) = value else { unreachable!("{value:?}") };
            assert_eq!(read(text).unwrap().at(0.5).as_nanos(), u128::from(ns.unsigned_abs()));
        }
        assert!(read("even:1ms").unwrap_err().to_string().contains("no distribution"));
    }
}
