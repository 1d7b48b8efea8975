//! What goes through a mount between two of its answers. Nothing here asks or prints.

use serde::Serialize;

use super::output;
use super::render::{is_second_name, latency_cells};
use crate::rpc::{LatencyStatistics, ListedFault, MethodStatistics, Statistics};

/// What a mount answers.
pub(super) struct Sample {
    pub(super) stats: Statistics,
    pub(super) faults: Vec<ListedFault>,
}

/// What went on in one interval; its field names are those of `--json`.
#[derive(Serialize)]
pub(super) struct Activity<'a> {
    interval_ns: i64,
    calls_per_s: f64,
    errors_per_s: f64,
    /// Those that were called.
    methods: Vec<Flow>,
    faults: &'a [ListedFault],
}

/// What went on of one method.
#[derive(Serialize)]
struct Flow {
    name: String,
    calls_per_s: f64,
    errors_per_s: f64,
    latency: Option<LatencyStatistics>,
}

impl<'a> Activity<'a> {
    /// What went on between two answers; none if they are not of one mount.
    pub(super) fn between(before: &Sample, now: &'a Sample) -> Option<Activity<'a>> {
        let interval_ns = now.stats.elapsed_ns.saturating_sub(before.stats.elapsed_ns);
        if interval_ns <= 0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let rate = |now: i64, before: i64| {
            now.saturating_sub(before).max(0) as f64 / (interval_ns as f64 / 1e9)
        };
        let method = |(now, before): (&MethodStatistics, &MethodStatistics)| {
            (now.calls > before.calls).then(|| Flow {
                name: now.name.clone(),
                calls_per_s: rate(now.calls, before.calls),
                errors_per_s: rate(now.errors, before.errors),
                latency: now.latency.as_ref().and_then(|l| l.since(before.latency.as_ref())),
            })
        };
        Some(Activity {
            interval_ns,
            calls_per_s: rate(now.stats.calls, before.stats.calls),
            errors_per_s: rate(now.stats.errors, before.stats.errors),
            methods: now
                .stats
                .methods
                .iter()
                .zip(&before.stats.methods)
                .filter_map(method)
                .collect(),
            faults: &now.faults,
        })
    }

    fn held(&self) -> i64 {
        self.faults.iter().map(|f| f.held).sum()
    }

    /// How much it is in all.
    pub(super) fn summary(&self) -> String {
        let (calls, errors) = (per_second(self.calls_per_s), per_second(self.errors_per_s));
        format!("{calls} calls/s, {errors} errors/s, {} held", self.held())
    }

    /// The methods without the second names of the same requests.
    fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.methods.iter().filter(|flow| !is_second_name(&flow.name))
    }

    /// All of it on one line.
    pub(super) fn line(&self) -> String {
        let mut parts = vec![self.summary()];
        parts.extend(self.flows().map(|flow| {
            let latency = flow.latency.as_ref().map(|l| {
                let (p50, p99) = (output::short_time(l.p50_ns), output::short_time(l.p99_ns));
                format!(" p50 {p50} p99 {p99}")
            });
            format!(
                "{} {}/s{}",
                flow.name,
                per_second(flow.calls_per_s),
                latency.unwrap_or_default()
            )
        }));
        parts.extend(self.faults.iter().map(|f| {
            let effect = f.fault.effect();
            format!(
                "fault {} ({effect}) {} matched {} fired {} held",
                f.id, f.matched, f.fired, f.held
            )
        }));
        parts.join("; ")
    }

    /// A row for each method.
    pub(super) fn table(&self) -> String {
        let rows = self.flows().map(|flow| {
            let [p50, p99, max] = latency_cells(flow.latency.as_ref());
            let (calls, errors) = (per_second(flow.calls_per_s), per_second(flow.errors_per_s));
            [flow.name.clone(), calls, errors, p50, p99, max]
        });
        let headers = ["METHOD", "CALLS/S", "ERRORS/S", "P50", "P99", "MAX"];
        output::table(headers, &[1, 2, 3, 4, 5], rows.collect())
    }
}

/// A rate for people: a tenth matters only below ten.
fn per_second(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// The names of an interval's fields, for the test that they are documented.
#[cfg(test)]
pub(super) fn field_names() -> Vec<String> {
    use serde_json::json;

    let flow = Flow { name: String::new(), calls_per_s: 0.0, errors_per_s: 0.0, latency: None };
    let activity = Activity {
        interval_ns: 0,
        calls_per_s: 0.0,
        errors_per_s: 0.0,
        methods: Vec::new(),
        faults: &[],
    };
    let all = [json!(flow), json!(activity)];
    all.iter().filter_map(|v| v.as_object()).flat_map(|o| o.keys().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_the_digits_that_matter() {
        for (rate, text) in
            [(0.0, "0"), (0.04, "0.0"), (1.0, "1.0"), (9.96, "10"), (1234.5, "1234")]
        {
            assert_eq!(per_second(rate), text);
        }
    }
}
