//! What goes through a mount between two of its answers. Nothing here asks or prints.

use serde::Serialize;

use super::counts::{self, latency_cells};
use super::output;
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
    injected_per_s: f64,
    usual_per_s: f64,
    /// Those that were called.
    methods: Vec<Flow>,
    /// The same, each request once.
    requests: Vec<Flow>,
    faults: &'a [ListedFault],
    /// How often each of these faults acts.
    rates: Vec<Rate>,
    /// Whether the mount tells errors apart.
    #[serde(skip)]
    tells_apart: bool,
}

/// What went on of one method.
#[derive(Serialize)]
struct Flow {
    name: String,
    calls_per_s: f64,
    errors_per_s: f64,
    injected_per_s: f64,
    usual_per_s: f64,
    latency: Option<LatencyStatistics>,
}

/// How often a fault matches and fires.
#[derive(Serialize)]
struct Rate {
    id: i64,
    matched_per_s: f64,
    fired_per_s: f64,
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
        let flow = |now: &MethodStatistics, before: &[MethodStatistics]| {
            let none = MethodStatistics::default();
            let before = before.iter().find(|m| m.name == now.name).unwrap_or(&none);
            (now.calls > before.calls).then(|| Flow {
                name: now.name.clone(),
                calls_per_s: rate(now.calls, before.calls),
                errors_per_s: rate(now.errors, before.errors),
                injected_per_s: rate(now.injected, before.injected),
                usual_per_s: rate(now.usual, before.usual),
                latency: now.latency.as_ref().and_then(|l| l.since(before.latency.as_ref())),
            })
        };
        let methods = now.stats.methods.iter();
        let requests = counts::requests(&now.stats);
        let earlier: Vec<_> = counts::requests(&before.stats).cloned().collect();
        let of_fault = |now: &ListedFault| {
            // One that is new has begun at nothing.
            let none = ListedFault::default();
            let before = before.faults.iter().find(|f| f.id == now.id).unwrap_or(&none);
            Rate {
                id: now.id,
                matched_per_s: rate(now.matched, before.matched),
                fired_per_s: rate(now.fired, before.fired),
            }
        };
        Some(Activity {
            interval_ns,
            calls_per_s: rate(now.stats.calls, before.stats.calls),
            errors_per_s: rate(now.stats.errors, before.stats.errors),
            injected_per_s: rate(now.stats.injected, before.stats.injected),
            usual_per_s: rate(now.stats.usual, before.stats.usual),
            methods: methods.filter_map(|m| flow(m, &before.stats.methods)).collect(),
            requests: requests.filter_map(|m| flow(m, &earlier)).collect(),
            faults: &now.faults,
            rates: now.faults.iter().map(of_fault).collect(),
            tells_apart: counts::tells_apart(&now.stats),
        })
    }

    fn held(&self) -> i64 {
        self.faults.iter().map(|f| f.held).sum()
    }

    /// How much it is in all.
    pub(super) fn summary(&self) -> String {
        let calls = per_second(self.calls_per_s);
        let errors = unexplained(self.errors_per_s, self.injected_per_s, self.usual_per_s);
        let injected = if self.tells_apart {
            format!(" and {} injected/s", per_second(self.injected_per_s))
        } else {
            String::new()
        };
        format!("{calls} calls/s, {errors} errors/s{injected}, {} held", self.held())
    }

    /// How often the fault fires in a second.
    pub(super) fn fired(&self, id: i64) -> String {
        let rate = self.rates.iter().find(|rate| rate.id == id);
        rate.map_or("-".to_owned(), |rate| per_second(rate.fired_per_s))
    }

    /// All of it on one line.
    pub(super) fn line(&self) -> String {
        let mut parts = vec![self.summary()];
        parts.extend(self.requests.iter().map(|flow| {
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
            let (effect, rate) = (f.fault.effect(), self.fired(f.id));
            format!(
                "fault {} ({effect}) {} matched {} fired {} held {rate} fired/s",
                f.id, f.matched, f.fired, f.held
            )
        }));
        parts.join("; ")
    }

    /// A row for each kind of request.
    pub(super) fn table(&self) -> String {
        let rows = self.requests.iter().map(|flow| {
            let [p50, p99, max] = latency_cells(flow.latency.as_ref());
            let calls = per_second(flow.calls_per_s);
            let errors = unexplained(flow.errors_per_s, flow.injected_per_s, flow.usual_per_s);
            let [injected, usual] = [flow.injected_per_s, flow.usual_per_s].map(per_second);
            [flow.name.clone(), calls, errors, injected, usual, p50, p99, max]
        });
        let headers =
            ["METHOD", "CALLS/S", "ERRORS/S", "INJECTED/S", "USUAL/S", "P50", "P99", "MAX"];
        output::table(headers, &[1, 2, 3, 4, 5, 6, 7], rows.collect())
    }
}

