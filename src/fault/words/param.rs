//! What a parameter takes: its type reads text, straightens data, and writes what would be typed.

use std::collections::BTreeSet;

use super::errno::Errno;
use super::range::ByteRange;
use super::value::{Value, ValueError, whole};
use super::{bytes, share, time};
use crate::fault::distributions;
use crate::fault::ramp::Ramp;
use crate::fault::suggest::closest;
use crate::ops::{Method, MethodSet};

/// One parameter of a kind, or one option of every fault.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name: `--NAME` on the command line, the key of Thrift's map.
    pub name: &'static str,
    /// What it takes.
    pub of: ParamType,
    /// Whether it is what stands behind the kind's name, without its own.
    pub first: bool,
    /// Whether the kind cannot do without it.
    pub required: bool,
    /// What it says, in one clause.
    pub about: &'static str,
}

impl Param {
    /// One that a kind can do without, by its name only.
    pub(crate) const fn optional(name: &'static str, of: ParamType, about: &'static str) -> Param {
        Param { name, of, first: false, required: false, about }
    }

    /// Its long word on the command line.
    #[must_use]
    pub(crate) fn word(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// What a parameter takes. The straightened value of each is named in parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// A time, as `300ms` (nanoseconds, whole).
    Time,
    /// A size, as `64KiB` (bytes, whole).
    Size,
    /// A number from 0 (whole).
    Count,
    /// A number from 1 (whole).
    Positive,
    /// A share of 1, as `1%` (share).
    Share,
    /// Set or not (flag).
    Flag,
    /// Names or numbers of errors, or `random` alone (texts).
    Errnos,
    /// One of these words (text).
    Choice(&'static [&'static str]),
    /// Several of these words, each once, in this order (texts).
    Choices(&'static [&'static str]),
    /// Numbers of users or processes (texts).
    Numbers,
    /// Names of methods, or `all` (texts).
    Methods,
    /// A range of bytes, as `0..4KiB` (text).
    Range,
    /// A time, or how times are distributed (nanoseconds of a time, whole; else text).
    Distribution,
    /// A factor that grows, as `x1..x20/60s` (text).
    Ramp,
    /// What the kind itself reads; shown as this form (text).
    Form(&'static str),
}

impl ParamType {
    /// A value as typed, straightened. Several are parted by commas.
    ///
    /// # Errors
    /// One clause that says what would be right.
    pub(crate) fn read(self, text: &str) -> Result<Value, ValueError> {
        match self {
            ParamType::Time => Ok(whole(time::read(text)?.as_nanos())),
            ParamType::Size => Ok(whole(bytes::read(text)?)),
            ParamType::Count => number(text, 0),
            ParamType::Positive => number(text, 1),
            ParamType::Share => Ok(Value::Share(share::read(text)?)),
            ParamType::Flag => flag(text),
            ParamType::Choice(words) => Ok(Value::Text(choice(text, words)?.to_owned())),
            ParamType::Range => Ok(Value::Text(ByteRange::read(text)?.to_string())),
            ParamType::Distribution => Ok(distributions::read(text)?.value()),
            ParamType::Ramp => Ok(Value::Text(Ramp::read(text)?.to_string())),
            ParamType::Form(_) => Ok(Value::Text(text.to_owned())),
            ParamType::Errnos | ParamType::Choices(_) | ParamType::Numbers | ParamType::Methods => {
                self.read_list(text.split(','))
            }
        }
    }

    /// A value that came as data, straightened: text counts as typed.
    ///
    /// # Errors
    /// As [`ParamType::read`], or it is of another shape.
    pub(crate) fn straighten(self, value: &Value) -> Result<Value, ValueError> {
        match (self, value) {
            (_, Value::Text(text)) => self.read(text),
            (_, Value::Texts(texts)) if self.is_list() => {
                self.read_list(texts.iter().map(String::as_str))
            }
            (ParamType::Time | ParamType::Size | ParamType::Count, Value::Whole(n))
            | (ParamType::Distribution, Value::Whole(n)) => at_least(*n, 0),
            (ParamType::Positive, Value::Whole(n)) => at_least(*n, 1),
            (ParamType::Errnos | ParamType::Numbers, Value::Whole(n)) => self.read(&n.to_string()),
            (ParamType::Share, Value::Share(share)) if (0.0..=1.0).contains(share) => {
                Ok(value.clone())
            }
            (ParamType::Share, Value::Share(share)) => {
                Err(format!("{share} is not from 0 to 1").into())
            }
            // Programs that have one kind of number write 1 for 1.0.
            (ParamType::Share, Value::Whole(0)) => Ok(Value::Share(0.0)),
            (ParamType::Share, Value::Whole(1)) => Ok(Value::Share(1.0)),
            (ParamType::Flag, Value::Flag(_)) => Ok(value.clone()),
            _ => Err(format!("it takes {}", self.form()).into()),
        }
    }

