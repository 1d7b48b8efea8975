//! A factor that grows with time: `x1..x20/60s`. No locks.

use std::fmt;
use std::time::Duration;

use super::words::{ValueError, time, time_text};

/// More is hardly meant.
const MOST: f64 = 10_000.0;

/// From so many times to so many within that time, evenly; then it stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    from: f64,
    to: f64,
    over: Duration,
}

impl Ramp {
    /// A ramp as typed.
    ///
    /// # Errors
    /// It is none, or falls; one clause that says what would be right.
    pub(crate) fn read(text: &str) -> Result<Ramp, ValueError> {
        let form =
            || "write it as in x1..x20/60s: from how many times to how many, within what time";
        let (factors, over) = text.split_once('/').ok_or_else(form)?;
        let (from, to) = factors.split_once("..").ok_or_else(form)?;
        let factor = |text: &str| -> Result<f64, ValueError> {
            let number = text.strip_prefix('x').ok_or_else(form)?;
            let number: f64 = number.parse().map_err(|_| form())?;
            match (0.0..=MOST).contains(&number) {
                true => Ok(number),
                false => Err(format!("{text} is not from x0 to x{MOST}").into()),
            }
        };
        let (from, to, over) = (factor(from)?, factor(to)?, time(over)?);
        match () {
            () if over.is_zero() => {
                Err(format!("{text} takes no time: set the longer delay").into())
            }
            () if from > to => Err(format!("{text} falls, and a ramp grows or stays").into()),
            () if to == 0.0 => {
                Err(format!("{text} comes to nothing, and so does the delay").into())
            }
            () => Ok(Ramp { from, to, over }),
        }
    }

    /// The factor so long after its start: `A + (B - A) min(1, age / TIME)`.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "exact up to 104 days")]
    pub(super) fn factor(self, age: Duration) -> f64 {
        let share = age.as_nanos() as f64 / self.over.as_nanos() as f64;
        self.from + (self.to - self.from) * share.min(1.0)
    }
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x{}..x{}/{}", self.from, self.to, time_text(self.over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_evenly_and_then_stays() {
        let ramp = Ramp::read("x1..x21/10s").unwrap();
        for (ms, factor) in [(0, 1.0), (2_500, 6.0), (10_000, 21.0), (3_600_000, 21.0)] {
            assert_eq!(ramp.factor(Duration::from_millis(ms)), factor, "{ms} ms");
        }
        assert_eq!(Ramp::read("x0..x0.5/1s").unwrap().factor(Duration::from_millis(500)), 0.25);
    }

    #[test]
    fn it_is_told_as_it_was_typed() {
        for text in ["x1..x20/1m", "x0..x0.5/1ms", "x3..x3/1h", "x1.25..x10000/1ns"] {
            assert_eq!(Ramp::read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_would_be() {
        for (text, why) in [
            ("x20..x1/60s", "falls"),
            ("x-1..x2/60s", "x-1 is not from x0 to x10000"),
            ("x1..x10001/60s", "x10001 is not from x0"),
            ("xNaN..x2/60s", "xNaN is not from x0"),
            ("x1..xinf/60s", "xinf is not from x0"),
            ("x1..x2/0s", "takes no time"),
            ("x1..x2/-1s", "must not be negative"),
            ("x0..x0/1s", "comes to nothing"),
            ("1..20/60s", "write it as in x1..x20/60s"),
            ("x1..x20", "write it as in x1..x20/60s"),
            ("x1/60s", "write it as in x1..x20/60s"),
            ("x1..x/60s", "write it as in x1..x20/60s"),
            ("x1..x2/60", "it has no unit"),
            ("", "write it as in x1..x20/60s"),
        ] {
            let refusal = Ramp::read(text).unwrap_err().to_string();
            assert!(refusal.contains(why) && !refusal.contains('\n'), "{text}: {refusal}");
        }
    }
}
