//! What a power cut leaves of what is not durable, as it is typed. No locks.

use std::fmt;
use std::str::FromStr;

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
