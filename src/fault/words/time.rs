//! Times: `300ms`, `1us`, `2s`.

use std::time::Duration;

use super::value::ValueError;

/// A time as typed.
///
/// # Errors
/// It has no unit, or is none.
pub(crate) fn read(text: &str) -> Result<Duration, ValueError> {
    if text.starts_with('-') {
        return Err("it must not be negative; write it as in 300ms, 1us, 2s".into());
    }
    humantime::parse_duration(text)
        .map_err(|e| ValueError(format!("{e}; write it as in 300ms, 1us, 2s")))
}

/// A time as it would be typed: the largest units that tell it exactly, without blanks.
#[must_use]
pub fn write(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}
