//! Times of which a few are very long: a power law from a least time.

use std::time::Duration;

use super::{Distribution, Form, Shape, nanoseconds};
use crate::fault::words::{ValueError, time, time_text};

pub(super) const FORM: Form = Form {
    prefix: "pareto:",
    form: "pareto:MIN,ALPHA",
    about: "a power law from MIN on, with a heavier tail for a smaller ALPHA: \
            MIN (1 - u)^(-1 / ALPHA)",
    read,
};

#[derive(Debug)]
struct Pareto {
    least: Duration,
    alpha: f64,
}

impl Distribution for Pareto {
    fn at(&self, u: f64) -> f64 {
        nanoseconds(self.least) * (1.0 - u).powf(-1.0 / self.alpha)
    }

    fn typed(&self) -> String {
        format!("pareto:{},{}", time_text(self.least), self.alpha)
    }

    fn is_boundless(&self) -> bool {
        self.alpha <= 1.0
    }
}

fn read(text: &str) -> Result<Shape, ValueError> {
    let (least, alpha) = text.split_once(',').ok_or("write it as in pareto:1ms,1.5")?;
    let least = time(least)?;
    let alpha = alpha.parse().ok().filter(|alpha: &f64| alpha.is_finite() && *alpha > 0.0);
    let alpha = alpha.ok_or("ALPHA is a number above 0, as in pareto:1ms,1.5")?;
    Ok(Shape::Drawn(Box::new(Pareto { least, alpha })))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fits, near};

    #[test]
    fn a_million_draws_follow_the_power_law() {
        fits("pareto:1ms,1.5", |ns| 1.0 - (1e6 / ns).powf(1.5));
        near("pareto:1ms,1.5", 0.5, 1_587_401);
    }
}
