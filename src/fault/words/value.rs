//! Values of parameters as plain data.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::time::Duration;

use serde::Serialize;

/// A value: one of five shapes, for ever, since readers of other programs know no more. In JSON it is
/// the bare number, text, list or bool.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number: nanoseconds of a time, bytes of a size, a count.
    Whole(i64),
    /// A share of 1.
    Share(f64),
    /// Yes or no.
    Flag(bool),
    /// Text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
}

/// Why a value is none of its type: one clause that says what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub String);

impl From<&str> for ValueError {
    fn from(why: &str) -> ValueError {
        ValueError(why.to_owned())
    }
}

impl From<String> for ValueError {
    fn from(why: String) -> ValueError {
        ValueError(why)
    }
}

/// Values by the names of their parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Args(BTreeMap<String, Value>);

impl Args {
    /// None.
    #[must_use]
    pub(crate) fn new() -> Args {
        Args::default()
    }

    /// One more.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: Value) -> Args {
        self.insert(name, value);
        self
    }

    /// Sets one; what it was before.
    pub(crate) fn insert(&mut self, name: &str, value: Value) -> Option<Value> {
        self.0.insert(name.to_owned(), value)
    }

    /// The value of that name.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub(crate) fn iter(&self) -> btree_map::Iter<'_, String, Value> {
        self.0.iter()
    }

    /// A whole number that is not negative.
    #[must_use]
    pub(crate) fn whole(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Whole(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A time.
    #[must_use]
    pub(crate) fn time(&self, name: &str) -> Option<Duration> {
        self.whole(name).map(Duration::from_nanos)
    }

    /// A share of 1.
    #[must_use]
    pub fn share(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Share(share) => Some(*share),
            _ => None,
        }
    }

    /// A text.
    #[must_use]
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Several texts; none if there is no such value.
    #[must_use]
    pub(crate) fn texts(&self, name: &str) -> &[String] {
        match self.get(name) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }
}

impl<'a> IntoIterator for &'a Args {
    type Item = (&'a String, &'a Value);
    type IntoIter = btree_map::Iter<'a, String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<(String, Value)> for Args {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Args {
        Args(values.into_iter().collect())
    }
}

/// A count or a number of bytes or nanoseconds as data; beyond what a signed number has, the most.
pub(in crate::fault) fn whole(n: impl TryInto<i64>) -> Value {
    Value::Whole(n.try_into().unwrap_or(i64::MAX))
}
