//! A line that is being typed: what could stand at the cursor. clap's engine knows the grammar; here it gets the line as
//! the grammar has it, and the mountpoints that may stand in front. No locks.

use std::ffi::OsString;

use clap::{Command, FromArgMatches};
use clap_complete::engine::{CompletionCandidate, complete};

use super::Shell;
use super::values;
use crate::cli::fleet::Addresses;
use crate::cli::target::Target;
use crate::cli::{spelled_out, whom};
use crate::fault::words;

/// A line up to the cursor.
pub(super) struct Line {
    /// The program and the words behind it.
    before: Vec<OsString>,
    /// What there is already of the word at the cursor.
    current: OsString,
    /// As much of that as the shell keeps, and does not want again.
    pub(super) kept: String,
}

/// The line as a shell's script tells it.
pub(super) fn read(shell: Shell, words: &[OsString]) -> Option<Line> {
    let (mut before, part) = match (shell, words) {
        (Shell::Bash, [part, line]) => (parted(line.to_str()?)?, part.to_str()?),
        (Shell::Bash, _) => return None,
        _ => (words.to_vec(), ""),
    };
    let current = before.pop()?;
    // bash takes `=` and `:` for the ends of words.
    let kept = match shell {
        Shell::Bash => current.to_str().and_then(|whole| whole.strip_suffix(part)),
        _ => None,
    };
    Some(Line { kept: kept.unwrap_or_default().to_owned(), before, current })
}

/// Its words, the last of which is empty where it ends with a blank; none within quotes.
fn parted(line: &str) -> Option<Vec<OsString>> {
    const END: char = '\u{1}';
    let mut words = words::split(&format!("{line}{END}")).ok()?;
    let last = words.last_mut()?;
    last.pop();
    Some(words.into_iter().map(OsString::from).collect())
}

impl Line {
    /// The words that could stand at the cursor.
    pub(super) fn words(&self, grammar: Command) -> Vec<CompletionCandidate> {
        let mut line = spelled_out(&grammar, self.before.clone());
        let target = target(&grammar, &line);
        let places = self.places(&grammar, &line);
        line.push(self.current.clone());
        let at = line.len() - 1;
        let found = complete(&mut values::told(grammar, &target), line, at, None);
        let mut found: Vec<_> = found.into_iter().flatten().chain(places).collect();
        // Options come when they are asked for, or where nothing else may stand.
        let is_option =
            |word: &CompletionCandidate| word.get_value().to_string_lossy().starts_with('-');
        if self.current.is_empty() && !found.iter().all(is_option) {
            found.retain(|word| !is_option(word));
        }
        found
    }

    /// The mountpoints, where one may stand before all other arguments.
    fn places(&self, grammar: &Command, line: &[OsString]) -> Vec<CompletionCandidate> {
        let is_place = |word: &OsString| word.to_string_lossy().starts_with("--mount=");
        let is_first = line.iter().skip(2).all(is_place);
        match to_mounts(grammar, line) {
            Some(command) if is_first && !whom::PATHS.contains(&command.get_name()) => {
                values::mountpoints(&self.current)
            }
            _ => Vec::new(),
        }
    }
}

/// The command of the line, if it is one to mounts.
fn to_mounts<'a>(grammar: &'a Command, line: &[OsString]) -> Option<&'a Command> {
    let command = grammar.find_subcommand(line.get(1)?)?;
    command.get_arguments().any(|arg| arg.get_id() == "mount").then_some(command)
}

/// Which mounts the line names so far.
fn target(grammar: &Command, line: &[OsString]) -> Target {
    let named = to_mounts(grammar, line).and_then(|_| {
        let read = grammar.clone().ignore_errors(true).try_get_matches_from(line);
        let matches = read.ok()?;
        Target::from_arg_matches(matches.subcommand()?.1).ok()
    });
    let target = named.unwrap_or_default();
    // The mounts that are named come before addresses.
    let addr = if target.mount.is_empty() { target.addr } else { Addresses::default() };
    Target { addr, ..target }
}
