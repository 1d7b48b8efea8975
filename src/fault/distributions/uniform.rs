//! Any time from one to another, each equally likely.

use std::time::Duration;

use super::{Distribution, Form};
use crate::fault::words::{Value, ValueError, time, time_text};

pub(super) const FORM: Form = Form { name: "uniform", form: "uniform:A..B", read };

#[derive(Clone, Copy, Debug)]
struct Uniform {
    from: Duration,
    to: Duration,
}

impl Distribution for Uniform {
    /// `A + u (B - A)`, to the nearest nanosecond.
    fn at(&self, u: f64) -> Duration {
        self.from + (self.to - self.from).mul_f64(u)
    }

    fn value(&self) -> Value {
        Value::Text(format!("uniform:{}..{}", time_text(self.from), time_text(self.to)))
    }

    fn is_zero(&self) -> bool {
        self.to.is_zero()
    }
}

fn read(text: &str) -> Result<Box<dyn Distribution>, ValueError> {
    let (from, to) = text.split_once("..").ok_or("write it as in uniform:1ms..5ms")?;
    let (from, to) = (time(from)?, time(to)?);
    if from > to {
        return Err(format!("{text}: it ends before it begins").into());
    }
    Ok(Box::new(Uniform { from, to }))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::fault::chance::{Dice, Draw, Purpose};

    #[test]
    fn a_million_draws_are_even() {
        const DRAWS: u64 = 1_000_000;
        let by = read("uniform:1ms..5ms").unwrap();
        let dice = Dice::new(42, 1);
        let drawn = |n| by.at(Draw::new(dice, n).unit(Purpose::Delay));
        let mut times: Vec<Duration> = (0..DRAWS).map(drawn).collect();
        times.sort_unstable();
        // Kolmogorov and Smirnov: of even draws one in a thousand is further off than 1.95 / sqrt n.
        let most = 1.95 / (DRAWS as f64).sqrt();
        for (place, time) in times.iter().enumerate() {
            let (share, expected) =
                ((time.as_secs_f64() - 0.001) / 0.004, place as f64 / DRAWS as f64);
            assert!((share - expected).abs() < most, "{time:?} at {expected}");
        }
    }

    #[test]
    fn it_is_told_as_it_was_typed_and_keeps_to_its_bounds() {
        for text in ["uniform:1ms..5ms", "uniform:0s..1us500ns", "uniform:2s..2s"] {
            assert_eq!(read(text).unwrap().value(), Value::Text(text.to_owned()));
        }
        let by = read("uniform:1ms..5ms").unwrap();
        assert_eq!(by.at(0.25), Duration::from_millis(2));
        for text in ["uniform:5ms..1ms", "uniform:1ms", "uniform:..", "uniform:1..2"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read("uniform:0s..0s").unwrap().is_zero());
    }
}
