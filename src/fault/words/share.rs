//! Shares of 1: `0.5`, `1%`.

use super::value::ValueError;

/// A share as typed: a fraction or a percentage.
///
/// # Errors
/// It is neither, or beyond 0 to 1.
pub(crate) fn read(text: &str) -> Result<f64, ValueError> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(n) if (0.0..=scale).contains(&n) => Ok(n / scale),
        Ok(n) if scale == 1.0 && n > 1.0 && n <= 100.0 => {
            Err(format!("a fraction is at most 1; for a percentage write {n}%").into())
        }
        Ok(_) => Err("it must be from 0 to 1, or from 0% to 100%".into()),
        Err(_) => Err("write a fraction or a percentage, as in 0.5 or 1%".into()),
    }
}

/// A share for people: `100%`, `0.5%`.
#[must_use]
pub(crate) fn percent(share: f64) -> String {
    // Twelve digits after the point at most, so that 0.07 is 7% and not 7.000000000000001%.
    let text = format!("{:.12}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A share as it would be typed, exactly: a percentage where that reads back the same.
pub(super) fn write(share: f64) -> String {
    let text = percent(share);
    if read(&text) == Ok(share) { text } else { share.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_fractions_or_percentages() {
        for (text, expected) in [("0", 0.0), ("1", 1.0), ("0.5", 0.5), ("1%", 0.01), ("100%", 1.0)]
        {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
        for text in ["-1", "101%", "1.5", "", "%", "NaN", "inf", "half"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(write(0.07), "7%");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(share in 0.0..=1.0f64) {
            prop_assert_eq!(read(&write(share)), Ok(share));
        }
    }
}
