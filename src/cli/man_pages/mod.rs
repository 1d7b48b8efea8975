//! `slowfs man-pages`: a page for the program and one for each command, from the grammar and its help. The same program
//! writes the same bytes. No locks.
//!
//! ```text
//! page  ->  mentions, roff
//! ```

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::Context;
use clap::Command;

use super::output;

mod mentions;
mod page;
mod roff;

/// What `slowfs man-pages` is told.
#[derive(Debug, clap::Args)]
pub(super) struct ManPagesArgs {
    /// The directory to write them into, which is made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Writes all of them.
///
/// # Errors
/// One cannot be written.
pub(super) fn write(ManPagesArgs { dir }: &ManPagesArgs, grammar: Command) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let pages = pages(grammar).context("cannot write a man page")?;
    for (name, text) in &pages {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    output::out(&format!("{} man pages are in {}", pages.len(), dir.display()));
    Ok(())
}

/// The name of each file, and what it says.
fn pages(grammar: Command) -> io::Result<Vec<(String, String)>> {
    let mut grammar = grammar.disable_help_subcommand(true);
    grammar.build();
    let shown = grammar.get_subcommands().filter(|command| !command.is_hide_set());
    let whole = [Ok(("slowfs.1".to_owned(), page::of_program(&grammar)?))];
    let each = shown.map(|command| {
        Ok((format!("{}.1", page::name(command)), page::of_command(command, &grammar)?))
    });
    whole.into_iter().chain(each).collect()
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    #[test]
    fn each_command_has_a_page_that_says_what_its_help_says() {
        let pages = pages(command()).unwrap();
        let shown = command();
        let shown: Vec<_> = shown.get_subcommands().filter(|of| !of.is_hide_set()).collect();
        assert_eq!(pages.len(), shown.len() + 1);
        for of in shown {
            let name = format!("slowfs-{}.1", of.get_name());
            let (_, page) = pages.iter().find(|(file, _)| *file == name).unwrap();
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
                assert!(page.contains(&format!("\n.SH {section}\n")), "{name} has no {section}");
            }
            let arguments = of.get_arguments().filter(|arg| !arg.is_hide_set());
            for long in arguments.filter_map(|arg| arg.get_long()) {
                let spelled = format!("\\-\\-{}", long.replace('-', "\\-"));
                assert!(page.contains(&spelled), "{name} lacks --{long}");
            }
            assert!(!page.contains('`'), "{name} has a mark of its source");
            let (_, whole) = &pages[0];
            assert!(whole.contains(&page::name(of).replace('-', "\\-")), "{name} is not listed");
        }
    }
}
