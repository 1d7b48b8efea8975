//! What was found: a table for people, JSON for programs. No locks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::output;
use crate::cli::power::counted;
use crate::fault::Keeping;
use crate::rpc::{UnsyncedMoment, ns, signed};

/// An image that was checked.
pub(super) struct Judged {
    pub(super) number: u64,
    pub(super) moment: UnsyncedMoment,
    pub(super) keep: Keeping,
    /// Of its dice.
    pub(super) seed: u64,
    /// Why the check has failed, if it has.
    pub(super) why: Option<String>,
    /// Where it is left.
    pub(super) kept: Option<PathBuf>,
}

/// All of it.
pub(super) struct Report {
    pub(super) moments: u64,
    /// How many of them could not be gone back to, by the reason.
    pub(super) lost: BTreeMap<String, u64>,
    /// How many images there are.
    pub(super) images: u64,
    pub(super) seed: u64,
    pub(super) ran: Duration,
    pub(super) checked: Duration,
    pub(super) judged: Vec<Judged>,
    pub(super) keep_images: Option<PathBuf>,
}

impl Judged {
    fn path(&self) -> String {
        let path = self.moment.path.0.display();
        match &self.moment.to {
            None => path.to_string(),
            Some(to) => format!("{path} -> {}", to.0.display()),
        }
    }

    fn cells(&self) -> [String; 6] {
        [
            self.number.to_string(),
            self.moment.before.clone(),
            self.path(),
            self.keep.to_string(),
            self.moment.output.to_string(),
            self.why.clone().unwrap_or_default(),
        ]
    }

    fn json(&self) -> Value {
        let UnsyncedMoment { n, before, path, to, output, .. } = &self.moment;
        let mut json = json!({
            "number": self.number,
            "moment": n,
            "before": before,
            "path": path,
            "to": to,
            "keep": self.keep.to_string(),
            "seed": self.seed.to_string(),
            "output": output,
            "ok": self.why.is_none(),
            "why": self.why,
            "image": self.kept,
        });
        output::add_bytes(&mut json, "path", path);
        to.iter().for_each(|to| output::add_bytes(&mut json, "to", to));
        json
    }
}

impl Report {
    fn failed(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|judged| judged.why.is_some())
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed().next().is_some()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let moments = || counted(signed(self.moments), "moment", "moments");
        let lost = self.lost.iter();
        let lost =
            lost.map(|(why, n)| format!("{n} of {} without images: after that {why}", moments()));
        let alone = (self.moments == 1)
            .then(|| "the program did none of --at, so only its end was checked".to_owned());
        lost.chain(alone).collect()
    }

    pub(super) fn text(&self) -> String {
        let time = |time: Duration| output::short_time(ns(time));
        let failed = self.failed().count();
        let sum = format!(
            "ran in {}; {}; {} of {} checked in {}, {} failed; seed {}",
            time(self.ran),
            counted(signed(self.moments), "moment", "moments"),
            self.judged.len(),
            counted(signed(self.images), "image", "images"),
            time(self.checked),
            if failed == 0 { "none".to_owned() } else { failed.to_string() },
            self.seed
        );
        if failed == 0 {
            return sum;
        }
        let headers = ["IMAGE", "BEFORE", "PATH", "KEEPS", "OUTPUT", "WHY THE CHECK FAILED"];
        let table = output::table(headers, &[0, 4], self.failed().map(Judged::cells).collect());
        let again =
            format!("one of them again: the same command with --seed {} --only N", self.seed);
        let left = self.keep_images.as_ref();
        let left = left.map(|dir| format!("\nthey are left in {} as crash-N", dir.display()));
        format!("{sum}\n\n{table}\n\n{again}{}", left.unwrap_or_default())
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ok": !self.has_failed(),
            "moments": self.moments,
            "lost": self.lost.values().sum::<u64>(),
            "images": self.images,
            "checked": self.judged.len(),
            "failed": self.failed().count(),
            "seed": self.seed.to_string(),
            "ran_ns": ns(self.ran),
            "checked_ns": ns(self.checked),
            "runs": self.judged.iter().map(Judged::json).collect::<Vec<_>>(),
            "warnings": self.warnings(),
        })
    }
}

/// All fields of the JSON.
#[cfg(test)]
pub(in crate::cli) fn field_names() -> Vec<String> {
    let moment = UnsyncedMoment::default();
    let judged = Judged { number: 1, moment, keep: Keeping::None, seed: 1, why: None, kept: None };
    let report = Report {
        moments: 1,
        lost: BTreeMap::new(),
        images: 1,
        seed: 1,
        ran: Duration::ZERO,
        checked: Duration::ZERO,
        judged: vec![judged],
        keep_images: None,
    };
    let json = report.json();
    let of = |json: &Value| {
        json.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    [of(&json), of(&json["runs"][0])].concat()
}