    /// A straightened value as it would be typed.
    #[must_use]
    pub(crate) fn write(self, value: &Value) -> String {
        match (self, value) {
            (ParamType::Time | ParamType::Distribution, Value::Whole(ns)) => {
                time::write(std::time::Duration::from_nanos(ns.unsigned_abs()))
            }
            (ParamType::Size, Value::Whole(n)) => bytes::write(n.unsigned_abs()),
            (_, Value::Whole(n)) => n.to_string(),
            (_, Value::Share(share)) => share::write(*share),
            (_, Value::Flag(flag)) => flag.to_string(),
            (_, Value::Text(text)) => text.clone(),
            (_, Value::Texts(texts)) => texts.join(","),
        }
    }

    /// Its name, for programs.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            ParamType::Time => "time",
            ParamType::Size => "size",
            ParamType::Count | ParamType::Positive => "count",
            ParamType::Share => "share",
            ParamType::Flag => "flag",
            ParamType::Errnos => "errnos",
            ParamType::Choice(_) => "choice",
            ParamType::Choices(_) => "choices",
            ParamType::Numbers => "numbers",
            ParamType::Methods => "methods",
            ParamType::Range => "range",
            ParamType::Distribution => "distribution",
            ParamType::Ramp => "ramp",
            ParamType::Form(_) => "text",
        }
    }

    /// How a word that takes it is typed: `--for TIME`; a flag alone.
    #[must_use]
    pub(crate) fn typed(self, word: &str) -> String {
        match self {
            ParamType::Flag => format!("--{word}"),
            of => format!("--{word} {}", of.form()),
        }
    }

    /// What it takes, for people: `TIME`, `N`, `before|after`.
    #[must_use]
    pub(crate) fn form(self) -> String {
        match self {
            ParamType::Time => "TIME".to_owned(),
            ParamType::Size => "SIZE".to_owned(),
            ParamType::Count | ParamType::Positive => "N".to_owned(),
            ParamType::Share => "SHARE".to_owned(),
            ParamType::Flag => "true|false".to_owned(),
            ParamType::Errnos => "ERRNO,...|random".to_owned(),
            ParamType::Choice(words) => words.join("|"),
            ParamType::Choices(words) => format!("{},...", words.join("|")),
            ParamType::Numbers => "N,...".to_owned(),
            ParamType::Methods => "METHOD,...".to_owned(),
            ParamType::Range => "A..B".to_owned(),
            ParamType::Distribution => "TIME|DISTRIBUTION".to_owned(),
            ParamType::Ramp => "xA..xB/TIME".to_owned(),
            ParamType::Form(form) => form.to_owned(),
        }
    }

    /// The same for programs, with each form of a distribution.
    #[must_use]
    pub(crate) fn forms(self) -> String {
        match self {
            ParamType::Distribution => distributions::forms(),
            of => of.form(),
        }
    }

    /// Whether it takes several, parted by commas.
    pub(super) fn is_list(self) -> bool {
        let texts = matches!(self, ParamType::Errnos | ParamType::Numbers | ParamType::Methods);
        texts || matches!(self, ParamType::Choices(_))
    }

    fn read_list<'a>(self, words: impl Iterator<Item = &'a str>) -> Result<Value, ValueError> {
        let words: Vec<&str> = words.map(str::trim).collect();
        if words.iter().all(|word| word.is_empty()) {
            return Err(format!("it takes {}", self.form()).into());
        }
        if words.contains(&"") {
            return Err(
                format!("a word is missing beside a comma; it takes {}", self.form()).into()
            );
        }
        let texts = match self {
            ParamType::Errnos => errnos(&words)?,
            ParamType::Choices(known) => choices(&words, known)?,
            ParamType::Methods => methods(&words)?,
            _ => words.iter().map(|word| id(word)).collect::<Result<_, _>>()?,
        };
        Ok(Value::Texts(texts))
    }
}

fn number(text: &str, least: i64) -> Result<Value, ValueError> {
    let n = text.parse().map_err(|_| ValueError::from("write a whole number"))?;
    at_least(n, least)
}

fn at_least(n: i64, least: i64) -> Result<Value, ValueError> {
    match n {
        n if n >= least => Ok(Value::Whole(n)),
        n if n < 0 => Err(format!("{n}: it must not be negative").into()),
        n => Err(format!("{n}: it must be {least} at least").into()),
    }
}

fn flag(text: &str) -> Result<Value, ValueError> {
    text.parse().map(Value::Flag).map_err(|_| "it is true or false".into())
}

fn choice<'a>(word: &str, known: &[&'a str]) -> Result<&'a str, ValueError> {
    let found = known.iter().find(|known| **known == word).copied();
    found.ok_or_else(|| match closest(word, known.iter().copied()) {
        Some(near) => {
            format!("{word} is none of {}; did you mean {near}?", known.join(", ")).into()
        }
        None => format!("{word} is none of {}", known.join(", ")).into(),
    })
}

