//! Any time from one to another, each equally likely.

use std::time::Duration;

use super::{Distribution, Form, Shape, nanoseconds};
use crate::fault::words::{ValueError, time, time_text};

pub(super) const FORM: Form = Form {
    prefix: "uniform:",
    form: "uniform:A..B",
    about: "any time from A to B, all equally likely: A + u (B - A)",
    read,
};

#[derive(Debug)]
struct Uniform {
    from: Duration,
    to: Duration,
}

impl Distribution for Uniform {
    fn at(&self, u: f64) -> f64 {
        let (from, to) = (nanoseconds(self.from), nanoseconds(self.to));
        from + u * (to - from)
    }

    fn typed(&self) -> String {
        format!("uniform:{}..{}", time_text(self.from), time_text(self.to))
    }
}

fn read(text: &str) -> Result<Shape, ValueError> {
    let (from, to) = text.split_once("..").ok_or("write it as in uniform:1ms..5ms")?;
    let (from, to) = (time(from)?, time(to)?);
    if from > to {
        return Err("it ends before it begins".into());
    }
    Ok(Shape::Drawn(Box::new(Uniform { from, to })))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fits, near};

    #[test]
    fn a_million_draws_are_even() {
        fits("uniform:1ms..5ms", |ns| (ns - 1e6) / 4e6);
        near("uniform:1ms..5ms", 0.25, 2_000_000);
    }
}
