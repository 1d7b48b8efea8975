//! `slowfs kinds`: the table of kinds for people, and the reference of docs/kinds.md.

use std::fmt::Write as _;

use serde_json::json;

use super::output;
use super::values::KindArg;
use crate::fault::distributions::{DISTRIBUTIONS, Form};
use crate::fault::kinds::{KINDS, Kind};
use crate::fault::suggest::closest;
use crate::fault::takes;
use crate::fault::words::{OPTIONS, Param, ParamType};
use crate::ops::MethodSet;
use crate::rpc::KindInfo;

const HEAD: &str = "\
# The kinds of fault

`slowfs kinds --markdown` prints this page; `make check` compares it. The names of kinds and parameters are the same
on the command line, in `slowfs mount --fault` and in [the Thrift calls](thrift.md#calls-of-slowfs). The
[class](control.md#faults-conditions-and-latches) of a kind decides when it is asked, and what it can be combined with.
";

/// All kinds, or one of them.
pub(super) fn shown(kind: Option<&KindArg>) -> String {
    match kind {
        Some(KindArg(kind)) => one(*kind),
        None => all(),
    }
}

/// One of the files that come with a kind, as it is.
pub(super) fn file(KindArg(kind): &KindArg, name: &str) -> Result<&'static str, String> {
    let names = || kind.files().iter().map(|(name, _)| *name);
    let found = kind.files().iter().find(|(own, _)| *own == name);
    found.map(|(_, text)| text.trim_end()).ok_or_else(|| {
        let kind = kind.name();
        match closest(name, names()) {
            _ if names().next().is_none() => format!("{kind} comes with no files"),
            Some(near) => format!("{kind} comes with no file {name}; did you mean {near}?"),
            None => {
                let all = names().collect::<Vec<_>>().join(", ");
                format!("{kind} comes with no file {name}; there are {all}")
            }
        }
    })
}

/// The same for programs, as `list_kinds` tells it.
pub(super) fn json(kind: Option<&KindArg>) -> String {
    let is_meant = |of: &KindInfo| kind.is_none_or(|KindArg(kind)| of.name == kind.name());
    let kinds: Vec<_> = KindInfo::all().into_iter().filter(is_meant).collect();
    json!({ "ok": true, "kinds": kinds }).to_string()
}

/// A line each, as narrow as a terminal.
fn all() -> String {
    let row = |kind: &&dyn Kind| [kind.name().to_owned(), kind.about().to_owned()];
    let table = output::table(["KIND", "WHAT IT DOES"], &[], KINDS.iter().map(row).collect());
    table + "\n`slowfs kinds KIND` shows how one is typed, what it does in detail, and examples"
}

/// How it is typed: `delay TIME|DISTRIBUTION`, and the methods.
fn typed(kind: &dyn Kind) -> String {
    let mut words = vec![kind.name().to_owned()];
    for param in kind.params() {
        let typed = spelled(param);
        words.push(if param.required { typed } else { format!("[{typed}]") });
    }
    let methods = if kind.class().has_own_reach() { "[-m METHOD,...]" } else { "-m METHOD,..." };
    words.push(methods.to_owned());
    words.join(" ")
}

fn one(kind: &dyn Kind) -> String {
    let mut text = format!("slowfs {}\n{}\n\n", typed(kind), kind.about());
    for param in kind.params() {
        let _ = writeln!(text, "{}: {}", spelled(param), param.about);
    }
    if takes_distribution(kind) {
        let _ = writeln!(text, "\n{}", distributions());
    }
    let _ = write!(text, "\n{}", kind.details());
    let _ = write!(text, "\n\n{}", place(kind));
    let files: Vec<_> = kind.files().iter().map(|(name, _)| *name).collect();
    if !files.is_empty() {
        let _ = write!(text, "\nFiles: {}.", files.join(", "));
    }
    text
}

pub(super) fn takes_distribution(kind: &dyn Kind) -> bool {
    kind.params().iter().any(|param| param.of == ParamType::Distribution)
}

/// The forms of a distribution, in a sentence.
pub(super) fn in_short() -> String {
    let forms: Vec<_> = DISTRIBUTIONS.iter().map(|known| known.form).collect();
    format!("A length is one of {}; `slowfs kinds delay` says what each asks.", forms.join(", "))
}

/// The same, a line each.
fn distributions() -> String {
    let widest = DISTRIBUTIONS.iter().map(|known| known.form.len()).max().unwrap_or_default();
    let line = |known: &Form| format!("  {:widest$}  {}", known.form, known.about);
    let lines = DISTRIBUTIONS.iter().map(line).collect::<Vec<_>>().join("\n");
    format!("{lines}\n  u is random between 0 and 1, Q the normal quantile: see docs/dice.md")
}

/// Beside what it may stand, and where: `Class time; on every method.`
fn place(kind: &dyn Kind) -> String {
    let reach = kind.reach();
    let left = MethodSet::ALL.minus(reach).names();
    let on = match left.len() {
        0 => "every method".to_owned(),
        1..=FEW => format!("every method but {}", left.join(", ")),
        _ => reach.names().join(", "),
    };
    let on = match kind.params().iter().find(|param| param.of == ParamType::Methods) {
        Some(param) if param.required => "the methods that it names".to_owned(),
        Some(param) => format!("{on}; also on the methods that `--{}` names", param.word()),
        None => on,
    };
    format!("Class {}; on {on}.", kind.class().name())
}

/// How many methods are rather told by those that are left out.
const FEW: usize = 5;

/// A parameter as it is typed: `TIME`, `--unit SIZE`.
fn spelled(param: &Param) -> String {
    match param.first {
        true => param.of.form(),
        false => param.of.typed(&param.word()),
    }
}

/// docs/kinds.md. `|` parts the columns of a table, so it is escaped there.
pub(super) fn reference() -> String {
    let mut text = HEAD.to_owned();
    for kind in KINDS {
        let _ = write!(text, "\n## slowfs {}\n\n{}.\n", kind.name(), kind.about());
        let (typed, details) = (typed(*kind), kind.details());
        let _ = write!(text, "\n`slowfs {typed}`\n\n{details}\n");
        if !kind.params().is_empty() {
            text.push_str("\n| parameter | typed | meaning |\n|---|---|---|\n");
        }
        for param in kind.params() {
            let typed = spelled(param).replace('|', "\\|");
            let _ = writeln!(text, "| `{}` | `{typed}` | {} |", param.name, param.about);
        }
        if takes_distribution(*kind) {
            text.push_str("\nA distribution is one of [these](#distributions).\n");
        }
        let _ = write!(text, "\n{}\n", place(*kind));
    }
    text.push_str(&distribution_rows());
    text.push_str(&options());
    text.trim_end().to_owned()
}

fn distribution_rows() -> String {
    let head = "\n## Distributions\n\n| length | what it asks |\n|---|---|\n".to_owned();
    let row = |known: &Form| format!("| `{}` | {} |\n", known.form, known.about);
    let rows = head + &DISTRIBUTIONS.iter().map(row).collect::<String>();
    rows + "\nu is random between 0 and 1, and Q is the normal quantile: [dice.md](dice.md) has both, with examples.\n"
}

fn options() -> String {
    let mut text =
        "\n## Options\n\n| option | in Thrift and JSON | meaning |\n|---|---|---|\n".to_owned();
    for option in OPTIONS {
        let short = option.short.map(|letter| format!("`-{letter}`, ")).unwrap_or_default();
        let typed = option.param.of.typed(option.word).replace('|', "\\|");
        let (name, about) = (option.param.name, option.param.about);
        let _ = writeln!(text, "| {short}`{typed}` | `{name}` | {about} |");
    }
    text + "\n" + &refusals()
}

/// Which kinds refuse which options, a line for each group of options.
fn refusals() -> String {
    let mut groups: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for word in OPTIONS.iter().map(|option| option.word).chain(["and"]) {
        let refusing = KINDS.iter().filter(|kind| takes::refuses(**kind, word).is_some());
        let by: Vec<_> = refusing.map(|kind| kind.name()).collect();
        match groups.iter_mut().find(|(_, kinds)| *kinds == by) {
            _ if by.is_empty() => {}
            Some((words, _)) => words.push(word),
            None => groups.push((vec![word], by)),
        }
    }
    let line = |(words, by): (Vec<&str>, Vec<&str>)| {
        let words: Vec<_> = words.iter().map(|word| format!("`--{word}`")).collect();
        let names = KINDS.iter().map(|kind| kind.name());
        let others: Vec<_> = names.filter(|name| !by.contains(name)).collect();
        let told = match others.len() <= FEW {
            true => format!("only {}", others.join(", ")),
            false => format!("not {}", by.join(", ")),
        };
        format!("- {}: {told}\n", words.join(", "))
    };
    let lines: String = groups.into_iter().map(line).collect();
    format!("Some kinds refuse some of these, and `--and`:\n\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::words::{Args, FaultWords, line};
    use crate::ops::Method;

    /// What stands in the reference is what the program accepts.
    #[test]
    fn a_kind_can_be_set_where_its_place_says_and_nowhere_else() {
        for kind in KINDS {
            let place = place(*kind);
            let (_, on) = place.trim_end_matches('.').split_once("; on ").unwrap();
            // What is added depends on the values.
            let on = on.split("; also").next().unwrap();
            let (all_but, named) = match on.strip_prefix("every method") {
                Some(left) => (true, left.strip_prefix(" but ").unwrap_or_default()),
                None => (false, on),
            };
            let named: Vec<_> = named.split(", ").collect();
            if named == ["the methods that it names"] {
                continue;
            }
            let example = kind.details().lines().find_map(|l| l.strip_prefix("    slowfs "));
            let words = line(example.unwrap()).unwrap().0;
            for method in Method::all() {
                let methods = vec![method.name().to_owned()];
                let options = Args::new();
                let fault = FaultWords { methods, options, ..words.clone() }.fault();
                let is_told = named.contains(&method.name()) != all_but;
                assert_eq!(fault.is_ok(), is_told, "{}: {}: {fault:?}", kind.name(), method.name());
            }
        }
    }

    #[test]
    fn every_kind_and_option_is_in_the_reference() {
        let text = reference();
        for kind in KINDS {
            assert!(text.contains(&format!("\n## slowfs {}\n", kind.name())));
            assert!(one(*kind).contains(kind.about()) && one(*kind).contains(&typed(*kind)));
        }
        let delay = one(KINDS[0]);
        for Form { form, about, .. } in DISTRIBUTIONS {
            assert!(text.contains(&format!("| `{form}` | {about} |")), "{form}");
            assert!(delay.contains(form) && delay.contains(about), "{form}");
        }
        assert!(OPTIONS.iter().all(|option| text.contains(&format!("`--{}", option.word))));
        assert!(!text.contains(" \n") && !text.ends_with('\n'));
    }

    #[test]
    fn the_list_has_a_narrow_line_for_each_kind_and_says_where_more_is() {
        let text = all();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), KINDS.len() + 2, "{text}");
        for (kind, line) in KINDS.iter().zip(&lines[1..]) {
            assert!(line.starts_with(kind.name()) && line.ends_with(kind.about()), "{line}");
        }
        assert!(lines.iter().all(|line| line.chars().count() <= 100), "{text}");
        assert!(lines[lines.len() - 1].contains("`slowfs kinds KIND`"), "{text}");
    }

    #[test]
    fn the_distributions_are_in_the_reference_once() {
        let text = reference();
        assert_eq!(text.matches("| length |").count(), 1);
        let kinds = KINDS.iter().filter(|kind| takes_distribution(**kind)).count();
        assert!(kinds > 1);
        assert_eq!(text.matches("[these](#distributions)").count(), kinds);
    }
}
