//! Times: `300ms`, `1us`, `2s`.

use std::time::Duration;

use super::value::ValueError;

/// A time as typed: numbers, each with its unit; of no unit only 0.
///
/// # Errors
/// It has no unit, or is none.
pub(crate) fn read(text: &str) -> Result<Duration, ValueError> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!("it must not be negative; {FORM}").into());
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let is_zero = text.contains('0') && !text.contains(|c| ('1'..='9').contains(&c));
        let none = format!("it has no unit: write {text}ms, {text}us or {text}s");
        return if is_zero { Ok(Duration::ZERO) } else { Err(none.into()) };
    }
    let whole = if text.starts_with('.') { "0" } else { "" };
    humantime::parse_duration(&format!("{whole}{text}")).map_err(|e| refused(text, &e))
}

const FORM: &str = "write it as in 300ms, 1us, 2s";

fn refused(text: &str, why: &humantime::DurationError) -> ValueError {
    use humantime::DurationError::{NumberOverflow, UnknownUnit};
    let small = text.to_ascii_lowercase();
    match why {
        UnknownUnit { .. } if humantime::parse_duration(&small).is_ok() => {
            format!("did you mean {small}?").into()
        }
        UnknownUnit { unit, .. } if !unit.is_empty() => {
            format!("{unit} is no unit; {FORM}, 1m, 1h").into()
        }
        NumberOverflow => format!("it is too long, or finer than 1ns; {FORM}").into(),
        _ => format!("it is no time; {FORM}").into(),
    }
}

/// A time as it would be typed: the largest units that tell it exactly, without blanks.
#[must_use]
pub fn write(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ns) in [
            (".5s", 500_000_000),
            ("0.5s", 500_000_000),
            ("1.5ms", 1_500_000),
            ("300us", 300_000),
            ("300\u{b5}s", 300_000),
            ("1m 30s", 90_000_000_000),
            (" 2s ", 2_000_000_000),
            ("0", 0),
            ("0.0", 0),
            ("0ms", 0),
        ] {
            assert_eq!(read(text).map(|time| time.as_nanos()), Ok(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_with_what_would_be() {
        for (text, told) in [
            ("300", "300ms, 300us or 300s"),
            (".5", ".5ms, .5us or .5s"),
            ("300MS", "did you mean 300ms?"),
            ("5x", "x is no unit; write it as in 300ms"),
            ("-5ms", "must not be negative"),
            ("soon", "it is no time; write it as in 300ms"),
            ("ms", "it is no time"),
            ("", "it is no time"),
            ("NaN", "it is no time"),
            ("1,5ms", "it is no time"),
            ("0.5ns", "finer than 1ns"),
            ("999999999999999999999s", "too long"),
        ] {
            let why = read(text).unwrap_err().to_string();
            assert!(why.contains(told), "{text}: {why}");
        }
    }
}
