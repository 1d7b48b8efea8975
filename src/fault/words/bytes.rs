//! Sizes: `4096`, `64KiB` or `64K`, `1MB`: one reader for all that takes a size.

use super::value::ValueError;

/// Units and what they are in bytes, the larger of a family first.
const UNITS: [(&str, u64); 13] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// The binary units, of which the largest that divides a size tells it.
const TOLD: usize = 4;

/// A size as typed: a number, alone or with KiB, MiB, GiB, TiB or K, M, G, T (1024), or kB, MB, GB, TB
/// (1000).
///
/// # Errors
/// It is none, or does not fit.
pub(crate) fn read(text: &str) -> Result<u64, ValueError> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let of_unit = |(name, _): &&(&str, u64)| name.eq_ignore_ascii_case(unit);
    let factor = match unit {
        "" => 1,
        _ => UNITS.iter().find(of_unit).ok_or_else(none)?.1,
    };
    let number: u64 = number.parse().map_err(|_| none())?;
    let bytes = number.checked_mul(factor).filter(|bytes| i64::try_from(*bytes).is_ok());
    bytes.ok_or_else(|| "more bytes than a file can have".into())
}

/// A size as it would be typed, exactly.
#[must_use]
pub(crate) fn write(bytes: u64) -> String {
    let divides = |(_, factor): &&(&str, u64)| bytes.is_multiple_of(*factor);
    match UNITS.iter().take(TOLD).find(divides) {
        Some((unit, factor)) if bytes > 0 => format!("{}{unit}", bytes / factor),
        _ => bytes.to_string(),
    }
}

fn none() -> ValueError {
    "write a size as in 4096, 64KiB or 64K (1024), 1MB (1000)".into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_of_1024_and_1000_are_told_apart() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("4KiB", 4096),
            ("4kB", 4000),
            ("7B", 7),
            ("4K", 4096),
            ("64M", 64 << 20),
            ("2g", 2 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(read(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "4 KiB", "-1", "1.5MiB", "4X", "K", "9999999TiB", "8388608TiB"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(bytes in 0..=i64::MAX as u64, shift in 0u32..40) {
            for bytes in [bytes, bytes >> shift << shift] {
                prop_assert_eq!(read(&write(bytes)), Ok(bytes));
            }
        }
    }
}
