//! What is to rot, as every door carries it. Plain data.

use serde::Serialize;

use super::repairs::Rot;
use crate::fault::chance::{Draw, seed_of};
use crate::fault::spoil::{Spoil, Spoiling, Spots};
use crate::fault::words::{self, Pattern};

/// So many spots rot at once, and so many bytes has each.
const MOST_SPOTS: i64 = 100_000;
const MOST_LENGTH: i64 = 1 << 20;

/// What every disk writes whole.
const SECTOR: i64 = 512;

/// What is to rot, in words: not yet validated. Absent, or 0: as the command has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RotWords {
    /// Which files.
    pub pattern: String,
    /// `flip`, `flip:BITS`, `zero` or `random`.
    pub how: String,
    /// How many spots in all.
    pub spots: i64,
    /// How large a unit is.
    pub unit: i64,
    /// How many units a spot has.
    pub length: i64,
    /// What to seed the dice with, a number of 64 bits.
    pub seed: Option<String>,
    /// Leave the times of modification.
    pub hidden: bool,
}

impl RotWords {
    /// What that means, and the seed: its own, or else this one.
    ///
    /// # Errors
    /// What cannot be meant.
    pub(crate) fn rot(&self, seed: u64) -> Result<(Rot, u64), String> {
        let given = |name: &str, value: i64, default: i64, most: i64| match value {
            0 => Ok(default),
            value if (1..=most).contains(&value) => Ok(value),
            value => Err(format!("{name} is {value}; it may be 1 to {most}")),
        };
        let spots = given("spots", self.spots, 1, MOST_SPOTS)?;
        let unit = given("unit", self.unit, SECTOR, MOST_LENGTH)?;
        let length = given("length", self.length, 1, MOST_LENGTH)?;
        if unit.count_ones() != 1 {
            return Err(format!("unit: {unit} is no power of two"));
        }
        if unit.saturating_mul(length) > MOST_LENGTH {
            let (unit, most) = (unit.unsigned_abs(), words::bytes_text(MOST_LENGTH.unsigned_abs()));
            let unit = words::bytes_text(unit);
            return Err(format!("a spot of {length} units of {unit} is larger than {most}"));
        }
        let how = match self.how.as_str() {
            "" => Some(Spoiling::Flip(1)),
            how => Spoiling::read(how),
        };
        let how = how.ok_or("how: write flip, flip:BITS, zero or random")?;
        let pattern = Pattern::new(&self.pattern).map_err(|e| e.to_string())?;
        let seed = self.seed.as_deref().map_or(Ok(seed), seed_of)?;
        let [spots, unit, length] = [spots, unit, length].map(i64::unsigned_abs);
        let spots = Spots { unit, spots, length };
        let spoil = Spoil { spots, how, draw: Draw::once(seed, "rot") };
        Ok((Rot { pattern, spoil, hidden: self.hidden }, seed))
    }
}
