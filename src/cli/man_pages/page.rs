//! One page: what the grammar and its help say of a command, in the sections of a man page. No locks.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;

use super::mentions::{self, FILES, VARIABLES};
use super::roff::{Page, entry, paragraph, usage, verbatim};
use crate::cli::kind::sentence;
use crate::cli::{help, overview};

/// What the text behind a command's options says.
struct Told<'a> {
    paragraphs: Vec<&'a str>,
    exits: Option<&'a str>,
    examples: Vec<&'a str>,
}

const EXITS: &str = "Exit codes: ";

impl Told<'_> {
    fn read(help: &str) -> Told<'_> {
        let (mut paragraphs, mut exits, mut examples) = (Vec::new(), None, Vec::new());
        for part in help.split("\n\n") {
            if let Some(codes) = part.strip_prefix(EXITS) {
                exits = Some(codes);
            } else if let Some(lines) = part.strip_prefix("Examples:\n") {
                examples.extend(lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)));
            } else if !part.is_empty() {
                paragraphs.push(part);
            }
        }
        Told { paragraphs, exits, examples }
    }
}

/// The page of the program.
///
/// # Errors
/// As of [`Page::written`].
pub(super) fn of_program(grammar: &Command) -> io::Result<String> {
    let told = Told::read(help::SLOWFS);
    let mut page = begun(grammar, &told)?;
    page.section("COMMANDS", |roff| {
        for (word, commands) in overview::groups(grammar) {
            roff.control("SS", [word]);
            for command in commands {
                entry(roff, &format!("{}(1)", name(command)), &about(command));
            }
        }
    })?;
    options(&mut page, grammar)?;
    let pages = ["fusermount3(1)", "fuse(4)", "mount(8)"].map(str::to_owned);
    ended(page, &told, None, &pages)
}

/// The page of a command of it.
///
/// # Errors
/// As of [`Page::written`].
pub(super) fn of_command(command: &Command, grammar: &Command) -> io::Result<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let told = Told::read(&help);
    let mut page = begun(command, &told)?;
    options(&mut page, command)?;
    ended(page, &told, Some(command), &mentions::pages(command, grammar))
}

/// What a command takes: first what stands by its place.
fn options(page: &mut Page, command: &Command) -> io::Result<()> {
    let with = |by_place: bool| {
        let arg = |arg: Arg| {
            let other = arg.is_positional() != by_place;
            let arg = if by_place { arg.help_heading("ARGUMENTS") } else { arg };
            if other { arg.hide(true) } else { arg }
        };
        Man::new(command.clone().mut_args(arg))
    };
    for man in [with(true), with(false)] {
        page.written(|to| man.render_options_section(to))?;
    }
    Ok(())
}

/// What the page of a command is called.
pub(super) fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// What comes before the options.
fn begun(command: &Command, told: &Told<'_>) -> io::Result<Page> {
    let mut page = Page::new(&name(command));
    let man = Man::new(command.clone());
    page.written(|to| man.render_name_section(to))?;
    let how = command.clone().render_usage().to_string();
    let how = how.strip_prefix("Usage: ").unwrap_or(&how);
    page.section("SYNOPSIS", |roff| {
        roff.text(usage(how));
    })?;
    page.section("DESCRIPTION", |roff| {
        let long = command.get_long_about().map(ToString::to_string);
        let long = long.unwrap_or_else(|| about(command));
        long.split("\n\n").for_each(|text| paragraph(roff, text));
        told.paragraphs.iter().for_each(|text| paragraph(roff, text));
    })?;
    Ok(page)
}

/// What a command does, as a sentence.
fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    format!("{}.", about.trim_end_matches('.'))
}

/// What comes behind the options, to the end.
fn ended(
    mut page: Page,
    told: &Told<'_>,
    command: Option<&Command>,
    pages: &[String],
) -> io::Result<String> {
    let usual = Told::read(help::SLOWFS).exits;
    page.section("EXIT STATUS", |roff| {
        for (code, meaning) in codes(told.exits.or(usual).unwrap_or_default()) {
            entry(roff, &code, &meaning);
        }
    })?;
    for (heading, all) in [("ENVIRONMENT", &VARIABLES), ("FILES", &FILES)] {
        let mut mentioned = mentions::of(all, command).peekable();
        if mentioned.peek().is_some() {
            page.section(heading, |roff| {
                mentioned.for_each(|mention| entry(roff, mention.name, mention.about));
            })?;
        }
    }
    page.section("EXAMPLES", |roff| verbatim(roff, told.examples.iter().copied()))?;
    page.section("SEE ALSO", |roff| paragraph(roff, &pages.join(", ")))?;
    Ok(page.finished())
}

/// `0 done, 1 refused or failed.` as codes and what they mean, each as a sentence.
fn codes(text: &str) -> Vec<(String, String)> {
    let mut codes: Vec<String> = Vec::new();
    for part in text.trim_end_matches('.').split(", ") {
        match codes.last_mut().filter(|_| !part.starts_with(|c: char| c.is_ascii_digit())) {
            Some(last) => *last += &format!(", {part}"),
            None => codes.push(part.to_owned()),
        }
    }
    let halves = codes.iter().filter_map(|code| code.split_once(' '));
    halves.map(|(code, meaning)| (code.to_owned(), sentence(meaning) + ".")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_help_says_goes_into_its_sections() {
        let told =
            Told::read("One.\n\nExit codes: 0 fine, 1 not.\n\nTwo.\n\nExamples:\n  a\n  b  # c");
        assert_eq!(told.paragraphs, ["One.", "Two."]);
        assert_eq!(told.exits, Some("0 fine, 1 not."));
        assert_eq!(told.examples, ["a", "b  # c"]);
    }

    #[test]
    fn an_exit_code_may_mean_one_of_two_things() {
        let told = codes("0 all is well, 1 it failed, or could not be done, 2 usage.");
        let told: Vec<_> = told.iter().map(|(code, meaning)| format!("{code} {meaning}")).collect();
        assert_eq!(told, ["0 All is well.", "1 It failed, or could not be done.", "2 Usage."]);
    }
}
