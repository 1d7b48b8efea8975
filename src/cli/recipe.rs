//! The recipes of charybdefs's cookbook: one table of ready-made faults by name.

use super::output;
use crate::fault::suggest::closest;
use crate::rpc::FaultSpec;

/// Shown below the help of `slowfs recipe`.
pub(super) const HELP: &str = "\
A recipe first clears every fault, then sets its own.

Examples:
  slowfs recipe --list
  slowfs recipe full            # a disk without space, until
  slowfs recipe clear
  slowfs recipe broken-drive --addr 127.0.0.1:9191";

/// A fault that has a name.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// As charybdefs's cookbook calls it.
    name: &'static str,
    /// What it does, for `--list`.
    what: &'static str,
    /// None: it only clears.
    methods: &'static [&'static str],
    /// Empty: the operation goes on.
    errno: &'static str,
    delay_ms: i64,
    probability: f64,
    pattern: &'static str,
}

const CONTENTS: &[&str] = &["read", "read_buf", "write", "write_buf"];

/// Every call of every file, always; nothing happens to it yet.
const ALL: Recipe = Recipe {
    name: "",
    what: "",
    methods: &["all"],
    errno: "",
    delay_ms: 0,
    probability: 1.0,
    pattern: "",
};

const RECIPES: [Recipe; 10] = [
    Recipe { name: "clear", what: "clear every fault", methods: &[], ..ALL },
    Recipe {
        name: "full",
        what: "a full disk: every call fails with ENOSPC",
        errno: "ENOSPC",
        ..ALL
    },
    Recipe {
        name: "io-error",
        what: "a dead disk: every call fails with EIO",
        errno: "EIO",
        ..ALL
    },
    Recipe {
        name: "quota",
        what: "a quota used up: every call fails with EDQUOT",
        errno: "EDQUOT",
        ..ALL
    },
    Recipe {
        name: "delay",
        what: "a slow disk: every call takes 50 ms longer",
        delay_ms: 50,
        ..ALL
    },
    Recipe { name: "random", what: "every call fails with a random errno", errno: "random", ..ALL },
    Recipe {
        name: "specific-syscalls",
        what: "only reads and writes fail, with a random errno",
        methods: CONTENTS,
        errno: "random",
        ..ALL
    },
    Recipe {
        name: "probability",
        what: "one read or write in a hundred fails, with a random errno",
        methods: CONTENTS,
        errno: "random",
        probability: 0.01,
        ..ALL
    },
    Recipe {
        name: "file-pattern",
        what: "only reads and writes of files that end in sendmail.cf fail, with a random errno",
        methods: CONTENTS,
        errno: "random",
        pattern: ".*sendmail.cf",
        ..ALL
    },
    Recipe {
        name: "broken-drive",
        what: "a dying disk: one call in a thousand takes 100 ms longer, then fails with EIO",
        errno: "EIO",
        delay_ms: 100,
        probability: 0.001,
        ..ALL
    },
];

impl Recipe {
    /// What it sets; None if it only clears.
    pub(super) fn fault(&self) -> Option<FaultSpec> {
        if self.methods.is_empty() {
            return None;
        }
        let random = self.errno == "random";
        let errnos = (!random && !self.errno.is_empty()).then(|| self.errno.to_owned());
        Some(FaultSpec {
            methods: self.methods.iter().map(|m| (*m).to_owned()).collect(),
            pattern: self.pattern.to_owned(),
            probability: self.probability,
            delay_ns: (self.delay_ms > 0).then_some(self.delay_ms * 1_000_000),
            errnos: errnos.into_iter().collect(),
            random_errno: random,
            ..FaultSpec::default()
        })
    }
}

/// The recipe of that name; a refusal names the nearest.
pub(super) fn parse(name: &str) -> Result<Recipe, String> {
    if let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == name) {
        return Ok(recipe.clone());
    }
    Err(match closest(name, RECIPES.iter().map(|recipe| recipe.name)) {
        Some(near) => format!("no such recipe; did you mean {near}?"),
        None => "no such recipe; `slowfs recipe --list` shows those there are".to_owned(),
    })
}

/// Prints what there is.
pub(super) fn list() {
    let rows = RECIPES.iter().map(|recipe| [recipe.name.to_owned(), recipe.what.to_owned()]);
    output::out(&output::table(["RECIPE", "WHAT IT DOES"], &[], rows.collect()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc;

    #[test]
    fn every_recipe_is_a_fault_that_can_be() {
        for recipe in RECIPES {
            if let Some(spec) = recipe.fault() {
                rpc::fault(&spec).unwrap_or_else(|reason| panic!("{}: {reason}", recipe.name));
            }
            assert_eq!(parse(recipe.name).unwrap().what, recipe.what);
        }
        assert!(parse("ful").unwrap_err().contains("did you mean full?"));
        assert!(parse("clear").unwrap().fault().is_none());
    }
}
