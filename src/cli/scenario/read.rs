//! A scenario's file, read whole. No locks.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::super::command;
use super::super::values::read_file;
use super::step;
use crate::fault::words::visible;
use crate::scenario::text::{self, Text, Wrong};
use crate::scenario::{MOST_STEPS, Step, order};

/// What a file asks for.
#[derive(Debug)]
pub(super) struct Written {
    /// What it is called: as the file, without its ending.
    pub(super) name: String,
    pub(super) seed: Option<u64>,
    pub(super) end: Duration,
    /// Its steps, with the mount that each is for, if it says one.
    pub(super) steps: Vec<(Option<String>, Step)>,
}

/// Reads it.
///
/// # Errors
/// All that is wrong with it, a line each.
pub(super) fn read(file: &Path) -> Result<Written, Vec<String>> {
    let shown = visible(&file.display().to_string());
    let text = read_file(&file.display().to_string());
    let text = text.map_err(|why| vec![format!("{shown}: {why}")])?;
    let told = |Wrong { line, why }: Wrong| match line {
        0 => format!("{shown}: {why}"),
        line => format!("{shown}:{line}: {why}"),
    };
    let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    written(name, &text).map_err(|wrong| wrong.into_iter().map(told).collect())
}

fn written(name: String, text: &str) -> Result<Written, Vec<Wrong>> {
    let (mut wrong, Text { seed, end, lines }) = match text::read(text) {
        Ok(text) => (Vec::new(), text),
        // What stands in the lines that can be read is told as well.
        Err((wrong, text)) => (wrong, text),
    };
    let grammar = command();
    let mut steps = Vec::new();
    for line in lines {
        match step::read(&grammar, &line.words) {
            Ok(command) => {
                let text = line.command();
                let step = Step { line: line.number, when: line.when, command, text };
                steps.push((line.mount, step));
            }
            Err(why) => wrong.push(Wrong { line: line.number, why }),
        }
    }
    if steps.len() > MOST_STEPS {
        wrong.push(Wrong { line: 0, why: format!("it has more than {MOST_STEPS} steps") });
    }
    wrong.extend(of_each(&steps));
    wrong.sort_by_key(|wrong| wrong.line);
    if wrong.is_empty() { Ok(Written { name, seed, end, steps }) } else { Err(wrong) }
}

/// What cannot stand beside each other on a mount.
fn of_each(steps: &[(Option<String>, Step)]) -> Vec<Wrong> {
    let mounts: BTreeSet<&Option<String>> = steps.iter().map(|(mount, _)| mount).collect();
    let of = |mount: &Option<String>| {
        let own = steps.iter().filter(|(other, _)| other == mount).map(|(_, step)| step);
        order::wrong(&own.collect::<Vec<_>>())
    };
    mounts.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_and_that_of_the_document_can_be_read() {
        let document = include_str!("../../../docs/scenarios.md");
        let block =
            document.split("\n\n").find(|block| block.contains("# degrading-disk.scenario"));
        for (text, steps) in [
            (include_str!("../../../examples/etcd/degrading-log.scenario"), 4),
            (include_str!("../../../examples/detector/stall.scenario"), 2),
            (block.unwrap(), 4),
        ] {
            let read = written("disk".to_owned(), text);
            assert_eq!(read.map(|written| written.steps.len()), Ok(steps), "{text}");
        }
    }

    /// What can be read of the others is read too, so that all that is wrong is told at once.
    #[test]
    fn lines_that_are_wrong_for_different_reasons_are_told_in_order() {
        let wrong = written("disk".to_owned(), "5 clear\n1s dealy 1ms\n2s list\n3s clear a,");
        let lines: Vec<_> = wrong.unwrap_err().iter().map(|wrong| wrong.line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }
}
