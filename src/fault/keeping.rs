//! A power cut and what it leaves of what is not durable, as they are typed. No locks.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// What of all that is not durable is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// What is durable only.
    #[default]
    None,
    /// Everything, as if all had been written back.
    All,
    /// The first so many entries of the log.
    Prefix(u64),
    /// Whatever the dice say.
    Random,
}

impl fmt::Display for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keeping::None => f.write_str("none"),
            Keeping::All => f.write_str("all"),
            Keeping::Prefix(n) => write!(f, "prefix:{n}"),
            Keeping::Random => f.write_str("random"),
        }
    }
}

impl FromStr for Keeping {
    type Err = String;

    fn from_str(text: &str) -> Result<Keeping, String> {
        match text.strip_prefix("prefix:").map(str::parse) {
            Some(Ok(n)) => Ok(Keeping::Prefix(n)),
            _ => match text {
                "none" => Ok(Keeping::None),
                "all" => Ok(Keeping::All),
                "random" => Ok(Keeping::Random),
                _ => Err(format!("keep is {text:?}: it must be none, all, prefix:N or random")),
            },
        }
    }
}

/// What a disk writes at once or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// 512 bytes.
    #[default]
    Sector,
    /// 4096 bytes, of disks with such sectors.
    Page,
}

impl Unit {
    /// Their names.
    pub const NAMES: &[&str] = &["512", "4096"];

    /// The one of so many bytes.
    #[must_use]
    pub fn of(bytes: u64) -> Option<Unit> {
        [Unit::Sector, Unit::Page].into_iter().find(|unit| unit.bytes() == bytes)
    }

    /// How many bytes it has.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Unit::Sector => 512,
            Unit::Page => 4096,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

impl FromStr for Unit {
    type Err = String;

    fn from_str(text: &str) -> Result<Unit, String> {
        let unit = text.parse().ok().and_then(Unit::of);
        unit.ok_or_else(|| format!("unit is {text}: it must be {}", Unit::NAMES.join(" or ")))
    }
}

/// A power cut, as it goes over the wire. What is 0 or empty is as the command has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CutWords {
    /// The image that is built; None: the power is cut in place.
    pub to: Option<String>,
    /// `none`, `all`, `prefix:N` or `random`.
    pub keep: String,
    /// Bytes that are written at once or not at all.
    pub unit: i64,
    /// What the dice are seeded with, a number of 64 bits.
    pub seed: Option<String>,
    /// Nanoseconds that what changes something may have to wait for an image.
    pub max_stall_ns: i64,
    /// Whether it stays off.
    pub stay_off: bool,
    /// Whether every process that has files of the mount open or mapped gets SIGKILL.
    pub kill: bool,
}

impl CutWords {
    /// Whether dice are thrown.
    pub(crate) fn is_random(&self) -> bool {
        self.keep.parse() == Ok(Keeping::Random)
    }
}
