//! Times for people. No locks.

use std::time::Duration;

/// A duration for people: the largest units that tell it exactly.
#[must_use]
pub(crate) fn duration(ns: i64) -> String {
    let duration = Duration::from_nanos(ns.unsigned_abs());
    humantime::format_duration(duration).to_string()
}
