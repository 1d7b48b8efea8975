//! The findings as a table for people and as JSON for programs.

use serde_json::{Value, json};

use super::finding::{Finding, Verdict};
use crate::cli::output;
use crate::fault::words::visible;

/// How wide a column is at most.
const WIDTH: usize = 46;

/// A check's name, and what it found.
type Row = (&'static str, Finding);

/// Whether nothing needs doing.
pub(super) fn is_fine(rows: &[Row]) -> bool {
    rows.iter().all(|(_, finding)| finding.verdict != Verdict::ToDo)
}

/// The table, and below it what to do.
pub(super) fn text(rows: &[Row]) -> String {
    let headers = ["CHECK", "VERDICT", "WHAT IS", "WHAT IT MEANS"];
    let mut parts = vec![output::table(headers, &[], rows.iter().flat_map(cells).collect())];
    for (verdict, heading) in [(Verdict::ToDo, "to do:"), (Verdict::Note, "if you need it:")] {
        let lines = rows.iter().filter(|(_, found)| found.verdict == verdict);
        let lines: Vec<_> = lines
            .filter_map(|(name, found)| {
                Some(format!("  {name}: {}", visible(found.todo.as_ref()?)))
            })
            .collect();
        if !lines.is_empty() {
            parts.push(format!("{heading}\n{}", lines.join("\n")));
        }
    }
    if is_fine(rows) {
        parts.push("nothing needs doing".to_owned());
    }
    parts.join("\n\n")
}

/// A row of the table, and more of them for what is too long for one.
fn cells((name, found): &Row) -> Vec<[String; 4]> {
    let (is, means) = (folded(&visible(&found.is)), folded(&visible(&found.means)));
    let line = |n: usize| {
        let (name, verdict) = if n == 0 { (*name, found.verdict.word()) } else { ("", "") };
        let part = |text: &[String]| text.get(n).cloned().unwrap_or_default();
        [name.to_owned(), verdict.to_owned(), part(&is), part(&means)]
    };
    (0..is.len().max(means.len())).map(line).collect()
}

/// A text in lines of that many characters.
fn folded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(cut(word)),
        }
    }
    lines
}

/// A word in parts that are no wider than a column: a path behind a slash, if there is one.
fn cut(word: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = word;
    while let Some((end, _)) = rest.char_indices().nth(WIDTH) {
        let (fits, _) = rest.split_at(end);
        let end = fits.rfind('/').filter(|slash| *slash > 0).map_or(end, |slash| slash + 1);
        let (part, behind) = rest.split_at(end);
        parts.push(part.to_owned());
        rest = behind;
    }
    parts.push(rest.to_owned());
    parts
}

pub(super) fn json(rows: &[Row]) -> Value {
    let checks = rows.iter().map(|(name, found)| {
        json!({
            "check": name,
            "verdict": found.verdict.word(),
            "is": found.is,
            "means": found.means,
            "todo": found.todo,
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ok": is_fine(rows),
        "checks": checks.collect::<Vec<_>>(),
    })
}

/// The names of the fields of the JSON.
#[cfg(test)]
pub(in crate::cli) fn field_names() -> Vec<String> {
    let json = json(&[("a", Finding::ok("", ""))]);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    [names(&json), names(&json["checks"][0])].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_doing_is_not_fine_and_is_told_first() {
        let ok = ("one", Finding::ok("is", "means"));
        let note = ("two", Finding::note("lacks", "some", "get it"));
        let bad = ("three", Finding::to_do("broken", "nothing works", "mend it"));
        assert!(is_fine(&[ok.clone(), note.clone()]));
        let rows = [ok, note, bad];
        assert!(!is_fine(&rows));
        let expected = "\
CHECK  VERDICT  WHAT IS  WHAT IT MEANS
one    ok       is       means
two    note     lacks    some
three  to do    broken   nothing works

to do:
  three: mend it

if you need it:
  two: get it";
        assert_eq!(text(&rows), expected);
        assert!(text(&rows[..1]).ends_with("\n\nnothing needs doing"));
    }
    #[test]
    fn what_is_long_goes_on_in_the_next_row() {
        let long = "word ".repeat(30);
        let row = ("one", Finding::ok(long.trim_end(), "it means"));
        let rows = cells(&row);
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|[.., is, _]| is.chars().count() <= WIDTH), "{rows:?}");
        assert_eq!(
            rows.iter().map(|row| row[2].as_str()).collect::<Vec<_>>().join(" "),
            long.trim_end()
        );
        assert_eq!((rows[0][0].as_str(), rows[0][3].as_str()), ("one", "it means"));
        assert!(rows[1..].iter().all(|row| row[0].is_empty() && row[3].is_empty()));
    }

    #[test]
    fn a_path_is_cut_where_it_is_wider_than_a_column() {
        let names = format!("{}/{}", "/name".repeat(20), "é".repeat(100));
        let lines = folded(&format!("mounted at {names} (1 fault)"));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert_eq!(lines[1], "/name".repeat(9) + "/");
        assert_eq!(lines.concat(), format!("mounted at{names} (1 fault)"));
    }
}
