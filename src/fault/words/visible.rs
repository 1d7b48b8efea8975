//! Text from outside on one line, for people. No locks.

/// The same, with what would break the line or not show (a newline, an escape) as an escape; all else,
/// quotes and backslashes too, as it is.
#[must_use]
pub(crate) fn visible(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' => line.push(c),
            c => line.extend(c.escape_debug()),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_line_is_escaped_and_nothing_else() {
        assert_eq!(visible("a\nb\t\x1b[1m\u{2028}"), r"a\nb\t\u{1b}[1m\u{2028}");
        let plain = r#".*/(it's|"a b"|ü)\.wal"#;
        assert_eq!(visible(plain), plain);
    }
}
