//! `slowfs completions`, and what its scripts ask at each TAB: `SLOWFS_COMPLETE=SHELL slowfs -- WORD...`, the words up
//! to the cursor, the last one cut off there. The answer is a line for each word that could stand there: the word, a
//! tab, what it is. bash tells what it takes for the last word, and the line.
//!
//! Whatever a mount or a directory does, the shell gets its prompt back soon: what takes longer is left out. No locks.
//!
//! ```text
//! line  ->  values  ->  patience
//! ```

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;

use super::output;

mod line;
mod patience;
mod values;

/// By which a script asks, and for which shell.
const VARIABLE: &str = "SLOWFS_COMPLETE";

/// How long an answer may take: somebody waits at a prompt.
const PATIENCE: Duration = Duration::from_secs(1);

/// What `slowfs completions` is told.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Whose script it is
    #[arg(value_name = "bash|zsh|fish")]
    shell: Shell,
}

/// A shell that there is a script for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl FromStr for Shell {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "bash" => Ok(Shell::Bash),
            "zsh" => Ok(Shell::Zsh),
            "fish" => Ok(Shell::Fish),
            _ => Err("one of bash, zsh, fish"),
        }
    }
}

/// Prints the script.
pub(super) fn print(args: &CompletionsArgs) {
    let script = match args.shell {
        Shell::Bash => include_str!("slowfs.bash"),
        Shell::Zsh => include_str!("slowfs.zsh"),
        Shell::Fish => include_str!("slowfs.fish"),
    };
    output::out(script.trim_end());
}

/// The shell whose script asks, and its words: no command begins with the mark.
pub(super) fn asked(words: &[OsString]) -> Option<(Shell, Vec<OsString>)> {
    let (mark, words) = words.split_first()?;
    let is_mark = mark.as_os_str() == OsStr::new("--");
    let shell = is_mark.then(|| env::var(VARIABLE).ok()).flatten()?.parse().ok()?;
    Some((shell, words.to_vec()))
}

/// Prints what could stand at the cursor; nothing where that cannot be told in time.
pub(super) fn answer((shell, words): (Shell, Vec<OsString>), grammar: clap::Command) -> ExitCode {
    let read = move || {
        let line = line::read(shell, &words)?;
        let words = line.words(grammar);
        Some(words.iter().map(|word| told(shell, word, &line.kept)).collect::<Vec<_>>())
    };
    let lines = patience::within(PATIENCE, read).flatten().unwrap_or_default();
    if !lines.is_empty() {
        output::out(&lines.join("\n"));
    }
    ExitCode::SUCCESS
}

/// A word as the shell's script reads it, without what the shell keeps.
fn told(shell: Shell, word: &CompletionCandidate, kept: &str) -> String {
    let value = word.get_value().to_string_lossy();
    if shell == Shell::Bash {
        return escaped(value.strip_prefix(kept).unwrap_or(&value));
    }
    let about = word.get_help().map(ToString::to_string).unwrap_or_default();
    format!("{value}\t{}", about.lines().next().unwrap_or_default())
}

/// As it is typed in bash, which takes it as it comes.
fn escaped(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+%@~".contains(c);
    word.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_gets_what_it_replaces_and_others_what_it_is() {
        let word =
            CompletionCandidate::new("--mount=/mnt/a b/").help(Some("a mirror\nof b".into()));
        assert_eq!(told(Shell::Bash, &word, "--mount="), r"/mnt/a\ b/");
        assert_eq!(told(Shell::Fish, &word, ""), "--mount=/mnt/a b/\ta mirror");
    }
}
