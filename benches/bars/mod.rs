//! Figures that are held against bars: whether all are met is the exit code.

use std::cell::Cell;
use std::process::ExitCode;

#[derive(Default)]
pub(crate) struct Bars {
    missed: Cell<u32>,
}

impl Bars {
    /// The word for it, and counts what is missed.
    pub(crate) fn verdict(&self, met: bool) -> &'static str {
        if met {
            "met"
        } else {
            self.missed.set(self.missed.get() + 1);
            "MISSED"
        }
    }

    /// 0 if all were met, else 1.
    pub(crate) fn end(&self) -> ExitCode {
        ExitCode::from(u8::from(self.missed.get() > 0))
    }
}
