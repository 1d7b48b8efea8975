//! Ready-made faults by name, one table: those of charybdefs's cookbook, and others.

use serde_json::{Value, json};

use super::output;
use crate::fault::SpecError;
use crate::fault::suggest::closest;
use crate::fault::words::{self, FaultWords};

/// Shown below the help of `slowfs recipe`.
pub(super) const HELP: &str = "\
A recipe sets its faults and removes every other fault, in one step. `clear` to `broken-drive` are those of \
charybdefs's cookbook.

Examples:
  slowfs recipe --list
  slowfs recipe full            # every call fails with ENOSPC
  slowfs recipe dying-disk
  slowfs recipe fail-slow-stalling
  slowfs recipe clear
  slowfs recipe broken-drive --addr 127.0.0.1:9191";

/// Faults that have a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    /// What it is called.
    name: &'static str,
    /// What it does, for `--list`.
    what: &'static str,
    /// Each as typed after `slowfs`, in the order in which they are asked; none: it only clears.
    lines: &'static [&'static str],
}

static RECIPES: [Recipe; 18] = [
    Recipe { name: "clear", what: "clear every fault", lines: &[] },
    Recipe {
        name: "full",
        what: "a full disk: every call fails with ENOSPC",
        lines: &["error ENOSPC -m all"],
    },
    Recipe {
        name: "io-error",
        what: "a dead disk: every call fails with EIO",
        lines: &["error EIO -m all"],
    },
    Recipe {
        name: "quota",
        what: "a quota used up: every call fails with EDQUOT",
        lines: &["error EDQUOT -m all"],
    },
    Recipe {
        name: "delay",
        what: "a slow disk: every call takes 50 ms longer",
        lines: &["delay 50ms -m all"],
    },
    Recipe {
        name: "random",
        what: "every call fails with a random errno",
        lines: &["error random -m all"],
    },
    Recipe {
        name: "specific-syscalls",
        what: "only reads and writes fail, with a random errno",
        lines: &["error random -m read,read_buf,write,write_buf"],
    },
    Recipe {
        name: "probability",
        what: "one read or write in a hundred fails, with a random errno",
        lines: &["error random -m read,read_buf,write,write_buf -p 1%"],
    },
    Recipe {
        name: "file-pattern",
        what: "only reads and writes of files that end in sendmail.cf fail, with a random errno",
        lines: &["error random -m read,read_buf,write,write_buf -r .*sendmail.cf"],
    },
    Recipe {
        name: "broken-drive",
        what: "a dying disk: one call in a thousand takes 100 ms longer, then fails with EIO",
        lines: &["delay 100ms --and 'error EIO' -m all -p 0.1%"],
    },
    Recipe {
        name: "no-space",
        what: "a disk with no space left: what needs space fails with ENOSPC, and df shows it",
        lines: &["full --free 0"],
    },
    Recipe {
        name: "read-only-remount",
        what: "a filesystem that has become read-only: changes fail with EROFS",
        lines: &["read-only"],
    },
    Recipe {
        name: "dying-disk",
        what: "one read or write in a hundred fails with EIO, one in twenty takes 500 ms longer",
        lines: &[
            "error EIO -m read,read_buf,write,write_buf -p 1%",
            "delay 500ms -m read,read_buf,write,write_buf -p 5%",
        ],
    },
    Recipe {
        name: "flaky-fsync",
        what: "one fsync or fdatasync in ten fails with EIO",
        lines: &["error EIO -m fsync,fdatasync -p 10%"],
    },
    Recipe {
        name: "fail-slow-constant",
        what: "a disk that has become slow: each read, write and sync takes 20 ms longer",
        lines: &["delay 20ms -m read,read_buf,write,write_buf,fsync,fdatasync,fsyncdir"],
    },
    Recipe {
        name: "fail-slow-intermittent",
        what: "a disk that is slow now and then: 20 ms longer for 5 s, then normal for 15 s, on average",
        lines: &["delay 20ms -m read,read_buf,write,write_buf,fsync,fdatasync,fsyncdir \
                  --on-for 5s --off-for 15s --random"],
    },
    Recipe {
        name: "fail-slow-degrading",
        what: "a disk that becomes slower: from 1 ms longer to 100 ms longer within a minute",
        lines: &["delay 1ms -m read,read_buf,write,write_buf,fsync,fdatasync,fsyncdir \
                  --ramp x1..x100/60s"],
    },
    Recipe {
        name: "fail-slow-stalling",
        what: "a disk that stalls: no answer for 1 s, then normal for 9 s, on average",
        lines: &["hang -m read,read_buf,write,write_buf,fsync,fdatasync,fsyncdir \
                  --on-for 1s --off-for 9s --random"],
    },
];

impl Recipe {
    /// What it sets, in order and as its commands would set it; none if it only clears.
    ///
    /// # Errors
    /// A line is no fault: never, as a test shows.
    pub(super) fn faults(&self) -> Result<Vec<FaultWords>, SpecError> {
        let fault = |line| Ok(FaultWords::whole(&words::line(line)?.0.fault()?));
        self.lines.iter().copied().map(fault).collect()
    }
}

/// The name of each, and what it does.
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    RECIPES.iter().map(|recipe| (recipe.name, recipe.what))
}

/// The recipe of that name; a refusal names the nearest.
pub(super) fn parse(name: &str) -> Result<Recipe, String> {
    if let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name.eq_ignore_ascii_case(name)) {
        return Ok(*recipe);
    }
    Err(match closest(name, RECIPES.iter().map(|recipe| recipe.name)) {
        Some(near) => format!("no such recipe; did you mean {near}?"),
        None => "no such recipe; `slowfs recipe --list` shows those there are".to_owned(),
    })
}

/// One for programs. `fault` is for those that know recipes of one fault only.
fn told(recipe: &Recipe) -> Value {
    let faults = recipe.faults().unwrap_or_default();
    let only = if let [only] = faults.as_slice() { Some(only) } else { None };
    json!({ "name": recipe.name, "about": recipe.what, "fault": only, "faults": faults })
}

/// What there is, for people or programs.
pub(super) fn list(as_json: bool) -> String {
    if as_json {
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
            for fault in recipe.faults().unwrap() {
                fault.fault().unwrap_or_else(|reason| panic!("{}: {reason}", recipe.name));
            }
            assert_eq!(parse(recipe.name).unwrap().what, recipe.what);
        }
        assert!(parse("ful").unwrap_err().contains("did you mean full?"));
        assert!(parse("clear").unwrap().faults().unwrap().is_empty());
    }
}