/// The rate of errors that neither a fault gave nor a program asks for.
fn unexplained(errors: f64, injected: f64, usual: f64) -> String {
    let rate = errors - injected - usual;
    // What is left of a difference of equal rates.
    per_second(if rate < 1e-6 { 0.0 } else { rate })
}

/// A rate for people: a tenth matters only below ten.
fn per_second(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// The names of an interval's fields, for the test that they are documented.
#[cfg(test)]
pub(super) fn field_names() -> Vec<String> {
    use serde_json::json;

    let sample = |elapsed_ns, fired| {
        let calls = elapsed_ns;
        let read = MethodStatistics { name: "read".into(), calls, ..MethodStatistics::default() };
        let methods = vec![read];
        let stats = Statistics { elapsed_ns, methods, ..Statistics::default() };
        Sample { stats, faults: vec![ListedFault { fired, ..ListedFault::default() }] }
    };
    let (before, now) = (sample(1, 0), sample(2, 1));
    let activity = Activity::between(&before, &now).expect("time has passed");
    let all = [json!(activity), json!(activity.methods[0]), json!(activity.rates[0])];
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
    #[test]
    fn what_is_shown_is_what_came_in_the_interval_each_request_once() {
        let sample = |seconds: i64, times: i64, faults| {
            let of = |name: &str, calls, injected, usual| MethodStatistics {
                name: name.to_owned(),
                calls,
                errors: injected + usual,
                injected,
                usual,
                ..MethodStatistics::default()
            };
            let fdatasync = of("fdatasync", 20 * times, 10 * times, 0);
            let fsync = of("fsync", 24 * times, 10 * times, 0);
            let own = of("fsync", 4 * times, 0, 0);
            let getattr = of("getattr", 100 * times, 0, 90 * times);
            let stats = Statistics {
                elapsed_ns: seconds * 1_000_000_000,
                calls: 124 * times,
                errors: 100 * times,
                injected: 10 * times,
                usual: 90 * times,
                methods: vec![fdatasync.clone(), fsync, getattr.clone()],
                requests: vec![fdatasync, own, getattr],
                ..Statistics::default()
            };
            Sample { stats, faults }
        };
        let fault = |id, fired| ListedFault { id, fired, matched: fired, ..ListedFault::default() };
        let before = sample(1, 1, vec![fault(1, 5)]);
        let now = sample(3, 2, vec![fault(1, 6), fault(2, 40)]);
        let activity = Activity::between(&before, &now).unwrap();
        assert_eq!(activity.summary(), "62 calls/s, 0 errors/s and 5.0 injected/s, 0 held");
        let line = activity.line();
        assert!(line.contains("; fsync 2.0/s;") && line.contains("; fdatasync 10/s;"), "{line}");
        assert_eq!([1, 2, 3].map(|id| activity.fired(id)), ["0.5", "20", "-"]);
        let methods: Vec<_> = activity.methods.iter().map(|m| m.calls_per_s).collect();
        assert_eq!(methods, [10.0, 12.0, 50.0]);
        assert!(Activity::between(&now, &before).is_none());
    }
}
