//! Times around a mean, as far on either side.

use std::time::Duration;

use super::normal_quantile::normal_quantile;
use super::{Distribution, Form, Shape, each, nanoseconds};
use crate::fault::words::{ValueError, time_text};

pub(super) const FORM: Form = Form {
    prefix: "normal:",
    form: "normal:MEAN,SD",
    about: "normal with this standard deviation, but never below 0: MEAN + SD Q(u)",
    read,
};

#[derive(Debug)]
struct Normal {
    mean: Duration,
    deviation: Duration,
}

impl Distribution for Normal {
    fn at(&self, u: f64) -> f64 {
        nanoseconds(self.mean) + nanoseconds(self.deviation) * normal_quantile(u)
    }

    fn typed(&self) -> String {
        format!("normal:{},{}", time_text(self.mean), time_text(self.deviation))
    }
}

fn read(text: &str) -> Result<Shape, ValueError> {
    let [mean, deviation] = each(text, "normal:10ms,2ms")?;
    Ok(Shape::Drawn(Box::new(Normal { mean, deviation })))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fits, near, normal};

    #[test]
    fn a_million_draws_are_normal() {
        fits("normal:10ms,2ms", |ns| normal((ns - 10e6) / 2e6));
        near("normal:10ms,2ms", 0.975, 13_919_928);
        near("normal:10ms,2ms", 0.5, 10_000_000);
    }
}
