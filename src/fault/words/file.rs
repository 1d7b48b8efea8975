//! Faults in a file, one a line, as `list --commands` prints them: what people write, and what a mount keeps of
//! its own. No locks.

use super::fault::FaultWords;
use super::line::{parse, quoted, split};
use crate::fault::error::SpecError;

/// Where a line of such a file is, one character after another.
#[derive(Default)]
struct Scan {
    quote: Option<char>,
    /// The last one was no blank.
    in_word: bool,
}

impl Scan {
    /// Whether a comment begins with that one.
    fn begins_comment(&mut self, c: char) -> bool {
        match self.quote {
            Some(quote) if c == quote => self.quote = None,
            Some(_) => {}
            None if c == '#' && !self.in_word => return true,
            None if c == '\'' || c == '"' => self.quote = Some(c),
            None => {}
        }
        self.in_word = !c.is_whitespace();
        false
    }
}

/// A line without its comment.
#[must_use]
pub(crate) fn uncommented(line: &str) -> &str {
    let mut scan = Scan::default();
    let comment = line.char_indices().find(|(_, c)| scan.begins_comment(*c));
    comment.map_or(line, |(place, _)| line.get(..place).unwrap_or(line))
}

/// The lines that say something, without comments, each with the number of its first one: where a quote is open a
/// line goes on.
#[must_use]
pub(crate) fn lines(text: &str) -> Vec<(usize, String)> {
    let (mut all, mut line, mut scan) = (Vec::new(), String::new(), Scan::default());
    let (mut number, mut first, mut in_comment) = (1, 1, false);
    for c in text.chars() {
        number += usize::from(c == '\n');
        if c == '\n' && scan.quote.is_none() {
            all.push((first, std::mem::take(&mut line)));
            (first, in_comment, scan) = (number, false, Scan::default());
            continue;
        }
        in_comment = in_comment || scan.begins_comment(c);
        if !in_comment {
            line.push(c);
        }
    }
    all.push((first, line));
    all.into_iter().filter(|(_, line)| !line.trim().is_empty()).collect()
}

/// The fault that such a line sets, and the address where it says to.
///
/// # Errors
/// One line that says what is wrong with it.
pub(crate) fn set_by(line: &str) -> Result<(FaultWords, Option<String>), SpecError> {
    let mut words = split(line)?;
    if words.first().is_some_and(|word| word == "slowfs") {
        words.remove(0);
    }
    let mut addr = None;
    while let Some(place) = words.iter().position(|w| w == "--addr" || w.starts_with("--addr=")) {
        let word = words.remove(place);
        let value = word.strip_prefix("--addr=").map(str::to_owned);
        let value = value.or_else(|| (place < words.len()).then(|| words.remove(place)));
        if value.is_none() || addr.is_some() {
            let why = if addr.is_some() { "addr is given twice" } else { "addr has no value" };
            return Err(SpecError::Line(why.to_owned()));
        }
        addr = value;
    }
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    Ok((parse(&words.join(" "))?.0, addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        let text = "#!/bin/sh\n\n  # one's own\nkill -m read   # it's one\r\nkill -m write -r 'a # b'\n\
                    delay 1ms -m read -r x#y\n";
        let expected = [
            (4, "kill -m read   "),
            (5, "kill -m write -r 'a # b'"),
            (6, "delay 1ms -m read -r x#y"),
        ];
        let expected = expected.map(|(number, line)| (number, line.to_owned()));
        assert_eq!(lines(text), expected);
        for (_, line) in &expected {
            assert_eq!(uncommented(line), line);
        }
        assert_eq!(uncommented("1s clear # it's over"), "1s clear ");
        assert!(lines("").is_empty() && lines("#").is_empty());
    }

    #[test]
    fn a_quote_goes_over_the_end_of_a_line() {
        let text = "kill -m read -r 'a\n# b'\nhang -m read\nkill -m read -r 'c\nhang -m fsync";
        let found = lines(text);
        let numbers: Vec<_> = found.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 3, 4]);
        assert_eq!(set_by(&found[0].1).unwrap().0.pattern, "a\n# b");
        assert!(set_by(&found[2].1).unwrap_err().to_string().contains("not closed"));
    }

    #[test]
    fn a_line_of_list_commands_is_the_fault_that_it_sets() {
        let (fault, addr) =
            set_by("slowfs kill -m write -r '.*/a b' --add --addr '/run/slowfs/a b'").unwrap();
        assert_eq!(fault.line(), "kill -m write -r '.*/a b'");
        assert_eq!(addr.as_deref(), Some("/run/slowfs/a b"));
        let (fault, addr) = set_by("hang --addr=db1:9091 -m read").unwrap();
        assert_eq!((fault.line().as_str(), addr.as_deref()), ("hang -m read", Some("db1:9091")));
        assert_eq!(set_by("hang -m read").unwrap().1, None);
        for (line, why) in [
            ("slowfs", "no kind of fault"),
            ("clear fsync", "no kind of fault is called clear"),
            ("hang -m read --addr", "addr has no value"),
            ("hang -m read --addr a --addr b", "addr is given twice"),
            ("hang -m read --json", "no option --json"),
        ] {
            let told = set_by(line).unwrap_err().to_string();
            assert!(told.contains(why), "{line}: {told}");
        }
    }
}
