//! The times between what comes by chance: exponential, with a mean.

use std::time::Duration;

use super::{Distribution, Form, Shape, each, nanoseconds};
use crate::fault::words::{ValueError, time_text};

pub(super) const FORM: Form = Form {
    prefix: "exp:",
    form: "exp:MEAN",
    about: "exponential, most are short: -MEAN ln(1 - u)",
    read,
};

#[derive(Debug)]
struct Exponential {
    mean: Duration,
}

impl Distribution for Exponential {
    fn at(&self, u: f64) -> f64 {
        -nanoseconds(self.mean) * (1.0 - u).ln()
    }

    fn typed(&self) -> String {
        format!("exp:{}", time_text(self.mean))
    }
}

fn read(text: &str) -> Result<Shape, ValueError> {
    let [mean] = each(text, "exp:5ms")?;
    Ok(Shape::Drawn(Box::new(Exponential { mean })))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fits, near};

    #[test]
    fn a_million_draws_are_exponential() {
        fits("exp:5ms", |ns| 1.0 - (-ns / 5e6).exp());
        near("exp:5ms", 0.5, 3_465_736);
    }
}
