//! A screen in the terminal, for what is redrawn. Invariant: the terminal is left as it was found. No
//! locks.

use std::io::{self, IsTerminal, Write};

use rustix::termios::tcgetwinsize;

/// The terminal's other screen, without a cursor; what was on the terminal comes back at the end.
pub(super) struct Screen;

impl Screen {
    /// None if nobody looks at a screen there.
    pub(super) fn open(json: bool) -> Option<Screen> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if json || dumb || !io::stdout().is_terminal() {
            return None;
        }
        let screen = Screen;
        screen.write("\x1b[?1049h\x1b[?25l").ok().map(|()| screen)
    }

    /// Replaces what is there in one write, without clearing first: nothing flickers.
    pub(super) fn draw(&self, view: &str) -> io::Result<()> {
        let (rows, columns) = match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
                (usize::from(size.ws_row), usize::from(size.ws_col))
            }
            _ => (24, 80),
        };
        self.write(&format!("\x1b[H{}\x1b[J", fit(view, rows, columns)))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = self.write("\x1b[?25h\x1b[?1049l");
    }
}

/// As much of the view as a terminal of that size has room for, each line erasing what was behind
/// it; the last line says how much is missing.
fn fit(view: &str, rows: usize, columns: usize) -> String {
    let lines: Vec<_> = view.lines().collect();
    let room = if lines.len() > rows { rows.saturating_sub(1) } else { rows };
    // The last column stays free, so that no line wraps.
    let cut = |line: &&str| format!("{}\x1b[K", cut(line, columns.saturating_sub(1)));
    let mut shown: Vec<_> = lines.iter().take(room).map(cut).collect();
    if lines.len() > rows {
        shown.push(cut(&&*format!("... {} more lines", lines.len() - room)));
    }
    shown.join("\n")
}

/// The first columns of a line; its colours take no room and stay paired.
fn cut(line: &str, columns: usize) -> String {
    let (mut out, mut seen, mut colour) = (String::new(), 0, false);
    for c in line.chars() {
        colour |= c == '\x1b';
        if colour || seen < columns {
            out.push(c);
        }
        seen += usize::from(!colour);
        colour &= c != 'm';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_never_exceeds_the_terminal() {
        let view = "\x1b[1mHEAD LINE\x1b[0m\none\n\ntwo\nthree";
        let fitted = fit(view, 3, 6);
        assert_eq!(fitted, "\x1b[1mHEAD \x1b[0m\x1b[K\none\x1b[K\n... 3\x1b[K");
        assert_eq!(fit("a\nb", 2, 80), "a\x1b[K\nb\x1b[K");
        for (rows, columns) in [(0, 0), (1, 1), (2, 2)] {
            assert!(fit(view, rows, columns).matches('\n').count() < rows.max(1));
        }
    }
}
