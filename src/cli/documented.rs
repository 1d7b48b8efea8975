//! What the documents show to be typed is understood.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::FromArgMatches;

use super::{Cli, command, kind, spelled_out};
use crate::fault::words;

/// The commands in the blocks of a text, each on one line and as a shell hands it over.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let blocks = text.lines().filter_map(|line| line.strip_prefix("    "));
    let typed = blocks.map(|line| {
        let line = line.trim_start().trim_start_matches("$ ");
        let is_setting = |word: &&str| word.contains('=') && !word.starts_with('-');
        let settings: usize = line.split_inclusive(' ').take_while(is_setting).map(str::len).sum();
        line.get(settings..).unwrap_or_default()
    });
    // What `slowfs --version` prints is none.
    let is_command = |line: &&str| {
        let rest = line.strip_prefix("slowfs ").unwrap_or_default();
        rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '-')
    };
    typed.filter(is_command).map(handed_over).collect()
}

/// A line without a comment, and without where its output goes.
fn handed_over(line: &str) -> String {
    let (mut quote, mut before) = (None, ' ');
    let ends = |c: char| {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        let is_end = "|>&;".contains(c) || c == '#' && before == ' ';
        before = c;
        quote.is_none() && is_end
    };
    let line = line.split(ends).next().unwrap_or_default().trim_end();
    // The shell's own process.
    line.replace("$$", "1")
}

/// Why it is not understood.
fn wrong(line: &str, grammar: &clap::Command) -> Option<String> {
    let words = words::split(line).unwrap().iter().map(OsString::from).collect();
    let parsed = grammar.clone().try_get_matches_from(spelled_out(grammar, words));
    let told = match parsed {
        Err(error) => error.to_string(),
        Ok(matches) => match kind::read(&matches) {
            Some(fault) => fault.err()?,
            None => Cli::from_arg_matches(&matches).err()?.to_string(),
        },
    };
    // Files that a reader has are none of ours.
    (!told.contains("No such file or directory")).then(|| format!("{line}: {told}"))
}

#[test]
fn each_command_that_the_documents_show_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let pages: Vec<_> = pages.chain([root.join("README.md")]).collect();
    let shown: Vec<_> =
        pages.iter().flat_map(|page| commands(&fs::read_to_string(page).unwrap())).collect();
    assert!(shown.len() > 100, "only {} commands found", shown.len());
    let grammar = command();
    let wrong: Vec<_> = shown.iter().filter_map(|line| wrong(line, &grammar)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn commands_are_found_as_they_are_typed() {
    let text = "slowfs in prose\n    $ A=b slowfs list --json | jq .  # c\n    slowfs delay 1ms \\\n        \
                -r 'a|b' -m read > f\n    slowfs 0.1.0, 2 cores\n";
    assert_eq!(
        commands(text),
        ["slowfs list --json", "slowfs delay 1ms          -r 'a|b' -m read"]
    );
    let told = wrong("slowfs list --commands /mnt/a", &command());
    assert!(told.is_some_and(|why| why.contains("/mnt/a")));
    assert_eq!(wrong("slowfs list /mnt/a --commands", &command()), None);
}
