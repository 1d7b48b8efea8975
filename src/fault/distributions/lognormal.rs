//! Times with a long tail, as disks have: their logarithms are normal.

use std::time::Duration;

use super::normal_quantile::normal_quantile;
use super::{Distribution, Form, Shape, nanoseconds};
use crate::fault::words::{ValueError, time, time_text};

pub(super) const FORM: Form = Form {
    prefix: "lognormal:",
    form: "lognormal:p50=T,p99=T",
    about: "lognormal by its median and 99th percentile, with a tail as disks have it: \
            p50 exp(s Q(u)), s = ln(p99 / p50) / 2.326348",
    read,
};

/// Q(0.99), with as many digits as the formula is documented with.
const Q99: f64 = 2.326_348;

#[derive(Debug)]
struct Lognormal {
    p50: Duration,
    p99: Duration,
    sigma: f64,
}

impl Distribution for Lognormal {
    fn at(&self, u: f64) -> f64 {
        nanoseconds(self.p50) * (self.sigma * normal_quantile(u)).exp()
    }

    fn typed(&self) -> String {
        format!("lognormal:p50={},p99={}", time_text(self.p50), time_text(self.p99))
    }
}

fn read(text: &str) -> Result<Shape, ValueError> {
    let split = text.strip_prefix("p50=").and_then(|rest| rest.split_once(",p99="));
    let (p50, p99) = split.ok_or("write it as in lognormal:p50=5ms,p99=80ms")?;
    let (p50, p99) = (time(p50)?, time(p99)?);
    if p50.is_zero() {
        return Err("p50 must be longer than 0".into());
    }
    if p99 <= p50 {
        return Err("p99 must be longer than p50".into());
    }
    let sigma = (nanoseconds(p99) / nanoseconds(p50)).ln() / Q99;
    Ok(Shape::Drawn(Box::new(Lognormal { p50, p99, sigma })))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fits, near, normal};

    #[test]
    fn a_million_draws_are_lognormal() {
        let sigma = 16f64.ln() / 2.326_348;
        fits("lognormal:p50=5ms,p99=80ms", |ns| normal((ns / 5e6).ln() / sigma));
        near("lognormal:p50=5ms,p99=80ms", 0.5, 5_000_000);
        near("lognormal:p50=5ms,p99=80ms", 0.99, 79_999_988);
    }
}
