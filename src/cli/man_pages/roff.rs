//! The text of a page, in the language of man(7). No locks.

use std::io;

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// What stands before each piece that is written by itself, and is needed once.
const APOSTROPHES: [&str; 2] = [r".ie \n(.g .ds Aq \(aq", ".el .ds Aq '"];

/// A page, section by section.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// A page of section 1 of the manual by that name.
    pub(super) fn new(name: &str) -> Page {
        let name = name.to_uppercase().replace('-', "\\-");
        let source = concat!("slowfs ", env!("CARGO_PKG_VERSION"));
        let title = format!(".TH \"{name}\" \"1\" \"\" \"{source}\" \"slowfs manual\"");
        Page { text: format!("{}\n{title}\n", APOSTROPHES.join("\n")) }
    }

    /// Adds what that writes.
    ///
    /// # Errors
    /// Those of the writer.
    pub(super) fn written(
        &mut self,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        for line in String::from_utf8_lossy(&bytes).lines() {
            if !APOSTROPHES.contains(&line) {
                self.text += &marked(line);
                self.text.push('\n');
            }
        }
        Ok(())
    }

    /// Adds a section.
    ///
    /// # Errors
    /// As of [`Page::written`].
    pub(super) fn section(
        &mut self,
        heading: &str,
        fill: impl FnOnce(&mut Roff),
    ) -> io::Result<()> {
        let mut roff = Roff::new();
        roff.control("SH", [heading]);
        fill(&mut roff);
        self.written(|to| roff.to_writer(to))
    }

    pub(super) fn finished(self) -> String {
        self.text
    }
}

/// A line with what stands between backquotes in bold, and with signs that are typed as they are, which roff would
/// make those of printed text. What stands for something is italic, and needs no brackets.
fn marked(line: &str) -> String {
    let mut text = String::new();
    let line = line.replace("\\fI<", "\\fI").replace(">\\fR", "\\fR");
    let line = line.replace("<\\fI", "\\fI").replace("\\fR>", "\\fR");
    let parts: Vec<_> = line.split('`').collect();
    for (place, part) in parts.iter().enumerate() {
        let is_marked = place % 2 == 1 && place + 1 < parts.len();
        let part = part.replace('^', "\\(ha").replace('~', "\\(ti");
        text += &if is_marked { format!("\\fB{part}\\fR") } else { part };
    }
    text
}

/// A paragraph.
pub(super) fn paragraph(roff: &mut Roff, text: &str) {
    roff.control("PP", []);
    roff.text([roman(text)]);
}

/// A word, and below it what it means.
pub(super) fn entry(roff: &mut Roff, word: &str, about: &str) {
    roff.control("TP", []);
    roff.text([bold(word)]);
    roff.text([roman(about)]);
}

/// Lines as they are.
pub(super) fn verbatim<'a>(roff: &mut Roff, lines: impl IntoIterator<Item = &'a str>) {
    roff.control("EX", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("EE", []);
}

/// A line that says how a command is called: what is typed as it stands is bold, what stands for something is italic.
/// Brackets are left where they part alternatives, or hold what may be left out.
pub(super) fn usage(line: &str) -> Vec<Inline> {
    let mut parts = Vec::new();
    let mut closing = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let is_like = |c: char| match first {
            'A'..='Z' => c.is_ascii_uppercase(),
            _ => is_typed(c),
        };
        let length = match first {
            'A'..='Z' => rest.find(|c| !is_like(c)).unwrap_or(rest.len()),
            c if is_typed(c) => rest.find(|c| !is_like(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (part, behind) = rest.split_at(length);
        rest = behind;
        match first {
            '<' => {
                let within = rest.split('>').next().unwrap_or_default();
                let several = within.contains("--") || within.contains('<');
                closing.push(if several { "}" } else { "" });
                parts.push(roman(if several { "{" } else { "" }));
            }
            '>' => parts.push(roman(closing.pop().unwrap_or_default())),
            'A'..='Z' => parts.push(italic(part)),
            c if is_typed(c) => parts.push(bold(part)),
            _ => parts.push(roman(part)),
        }
    }
    parts
}

fn is_typed(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_backquotes_is_bold_and_signs_stay_signs() {
        assert_eq!(
            marked("as `slowfs ps` shows, ~ and ^"),
            "as \\fBslowfs ps\\fR shows, \\(ti and \\(ha"
        );
        assert_eq!(marked("a `b` c ` d"), "a \\fBb\\fR c  d");
        assert_eq!(marked("\\fB\\-\\-to\\fR \\fI<FILE>\\fR"), "\\fB\\-\\-to\\fR \\fIFILE\\fR");
    }

    #[test]
    fn a_usage_tells_what_is_typed_from_what_stands_for_something() {
        let told = |line: &str| {
            let mut roff = Roff::new();
            roff.text(usage(line));
            roff.to_roff().trim_end().replace("\\fR", "_").replace("\\-", "-")
        };
        assert_eq!(
            told("slowfs delay [OPTIONS] --methods <METHOD,...> <TIME|DISTRIBUTION>"),
            "\\fBslowfs_ \\fBdelay_ [\\fIOPTIONS_] \\fB--methods_ \\fIMETHOD_,... \\fITIME_|\\fIDISTRIBUTION_"
        );
        assert_eq!(
            told("slowfs wait <--fired <N>|--held <N>> <NAME|ID>"),
            "\\fBslowfs_ \\fBwait_ {\\fB--fired_ \\fIN_|\\fB--held_ \\fIN_} \\fINAME_|\\fIID_"
        );
    }
}
