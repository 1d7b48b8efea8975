//! The rows as a table for people and as JSON for programs.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::place::cores;
use super::row::{Bar, Row, Unit, Verdict};
use crate::cli::output::{short_time, table};

/// What was measured, and how.
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    /// Of the dice on both mirrors.
    pub(super) seed: u32,
    pub(super) took: Duration,
}

impl Report {
    pub(super) fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.verdict.has_failed())
    }

    /// The table, and a line that sums it up.
    pub(super) fn text(&self) -> String {
        let rows = self.rows.iter().map(Row::cells).collect();
        let headers = ["TEST", "OF", "ASKED", "GOT", "95%", "P99", "FLOOR", "BAR", "VERDICT"];
        format!(
            "{}; seed {}\n\n{}\n\n{}",
            machine(),
            self.seed,
            table(headers, &[2, 3, 5, 6, 7], rows),
            self.summary()
        )
    }

    fn summary(&self) -> String {
        let of = |word: &str| {
            let rows = self.rows.iter().filter(|row| row.verdict.word() == word);
            rows.map(|row| format!("{} ({})", row.test, row.what)).collect::<Vec<_>>()
        };
        let (failed, noisy) = (of("failed"), of("noisy"));
        let mut lines = vec![
            "Times are those beyond what was asked; FLOOR is what this machine does without slowfs."
                .to_owned(),
        ];
        if !failed.is_empty() {
            lines.push(format!("failed: {}", failed.join(", ")));
        }
        if !noisy.is_empty() {
            let (noisy, all) = (noisy.len(), self.rows.len());
            lines.push(format!(
                "noisy: {noisy} of {all} rows; measure again while nothing else runs"
            ));
        }
        if failed.is_empty() && noisy.is_empty() {
            lines.push("all ok".to_owned());
        }
        lines.join("\n")
    }

    pub(super) fn json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        let verdict = ["failed", "noisy"]
            .into_iter()
            .find(|word| self.rows.iter().any(|row| row.verdict.word() == *word));
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ok": !self.has_failed(),
            "verdict": verdict.unwrap_or("ok"),
            "cores": cores(),
            "processor": processor(),
            "kernel": kernel(),
            "seed": self.seed,
            "took_ns": u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX),
            "rows": rows,
        })
    }
}

impl Row {
    fn cells(&self) -> [String; 9] {
        let shown = |figure: f64| self.shown(figure);
        let optional = |figure: Option<f64>| figure.map(shown).unwrap_or_default();
        let (low, high) = (shown(self.got.low), shown(self.got.high));
        let spread = if low == high { String::new() } else { format!("{low} to {high}") };
        let asked = match self.unit {
            Unit::Ns => time(self.asked),
            _ => shown(self.asked),
        };
        let verdict = match &self.verdict {
            Verdict::Ok => "ok".to_owned(),
            Verdict::Noisy(why) | Verdict::Failed(why) => format!("{}: {why}", self.verdict.word()),
        };
        [
            self.test.to_owned(),
            self.what.clone(),
            asked,
            shown(self.got.at),
            spread,
            optional(self.p99),
            optional(self.floor),
            self.bar(),
            verdict,
        ]
    }

    fn bar(&self) -> String {
        let shown = |figure| self.shown(figure);
        match self.bar {
            Bar { from: Some(from), to: Some(to) } => format!("{} to {}", shown(from), shown(to)),
            Bar { from: Some(from), to: None } => format!(">= {}", shown(from)),
            Bar { from: None, to: Some(to) } => format!("<= {}", shown(to)),
            Bar { from: None, to: None } => String::new(),
        }
    }

    /// A figure for people: a time is told as what it is beyond the one that was asked.
    pub(super) fn shown(&self, figure: f64) -> String {
        match self.unit {
            Unit::Ns => {
                let beyond = figure - self.asked;
                format!("{}{}", if beyond < 0.0 { "-" } else { "+" }, time(beyond.abs()))
            }
            Unit::Share => format!("{:.2}%", figure * 100.0),
            Unit::Ratio => format!("{figure:.2}"),
            Unit::Count => format!("{figure:.0}"),
        }
    }

    fn json(&self) -> Value {
        json!({
            "test": self.test,
            "of": self.what,
            "unit": self.unit,
            "asked": self.asked,
            "got": self.got.at,
            "low": self.got.low,
            "high": self.got.high,
            "p99": self.p99,
            "floor": self.floor,
            "bar_from": self.bar.from,
            "bar_to": self.bar.to,
            "n": self.n,
            "verdict": self.verdict.word(),
            "why": self.verdict.why(),
        })
    }
}

/// So many nanoseconds, for people.
#[allow(clippy::cast_possible_truncation, reason = "three digits are shown")]
pub(super) fn time(ns: f64) -> String {
    short_time(ns.round() as i64)
}

/// What it was measured on, in a line.
pub(super) fn machine() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("slowfs {version}, {} cores ({}), Linux {}", cores(), processor(), kernel())
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or(std::env::consts::ARCH, |(_, model)| model.trim()).to_owned()
}

fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The names of the fields of the JSON.
#[cfg(test)]
pub(in crate::cli) fn field_names() -> Vec<String> {
    use crate::measure::Interval;
    let row = Row {
        test: "delays",
        what: String::new(),
        unit: Unit::Ns,
        asked: 0.0,
        got: Interval::default(),
        p99: None,
        floor: None,
        bar: Bar::default(),
        n: 0,
        verdict: Verdict::Ok,
    };
    let report = Report { rows: vec![row], seed: 0, took: Duration::ZERO }.json();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    [names(&report), names(&report["rows"][0])].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Interval;

    fn row(test: &'static str, verdict: Verdict) -> Row {
        Row {
            test,
            what: "fsync 100us".to_owned(),
            unit: Unit::Ns,
            asked: 100_000.0,
            got: Interval { at: 104_000.0, low: 99_900.0, high: 105_000.0 },
            p99: Some(130_000.0),
            floor: Some(103_000.0),
            bar: Bar::at_most(106_000.0),
            n: 1_000,
            verdict,
        }
    }

    #[test]
    fn a_row_tells_what_is_beyond_the_asked() {
        let cells = row("delays", Verdict::Failed("late".to_owned())).cells();
        let expected = [
            "delays",
            "fsync 100us",
            "100us",
            "+4.00us",
            "-100ns to +5.00us",
            "+30.0us",
            "+3.00us",
            "<= +6.00us",
            "failed: late",
        ];
        assert_eq!(cells, expected);
    }

    #[test]
    fn noise_is_said_and_is_no_failure() {
        let report = |rows| Report { rows, seed: 7, took: Duration::from_secs(1) };
        let noisy = || Verdict::Noisy("busy".to_owned());
        let of = |rows| {
            let report = report(rows);
            (report.has_failed(), report.json()["verdict"].as_str().unwrap().to_owned())
        };
        assert_eq!(of(vec![row("delays", Verdict::Ok)]), (false, "ok".to_owned()));
        assert_eq!(
            of(vec![row("delays", noisy()), row("cost", Verdict::Ok)]),
            (false, "noisy".to_owned())
        );
        let failed = vec![row("delays", noisy()), row("seed", Verdict::Failed(String::new()))];
        assert_eq!(of(failed), (true, "failed".to_owned()));
        let text = report(vec![row("delays", noisy())]).text();
        assert!(text.contains("noisy: 1 of 1 rows"), "{text}");
        let text = report(vec![row("seed", Verdict::Failed(String::new()))]).text();
        assert!(text.ends_with("failed: seed (fsync 100us)"), "{text}");
    }
}
