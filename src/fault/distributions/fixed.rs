//! One and the same time.

use super::{Form, Shape};
use crate::fault::words::{ValueError, time};

pub(super) const FORM: Form = Form { prefix: "", form: "TIME", about: "always the same", read };

fn read(text: &str) -> Result<Shape, ValueError> {
    time(text).map(Shape::Fixed)
}
