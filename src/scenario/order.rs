//! What is wrong with steps beside each other, whatever mount they are for. No locks.

use super::script::{Command, Step, When};
use super::text::Wrong;

/// The steps of one mount that cannot be at their time, or not beside those of the same time before them.
pub(crate) fn wrong(steps: &[&Step]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let mut refuse = |why| wrong.push(Wrong { line: step.line, why });
        if step.command.is_work() && matches!(step.when, When::Fired(..)) {
            refuse(why_no_firing(&step.command).to_owned());
        }
        let before = steps.iter().take(place);
        let image = step.command.image();
        let twin = before.clone().find(|other| image.is_some() && other.command.image() == image);
        if let Some(twin) = twin {
            refuse(format!("line {} makes an image of that name already", twin.line));
        }
        let beside: Vec<&&Step> = before.filter(|other| is_one_change(step, other)).collect();
        let sets = beside.iter().rev().find(|other| other.command.rank() > step.command.rank());
        if let Some(sets) = sets {
            let line = sets.line;
            refuse(format!(
                "it takes away what line {line} of the same time sets; write it before that"
            ));
        }
        let names = step.command.faults().iter().filter_map(|fault| fault.name.as_deref());
        for (own, name) in names.clone().enumerate() {
            let is_twin = names.clone().take(own).any(|other| other == name);
            let twin = beside.iter().find(|other| other.sets(name)).map(|other| other.line);
            if let Some(line) = twin.or_else(|| is_twin.then_some(step.line)) {
                let name = name.escape_debug();
                refuse(format!("line {line} sets a fault {name} at the same time already"));
            }
        }
    }
    wrong
}

/// What takes as long as the backing does cannot be done at a firing, which would wait for it.
fn why_no_firing(command: &Command) -> &'static str {
    match command {
        Command::Heal | Command::Rot(_) => {
            "heal and rot need a time: they take as long as the backing does, and what fires would wait for that"
        }
        _ => {
            "what is about the power needs a time: it waits for what is under way, and so for what fires; the fault \
             cut-at cuts it at an operation"
        }
    }
}

/// Whether two steps are one change of the table.
pub(super) fn is_one_change(one: &Step, other: &Step) -> bool {
    let is_change = |step: &Step| !step.command.is_work();
    matches!(one.when, When::At(_)) && one.when == other.when && is_change(one) && is_change(other)
}
