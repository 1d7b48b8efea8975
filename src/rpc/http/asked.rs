//! A request that is to be served, and what it brings. What is not understood is refused by name, and not
//! passed over. No locks.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::answer::Refused;
use super::json;
use super::request::Head;
use crate::fault::words;
use crate::rpc::handler::{Handler, Peer, Refusal};

/// A request that is to be served.
pub(super) struct Asked<'a> {
    pub(super) handler: &'a Handler,
    pub(super) peer: Peer<'a>,
    pub(super) head: &'a Head,
    /// What the path leaves open.
    pub(super) about: &'a str,
    pub(super) body: &'a [u8],
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::Plain(why) | Refusal::Own(why) => Refused::bad(why),
        }
    }
}

impl Asked<'_> {
    /// Whether nothing is asked but these, and nothing twice.
    pub(super) fn only_queries(&self, known: &[&str]) -> Result<(), Refused> {
        let query = &self.head.query;
        if let Some(twice) = query.twice() {
            return Err(Refused::bad(format!("{twice} stands there twice")));
        }
        match query.other_than(known) {
            None => Ok(()),
            Some(other) => {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(Refused::bad(format!("there is no {other} to ask for; there is {known}")))
            }
        }
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.head.query.get(name)
    }

    /// A number that is asked for, if it is.
    pub(super) fn number(
        &self,
        name: &str,
        bounds: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Refused> {
        let Some(text) = self.query(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let (least, most) = (bounds.start(), bounds.end());
        let wrong = || match *most {
            i64::MAX => format!("{name} must be a whole number from {least}"),
            most => format!("{name} must be a whole number from {least} to {most}"),
        };
        number.map(Some).ok_or_else(|| Refused::bad(wrong()))
    }

    /// The JSON that it brings.
    pub(super) fn json(&self) -> Result<Value, Refused> {
        json::read(self.body)
    }

    /// An object of certain fields, none of which there must be.
    pub(super) fn words<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        let value = match self.body {
            [] => Value::Object(Map::new()),
            _ => self.json()?,
        };
        serde_json::from_value(value).map_err(|error| Refused::bad(error.to_string()))
    }
}

/// A size, as a number or as typed.
pub(super) fn size(name: &str, value: Option<&Value>, usual: i64) -> Result<i64, Refused> {
    let wrong = |why: &str| Refused::bad(format!("{name}: {why}"));
    let size = match value {
        None => Ok(usual),
        Some(Value::Number(size)) => {
            size.as_i64().ok_or_else(|| wrong("it must be a whole number"))
        }
        Some(Value::String(size)) => {
            let bytes = words::bytes(size).map_err(|why| wrong(&why.to_string()))?;
            i64::try_from(bytes).map_err(|_| wrong("it is too large"))
        }
        Some(_) => Err(wrong("write a number of bytes, or a text as it is typed")),
    };
    count(name, Some(size?), usual)
}

/// How many. In the calls 0 stands for what is not given; here it is given, and means nothing.
pub(super) fn count(name: &str, value: Option<i64>, usual: i64) -> Result<i64, Refused> {
    match value {
        Some(n) if n < 1 => Err(Refused::bad(format!("{name} is {n}; it must be 1 at least"))),
        value => Ok(value.unwrap_or(usual)),
    }
}

/// A word. In the calls an empty one stands for what is not given.
pub(super) fn word(name: &str, value: Option<String>, usual: &str) -> Result<String, Refused> {
    match value {
        Some(word) if word.is_empty() => Err(Refused::bad(format!("{name} must not be empty"))),
        value => Ok(value.unwrap_or_else(|| usual.to_owned())),
    }
}

/// A time as typed.
pub(super) fn time(name: &str, text: &str) -> Result<Duration, Refused> {
    words::time(text).map_err(|why| Refused::bad(format!("{name}: {why}")))
}

/// A number of 64 bits; as text, since a program may read numbers as less exact ones.
pub(super) fn seed(value: Option<&Value>) -> Result<Option<String>, Refused> {
    let seed = match value {
        None => return Ok(None),
        Some(Value::Number(seed)) => seed.as_u64(),
        Some(Value::String(seed)) => seed.parse().ok(),
        Some(_) => None,
    };
    let seed = seed.ok_or_else(|| Refused::bad("seed must be a whole number of 64 bits"))?;
    Ok(Some(seed.to_string()))
}
