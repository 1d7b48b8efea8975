//! The rows as a table for people and as JSON for programs.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::place::{cores, counted};
use super::row::{Bar, Row, Unit, Verdict};
use crate::cli::output::{short_time, table};
use crate::measure::Interval;

/// What was measured, and how.
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    /// Of the dice on both mirrors.
    pub(super) seed: u32,
    pub(super) took: Duration,
}

const HEADERS: [&str; 12] =
    ["TEST", "OF", "N", "ASKED", "GOT", "95%", "P99", "FLOOR", "OVER", "95%", "BAR", "VERDICT"];

const LEGEND: &str = "\
Times are those beyond what was asked. FLOOR is this machine without slowfs for delays, and slowfs without the
fault for concurrency and cost. OVER: what GOT exceeds FLOOR by, pair by pair; its lower end is held to the BAR.";

impl Report {
    pub(super) fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.verdict.has_failed())
    }

    /// The table, and a line that sums it up.
    pub(super) fn text(&self) -> String {
        let rows = self.rows.iter().map(Row::cells).collect();
        let table = table(HEADERS, &[2, 3, 4, 6, 7, 8, 10], rows);
        format!("{}\n\n{table}\n\n{}", self.title(), self.summary())
    }

    /// What it was measured on and with, in a line.
    pub(super) fn title(&self) -> String {
        format!(
            "slowfs {}, {} ({}), Linux {}; seed {}",
            env!("CARGO_PKG_VERSION"),
            counted(cores()),
            processor(),
            kernel(),
            self.seed
        )
    }

    fn summary(&self) -> String {
        let of = |word: &str| {
            let rows = self.rows.iter().filter(|row| row.verdict.word() == word);
            rows.map(|row| format!("{} ({})", row.test, row.what)).collect::<Vec<_>>()
        };
        let (failed, noisy) = (of("failed"), of("noisy"));
        let mut lines = vec![LEGEND.to_owned()];
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

/// What stands in the place of a report if nothing could be measured.
pub(super) fn unmeasured(why: &str) -> Value {
    json!({ "version": env!("CARGO_PKG_VERSION"), "ok": false, "why": why })
}

impl Row {
    fn cells(&self) -> [String; 12] {
        let shown = |figure: f64| self.shown(figure);
        let optional = |figure: Option<f64>| figure.map(shown).unwrap_or_default();
        let over = |shown: &dyn Fn(Interval) -> String| self.over.map(shown).unwrap_or_default();
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
            self.got.n.to_string(),
            asked,
            shown(self.got.at),
            spread(self.got, shown),
            optional(self.p99),
            optional(self.floor),
            over(&|over| signed(over.at)),
            over(&|over| spread(over, signed)),
            self.bar(),
            verdict,
        ]
    }

    fn bar(&self) -> String {
        let shown = |figure| match self.over {
            Some(_) => signed(figure),
            None => self.shown(figure),
        };
        match self.bar {
            Bar { from: Some(from), to: Some(to) } => format!("{} to {}", shown(from), shown(to)),
            Bar { from: Some(from), to: None } => format!(">= {}", shown(from)),
            Bar { from: None, to: Some(to) } => format!("<= {}", shown(to)),
            Bar { from: None, to: None } => String::new(),
        }
    }

    /// A figure for people: a time is told as what it is beyond the one that was asked.
    fn shown(&self, figure: f64) -> String {
        match self.unit {
            Unit::Ns => signed(figure - self.asked),
            Unit::Share => format!("{:.2}%", figure * 100.0),
            Unit::Ratio => format!("{figure:.2}"),
            Unit::Count => format!("{figure:.0}"),
        }
    }

    fn json(&self) -> Value {
        let within = |figures: Interval, end: f64| (!figures.is_of_few()).then_some(end);
        json!({
            "test": self.test,
            "of": self.what,
            "unit": self.unit,
            "asked": self.asked,
            "got": self.got.at,
            "low": within(self.got, self.got.low),
            "high": within(self.got, self.got.high),
            "p99": self.p99,
            "floor": self.floor,
            "over": self.over.map(|over| over.at),
            "over_low": self.over.and_then(|over| within(over, over.low)),
            "over_high": self.over.and_then(|over| within(over, over.high)),
            "bar_from": self.bar.from,
            "bar_to": self.bar.to,
            "n": self.got.n,
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

/// The same with its sign: what something is beyond something else.
pub(super) fn signed(ns: f64) -> String {
    format!("{}{}", if ns < 0.0 { "-" } else { "+" }, time(ns.abs()))
}

/// Between what the median lies, where figures can say so, and differ.
fn spread(of: Interval, shown: impl Fn(f64) -> String) -> String {
    let (low, high) = (shown(of.low), shown(of.high));
    let is_none = of.is_of_few() || low == high;
    if is_none { String::new() } else { format!("{low} to {high}") }
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
    let row = Row {
        test: "delays",
        what: String::new(),
        unit: Unit::Ns,
        asked: 0.0,
        got: Interval::default(),
        p99: None,
        floor: None,
        over: None,
        bar: Bar::default(),
        verdict: Verdict::Ok,
    };
    let report = Report { rows: vec![row], seed: 0, took: Duration::ZERO }.json();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    [names(&report), names(&report["rows"][0])].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(test: &'static str, verdict: Verdict) -> Row {
        Row {
            test,
            what: "fsync 100us".to_owned(),
            unit: Unit::Ns,
            asked: 100_000.0,
            got: Interval { at: 104_000.0, low: 99_900.0, high: 105_000.0, n: 1_000 },
            p99: Some(130_000.0),
            floor: Some(103_000.0),
            over: Some(Interval { at: 1_100.0, low: -2_900.0, high: 2_100.0, n: 1_000 }),
            bar: Bar::at_most(3_000.0),
            verdict,
        }
    }

    #[test]
    fn a_row_tells_what_is_beyond_the_asked() {
        let cells = row("delays", Verdict::Failed("late".to_owned())).cells();
        let expected = [
            "delays",
            "fsync 100us",
            "1000",
            "100us",
            "+4.00us",
            "-100ns to +5.00us",
            "+30.0us",
            "+3.00us",
            "+1.10us",
            "-2.90us to +2.10us",
            "<= +3.00us",
            "failed: late",
        ];
        assert_eq!(cells, expected);
    }

    #[test]
    fn few_figures_have_no_interval() {
        let mut few = row("delays", Verdict::of_few(5));
        few.got.n = 5;
        few.over = few.over.map(|over| Interval { n: 5, ..over });
        let cells = few.cells();
        assert_eq!([&*cells[2], &*cells[5], &*cells[9]], ["5", "", ""]);
        let json = few.json();
        for name in ["low", "high", "over_low", "over_high"] {
            assert!(json[name].is_null(), "{json}");
        }
        assert_eq!((json["got"].as_f64(), json["over"].as_f64()), (Some(104e3), Some(1.1e3)));
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
