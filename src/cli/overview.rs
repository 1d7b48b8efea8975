//! What `slowfs` alone and its help show: the commands, by what they are for. No locks.

use clap::Command;

use super::help;
use crate::fault::kinds::KINDS;

/// Which commands stand under which word; those of no other, and so new ones, under [`LOOK`].
const GROUPS: [(&str, &[&str]); 6] = [
    ("Mount", &["mount", "umount", "ps", "doctor"]),
    ("Faults", &["clear", "heal", "rot"]),
    ("Scripts", &["apply", "recipe", "run"]),
    ("Measure", &["record", "demo", "selftest"]),
    ("Shell", &["completions"]),
    ("Power", &["unsynced", "checkpoint", "power-cut", "power-on", "crash-test"]),
];

/// How the program is called.
pub(super) const USAGE: &str = "slowfs COMMAND [ARGUMENT]...";

const LOOK: &str = "Look";

/// The words, in order, with their commands as the grammar has them.
pub(super) fn groups(grammar: &Command) -> Vec<(&'static str, Vec<&Command>)> {
    let shown = || grammar.get_subcommands().filter(|command| !command.is_hide_set());
    let of = |command: &Command| {
        let name = command.get_name();
        let known = GROUPS.iter().find(|(_, names)| names.contains(&name));
        let is_kind = KINDS.iter().any(|kind| kind.name() == name);
        known.map_or(if is_kind { "Faults" } else { LOOK }, |(word, _)| *word)
    };
    let words = ["Mount", "Faults", "Scripts", LOOK, "Power", "Measure", "Shell"];
    words.map(|word| (word, shown().filter(|command| of(command) == word).collect())).into()
}

/// The commands that stand under the same word.
pub(super) fn related<'a>(grammar: &'a Command, name: &str) -> Vec<&'a str> {
    let names = |(_, commands): (_, Vec<&'a Command>)| -> Vec<&str> {
        commands.into_iter().map(Command::get_name).collect()
    };
    let mut all = groups(grammar).into_iter().map(names);
    all.find(|names| names.contains(&name)).unwrap_or_default()
}

/// How wide a small terminal is.
const WIDTH: usize = 80;

/// One paragraph a group.
pub(super) fn short(grammar: &Command) -> String {
    let lines = groups(grammar).into_iter().map(|(word, commands)| {
        let mut lines = vec![format!("{:<8}", format!("{word}:"))];
        for (place, command) in commands.iter().enumerate() {
            let comma = if place + 1 < commands.len() { "," } else { "" };
            let name = format!(" {}{comma}", command.get_name());
            match lines.last_mut().filter(|line| line.len() + name.len() <= WIDTH) {
                Some(line) => line.push_str(&name),
                None => lines.push(format!("{:<8}{name}", "")),
            }
        }
        lines.join("\n")
    });
    let examples = help::SLOWFS.split("\n\n").find(|part| part.starts_with("Examples:"));
    format!(
        "{}\n\n{}\n\n{}\n\n`slowfs --help` says what each command does, `slowfs help COMMAND` how.",
        about(grammar),
        lines.collect::<Vec<_>>().join("\n"),
        examples.unwrap_or_default()
    )
}

/// One line a command.
pub(super) fn long(grammar: &Command) -> String {
    let mut text = format!("{}\n\nUsage: {USAGE}\n", about(grammar));
    for (word, commands) in groups(grammar) {
        let own = Command::new("slowfs").help_template("{subcommands}").max_term_width(100);
        let own = own.disable_help_subcommand(true).subcommands(commands.into_iter().cloned());
        text += &format!("\n{word}:\n{}\n", own.clone().render_help().to_string().trim_end());
    }
    text += "\nOptions:\n  -h, --help     Print this\n  -V, --version  Print the version, --version also \
             what there is of FUSE\n\n";
    text + help::SLOWFS
}

fn about(grammar: &Command) -> String {
    grammar.get_about().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    #[test]
    fn every_command_is_shown_once_and_each_group_has_those_it_names() {
        let grammar = command();
        let mut shown: Vec<_> = groups(&grammar)
            .iter()
            .flat_map(|(_, commands)| commands.iter().map(|command| command.get_name()))
            .collect();
        let all = grammar.get_subcommands().filter(|command| !command.is_hide_set());
        let mut all: Vec<_> = all.map(Command::get_name).collect();
        shown.sort_unstable();
        all.sort_unstable();
        assert_eq!(shown, all);
        let named = GROUPS.iter().flat_map(|(_, names)| *names);
        assert!(named.into_iter().all(|name| all.contains(name)));
    }

    #[test]
    fn the_overview_fits_a_small_terminal() {
        let text = short(&command());
        assert!(text.lines().count() <= 24, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
