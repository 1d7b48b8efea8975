//! What goes on, for who waits. No locks.

use std::io::{self, IsTerminal};

use super::output;

/// One line that is written over on a terminal, and written once per step elsewhere.
#[derive(Default)]
pub(super) struct Progress {
    last: String,
}

impl Progress {
    pub(super) fn show(&mut self, text: &str) {
        let step = text.split(':').next().unwrap_or_default();
        if io::stderr().is_terminal() {
            output::progress(&format!("\r\x1b[K{text}"));
        } else if step != self.last {
            output::progress(&format!("measuring {step}\n"));
        }
        self.last = step.to_owned();
    }

    /// A count that goes on, on a terminal only.
    pub(super) fn count(&mut self, text: &str) {
        if io::stderr().is_terminal() && text != self.last {
            output::progress(&format!("\r\x1b[K{text}"));
            text.clone_into(&mut self.last);
        }
    }

    pub(super) fn clear(&self) {
        if io::stderr().is_terminal() {
            output::progress("\r\x1b[K");
        }
    }
}
