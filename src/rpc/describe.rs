//! Times for people. No locks.

use std::time::Duration;

/// A duration for people: the largest units that tell it exactly.
#[must_use]
pub(crate) fn duration(ns: i64) -> String {
    let duration = Duration::from_nanos(ns.unsigned_abs());
    humantime::format_duration(duration).to_string()
}

/// A time for people: three digits and a unit.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn short_time(ns: i64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "us")];
    let ns = ns as f64;
    // From 999.5 on it would be shown as 1000 of the smaller unit.
    let Some((size, unit)) = units.into_iter().find(|(size, _)| ns >= size * 0.9995) else {
        return format!("{ns}ns");
    };
    let value = ns / size;
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_234, "1.23us"),
            (99_960, "100us"),
            (999_700, "1.00ms"),
            (12_345_678, "12.3ms"),
            (300_123_456, "300ms"),
            (75_000_000_000, "75.0s"),
        ] {
            assert_eq!(short_time(ns), text);
        }
    }
}
