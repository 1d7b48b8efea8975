//! What commands print: aligned tables, one-line errors, colour only for a terminal that wants it.
//!
//! Names and messages may be others' (a mountpoint, a program, what a daemon says): on a line for people
//! they stay on that line, and tell a terminal nothing.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::fault::words::visible;
pub(super) use crate::rpc::objects::add_bytes;
pub(super) use crate::rpc::short_time;
use crate::sys::text_of;

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// `NO_COLOR` as on no-color.org: set and not empty.
fn coloured(stream: &impl IsTerminal) -> bool {
    let refused = env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
        || env::var_os("TERM").is_some_and(|v| v == "dumb");
    stream.is_terminal() && !refused
}

fn paint(text: &str, colour: &str, on: bool) -> String {
    if on { format!("{colour}{text}{RESET}") } else { text.to_owned() }
}

/// Why something of what a command has printed is not where it was to be.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// A line, or several, for people or programs.
pub(super) fn out(text: &str) {
    let _ = taken(writeln!(io::stdout(), "{text}"));
}

/// Whether standard output has taken something. A reader that has gone away is no error; any other is one of
/// the whole command, by [`ended`].
pub(super) fn taken(written: io::Result<()>) -> bool {
    let is_taken = written.is_ok();
    if let Some(error) = written.err().filter(|e| e.kind() != io::ErrorKind::BrokenPipe) {
        let _ = UNWRITTEN.set(error);
    }
    is_taken
}

/// How a command has ended: not well, if what it was to print is not all there.
pub(super) fn ended(code: ExitCode) -> ExitCode {
    let _ = taken(io::stdout().flush());
    match UNWRITTEN.get() {
        None => code,
        Some(why) => {
            error(&format!("cannot write to standard output: {}", text_of(why)));
            ExitCode::FAILURE
        }
    }
}

/// The same of a daemon, which goes on whether somebody takes it or not.
pub(super) fn offer(line: &str) {
    offered(&mut io::stdout(), &format!("{line}\n"));
}

/// One line: what failed, on what, why.
pub(super) fn error(text: &str) {
    let label = paint("slowfs:", RED, coloured(&io::stderr()));
    told(&format!("{label} {}\n", visible(text)));
}

/// One line that is neither an error nor an answer.
pub(super) fn note(text: &str) {
    told(&format!("slowfs: {}\n", visible(text)));
}

/// Text about work that goes on, as it is.
pub(super) fn progress(text: &str) {
    told(text);
}

/// The same of a daemon, by the name that it was started by.
pub(super) fn complain(program: &str, text: &str) {
    told(&format!("{program}: {}\n", visible(text)));
}

/// Writes to standard error, unless nobody takes it: that must not keep a command from its end.
fn told(line: &str) {
    offered(&mut io::stderr(), line);
}

fn offered(stream: &mut (impl Write + AsFd), line: &str) {
    const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
    if poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&PATIENCE)) != Ok(0) {
        // A reader that has gone away is no error.
        let _ = stream.write_all(line.as_bytes()).and_then(|()| stream.flush());
    }
}

/// One line about one address, named once.
pub(super) fn failed(addr: &str, reason: &str) {
    if reason.contains(addr) { error(reason) } else { error(&format!("{addr}: {reason}")) }
}

/// One line: done, but.
pub(super) fn warning(text: &str) {
    let label = paint("slowfs: warning:", YELLOW, coloured(&io::stderr()));
    told(&format!("{label} {}\n", visible(text)));
}

/// Done, but something temporary is left, such as a file that is immutable.
pub(super) fn left_behind(path: &Path, error: &io::Error) {
    warning(&format!("cannot remove {}: {}", path.display(), text_of(error)));
}

/// Aligned columns under their headers; those in `right` to the right. No trailing blanks.
pub(super) fn table<const N: usize>(
    headers: [&str; N],
    right: &[usize],
    rows: Vec<[String; N]>,
) -> String {
    let bold = coloured(&io::stdout());
    let headers = headers.map(str::to_owned);
    let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| visible(&cell))).collect();
    let mut widths = [0; N];
    for row in rows.iter().chain([&headers]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).enumerate().map(|(place, (cell, width))| {
            if right.contains(&place) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![paint(&line(&headers), BOLD, bold)];
    lines.extend(rows.iter().map(line));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_without_trailing_blanks() {
        let rows = vec![["1", "delay", ""], ["10", "x", "any"]];
        let rows = rows.into_iter().map(|r| r.map(str::to_owned)).collect();
        let text = table(["ID", "FAULT", "PATH"], &[0], rows);
        assert_eq!(text, "ID  FAULT  PATH\n 1  delay\n10  x      any");
    }
}
