//! One and the same time.

use std::time::Duration;

use super::{Distribution, Form};
use crate::fault::words::{Value, ValueError, time, whole};

pub(super) const FORM: Form = Form { name: "", form: "TIME", read };

/// Always this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed(pub Duration);

impl Distribution for Fixed {
    fn at(&self, _: f64) -> Duration {
        self.0
    }

    fn value(&self) -> Value {
        whole(self.0.as_nanos())
    }

    fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

fn read(text: &str) -> Result<Box<dyn Distribution>, ValueError> {
    Ok(Box::new(Fixed(time(text)?)))
}