fn choices(words: &[&str], known: &[&'static str]) -> Result<Vec<String>, ValueError> {
    let chosen =
        words.iter().map(|word| choice(word, known)).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(known.iter().filter(|word| chosen.contains(*word)).map(|w| (*w).to_owned()).collect())
}

fn id(word: &str) -> Result<String, ValueError> {
    let id: Result<u32, _> = word.parse();
    id.map(|id| id.to_string())
        .map_err(|_| format!("{word:?} is no whole number from 0 to {}", u32::MAX).into())
}

/// Each once, sorted.
fn methods(words: &[&str]) -> Result<Vec<String>, ValueError> {
    let mut set = MethodSet::EMPTY;
    for word in words {
        set = set.union(match Method::from_word(word) {
            Some(method) => method.into(),
            None if word.eq_ignore_ascii_case("all") => MethodSet::ALL,
            None => {
                let near = Method::comes_as(word).map(|methods| format!("; write {methods}"));
                let near = near.or_else(|| {
                    let near = closest(word, Method::all().map(Method::name))?;
                    Some(format!("; did you mean {near}?"))
                });
                return Err(format!("no method {word}{}", near.unwrap_or_default()).into());
            }
        });
    }
    Ok(set.names().into_iter().map(str::to_owned).collect())
}

/// By name where they have one; `random` stands alone.
fn errnos(words: &[&str]) -> Result<Vec<String>, ValueError> {
    let is_random = |word: &&str| word.eq_ignore_ascii_case("random");
    match words {
        [word] if is_random(word) => return Ok(vec!["random".to_owned()]),
        words if words.iter().any(is_random) => {
            return Err("named errnos and a random one exclude each other".into());
        }
        _ => {}
    }
    let name = |word: &&str| Errno::from_word(word).map(|errno| errno.to_string());
    words.iter().map(name).collect::<Result<_, _>>().map_err(|e| ValueError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &[&str] = &["sync", "dsync", "direct"];

    #[test]
    fn each_type_reads_writes_and_takes_its_own_data() {
        for (of, text, value) in [
            (ParamType::Time, "1ms500us", Value::Whole(1_500_000)),
            (ParamType::Size, "4KiB", Value::Whole(4096)),
            (ParamType::Count, "0", Value::Whole(0)),
            (ParamType::Positive, "7", Value::Whole(7)),
            (ParamType::Share, "1%", Value::Share(0.01)),
            (ParamType::Flag, "true", Value::Flag(true)),
            (ParamType::Errnos, "EIO,200", Value::Texts(vec!["EIO".into(), "200".into()])),
            (ParamType::Choice(WORDS), "dsync", Value::Text("dsync".into())),
            (ParamType::Choices(WORDS), "sync,direct", texts(&["sync", "direct"])),
            (ParamType::Numbers, "0,1000", texts(&["0", "1000"])),
            (ParamType::Methods, "fsync,write", texts(&["fsync", "write"])),
            (ParamType::Range, "0..4KiB", Value::Text("0..4KiB".into())),
            (ParamType::Distribution, "2s", Value::Whole(2_000_000_000)),
            (ParamType::Distribution, "exp:2s", Value::Text("exp:2s".into())),
            (ParamType::Ramp, "x1..x20/1m", Value::Text("x1..x20/1m".into())),
            (ParamType::Form("X"), "any", Value::Text("any".into())),
        ] {
            assert_eq!(of.read(text), Ok(value.clone()), "{of:?}");
            assert_eq!(of.straighten(&value), Ok(value.clone()), "{of:?}");
            assert_eq!(of.straighten(&Value::Text(text.into())), Ok(value.clone()), "{of:?}");
            assert_eq!(of.write(&value), text, "{of:?}");
        }
    }

    fn texts(words: &[&str]) -> Value {
        Value::Texts(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn what_is_none_of_a_type_is_refused_with_what_would_be() {
        let why = |of: ParamType, text: &str| of.read(text).unwrap_err().to_string();
        assert!(why(ParamType::Time, "300").contains("300ms"));
        assert!(why(ParamType::Positive, "0").contains("1 at least"));
        assert!(why(ParamType::Count, "-1").contains("negative"));
        assert!(why(ParamType::Errnos, "EIO,random").contains("exclude each other"));
        assert!(why(ParamType::Errnos, "EIOO").contains("did you mean EIO?"));
        assert!(why(ParamType::Errnos, "").contains("ERRNO"));
        assert!(why(ParamType::Choices(WORDS), "snyc").contains("did you mean sync?"));
        assert!(why(ParamType::Methods, "wirte").contains("did you mean write?"));
        assert!(why(ParamType::Methods, "pwrite").contains("write write"));
        assert!(why(ParamType::Numbers, "root").contains("root"));
        let wrong = ParamType::Time.straighten(&Value::Flag(true)).unwrap_err();
        assert_eq!(wrong.to_string(), "it takes TIME");
        assert!(ParamType::Share.straighten(&Value::Share(f64::NAN)).is_err());
    }

    #[test]
    fn choices_are_in_the_order_of_the_table_and_errnos_by_name() {
        assert_eq!(
            ParamType::Choices(WORDS).read("direct,sync,sync"),
            Ok(texts(&["sync", "direct"]))
        );
        assert_eq!(ParamType::Errnos.read("5,28"), Ok(texts(&["EIO", "ENOSPC"])));
        assert_eq!(ParamType::Errnos.straighten(&Value::Whole(5)), Ok(texts(&["EIO"])));
    }
}
