//! So many times what the backing takes itself.

use super::{Form, Shape};
use crate::fault::words::ValueError;

pub(super) const FORM: Form = Form {
    prefix: "x",
    form: "xN",
    about: "N times as long as the backing takes: the operation runs, and its answer \
            waits N - 1 times as long",
    read,
};

/// More is no slow disk but a hang.
const MOST: f64 = 10_000.0;

fn read(text: &str) -> Result<Shape, ValueError> {
    let factor = text.parse().ok().filter(|factor| (1.0..=MOST).contains(factor));
    let factor = factor.ok_or_else(|| format!("N is a number from 1 to {MOST}, as in x10"))?;
    Ok(Shape::Times(factor))
}
