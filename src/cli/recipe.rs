//! The recipes of charybdefs's cookbook: one table of ready-made faults by name.

use serde_json::{Value, json};

use super::output;
use crate::fault::SpecError;
use crate::fault::suggest::closest;
use crate::fault::words::{self, FaultWords};

/// Shown below the help of `slowfs recipe`.
pub(super) const HELP: &str = "\
A recipe sets its fault in the place of every other one, in one step.

Examples:
  slowfs recipe --list
  slowfs recipe full            # a disk without space, until
  slowfs recipe clear
  slowfs recipe broken-drive --addr 127.0.0.1:9191";

/// A fault that has a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    /// As charybdefs's cookbook calls it.
    name: &'static str,
    /// What it does, for `--list`.
    what: &'static str,
    /// As typed after `slowfs`; empty: it only clears.
    line: &'static str,
}

static RECIPES: [Recipe; 10] = [
    Recipe { name: "clear", what: "clear every fault", line: "" },
    Recipe {
        name: "full",
        what: "a full disk: every call fails with ENOSPC",
        line: "error ENOSPC -m all",
    },
    Recipe {
        name: "io-error",
        what: "a dead disk: every call fails with EIO",
        line: "error EIO -m all",
    },
    Recipe {
        name: "quota",
        what: "a quota used up: every call fails with EDQUOT",
        line: "error EDQUOT -m all",
    },
    Recipe {
        name: "delay",
        what: "a slow disk: every call takes 50 ms longer",
        line: "delay 50ms -m all",
    },
    Recipe {
        name: "random",
        what: "every call fails with a random errno",
        line: "error random -m all",
    },
    Recipe {
        name: "specific-syscalls",
        what: "only reads and writes fail, with a random errno",
        line: "error random -m read,read_buf,write,write_buf",
    },
    Recipe {
        name: "probability",
        what: "one read or write in a hundred fails, with a random errno",
        line: "error random -m read,read_buf,write,write_buf -p 1%",
    },
    Recipe {
        name: "file-pattern",
        what: "only reads and writes of files that end in sendmail.cf fail, with a random errno",
        line: "error random -m read,read_buf,write,write_buf -r .*sendmail.cf",
    },
    Recipe {
        name: "broken-drive",
        what: "a dying disk: one call in a thousand takes 100 ms longer, then fails with EIO",
        line: "delay 100ms --and 'error EIO' -m all -p 0.1%",
    },
];

impl Recipe {
    /// What it sets; none if it only clears.
    ///
    /// # Errors
    /// Its line is no fault: never, as a test shows.
    pub(super) fn fault(&self) -> Result<Option<FaultWords>, SpecError> {
        match self.line {
            "" => Ok(None),
            line => words::line(line).map(|(fault, _)| Some(fault)),
        }
    }
}

/// The recipe of that name; a refusal names the nearest.
pub(super) fn parse(name: &str) -> Result<Recipe, String> {
    if let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == name) {
        return Ok(*recipe);
    }
    Err(match closest(name, RECIPES.iter().map(|recipe| recipe.name)) {
        Some(near) => format!("no such recipe; did you mean {near}?"),
        None => "no such recipe; `slowfs recipe --list` shows those there are".to_owned(),
    })
}

/// What there is, for people or programs.
pub(super) fn list(as_json: bool) -> String {
    if as_json {
        let told = |recipe: &Recipe| json!({ "name": recipe.name, "about": recipe.what, "fault": recipe.fault().ok() });
        let recipes: Vec<Value> = RECIPES.iter().map(told).collect();
        return json!({ "ok": true, "recipes": recipes }).to_string();
    }
    let rows = RECIPES.iter().map(|recipe| [recipe.name.to_owned(), recipe.what.to_owned()]);
    output::table(["RECIPE", "WHAT IT DOES"], &[], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_a_fault_that_can_be() {
        for recipe in RECIPES {
            if let Some(fault) = recipe.fault().unwrap() {
                fault.fault().unwrap_or_else(|reason| panic!("{}: {reason}", recipe.name));
            }
            assert_eq!(parse(recipe.name).unwrap().what, recipe.what);
        }
        assert!(parse("ful").unwrap_err().contains("did you mean full?"));
        assert!(parse("clear").unwrap().fault().unwrap().is_none());
    }
}
