//! What is done to stored bytes on command: healing, and rot. Who serves the mount does it. No locks.

use std::fmt;

use super::State;
use crate::fault::spoil::Spoil;
use crate::fault::words::Pattern;

/// How many are healed at once.
pub const MOST_AT_ONCE: usize = 1_000;

/// What has come of one that was to be healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healing {
    /// The injection.
    pub id: u64,
    /// What has come of it.
    pub outcome: Outcome,
}

/// What has come of one that was to be healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is over, by this.
    Over(State),
    /// It stands: its bytes were not kept.
    Unknown,
    /// It stands: an error of the backing.
    Failed(String),
}

impl Outcome {
    /// In a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Over(state) => state.name(),
            Outcome::Unknown => "unknown",
            Outcome::Failed(_) => "failed",
        }
    }
}

/// What is to rot.
#[derive(Debug)]
pub struct Rot {
    /// Which files.
    pub pattern: Pattern,
    /// Where in all their bytes, and by what.
    pub spoil: Spoil,
    /// Whether the files keep their times of modification.
    pub hidden: bool,
}

/// What has rotted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotted {
    /// How many files match.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many spots are spoilt now.
    pub spots: u64,
    /// Why others are not.
    pub failed: Vec<String>,
}

impl fmt::Display for Rotted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spots, files) = (self.spots, self.files);
        let s = |n: u64| if n == 1 { "" } else { "s" };
        write!(f, "{spots} spot{} in {files} file{} rotted", s(spots), s(files))
    }
}

/// Who does it.
pub trait Repairs: Send + Sync {
    /// Heals these injections, or those after that number that stand, [`MOST_AT_ONCE`] at most.
    fn heal(&self, ids: &[u64], after: u64) -> Vec<Healing>;

    /// Spoils stored bytes, as long as somebody waits.
    ///
    /// # Errors
    /// The files cannot be found, in one line.
    fn rot(&self, wanted: &Rot, goes_on: &dyn Fn() -> bool) -> Result<Rotted, String>;
}
