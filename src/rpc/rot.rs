//! What is asked of who changes stored bytes on command. No locks.

use super::record::record;
use super::values::seed_of;
use crate::fault::injections::Rot;
use crate::fault::spoil::{SECTOR, Spoil, Spoiling, Spots};
use crate::fault::{Draw, Pattern, words};

/// So many spots rot at once, and so many bytes has each.
const MOST_SPOTS: i64 = 100_000;
const MOST_LENGTH: i64 = 1 << 20;

record! {
    /// What is to rot. Absent, or 0: as the command has it.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct RotWords = "Rot" {
        /// Which files.
        1: pattern: String,
        /// `flip`, `flip:BITS`, `zero` or `random`.
        2: how: String,
        /// How many spots in all.
        3: spots: i64,
        /// How large a unit is.
        4: unit: i64,
        /// How many units a spot has.
        5: length: i64,
        /// What to seed the dice with, a number of 64 bits.
        6: seed: Option<String>,
        /// Leave the times of modification.
        7: hidden: bool,
    }
}

impl RotWords {
    /// What that means, and the seed.
    ///
    /// # Errors
    /// What cannot be meant.
    pub(crate) fn rot(&self) -> Result<(Rot, u64), String> {
        let given = |name: &str, value: i64, default: i64, most: i64| match value {
            0 => Ok(default),
            value if (1..=most).contains(&value) => Ok(value),
            value => Err(format!("{name} is {value}; it may be 1 to {most}")),
        };
        let spots = given("spots", self.spots, 1, MOST_SPOTS)?;
        let unit = given("unit", self.unit, SECTOR.cast_signed(), MOST_LENGTH)?;
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
        let seed = self.seed.as_deref().map_or_else(|| Ok(rand::random()), seed_of)?;
        let [spots, unit, length] = [spots, unit, length].map(i64::unsigned_abs);
        let spots = Spots { unit, spots, length };
        let spoil = Spoil { spots, how, draw: Draw::once(seed, "rot") };
        Ok((Rot { pattern, spoil, hidden: self.hidden }, seed))
    }
}
