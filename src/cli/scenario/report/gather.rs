//! The figures of a report, from what a mount has told. No locks.

use super::{OfMethod, OfMount, OfStep, Phase};
use crate::rpc::{Info, MethodStatistics, Run, RunEvent, ScenarioWords, Statistics, StepWords};

/// What a mount had counted at moments of a run.
#[derive(Default)]
pub(in crate::cli::scenario) struct Samples(Vec<Counted>);

/// What it had counted at one moment of its own clock.
#[derive(Clone)]
struct Counted {
    at_ns: i64,
    requests: Vec<MethodStatistics>,
}

impl Samples {
    pub(in crate::cli::scenario) fn add(&mut self, counted: Statistics) {
        self.0.push(Counted { at_ns: counted.elapsed_ns, requests: counted.requests });
    }
}

/// All that a mount has told.
pub(in crate::cli::scenario) struct Seen<'a> {
    pub(in crate::cli::scenario) addr: &'a str,
    pub(in crate::cli::scenario) info: &'a Info,
    pub(in crate::cli::scenario) scenario: &'a ScenarioWords,
    pub(in crate::cli::scenario) run: &'a Run,
    pub(in crate::cli::scenario) events: &'a [RunEvent],
    pub(in crate::cli::scenario) samples: &'a Samples,
}

impl OfMount {
    pub(in crate::cli::scenario) fn of(seen: &Seen<'_>) -> OfMount {
        let Seen { addr, info, scenario, run, events, samples } = seen;
        let faults = scenario.steps.iter().flat_map(|step| &step.faults);
        OfMount {
            addr: (*addr).to_owned(),
            mountpoint: info.mountpoint.clone(),
            backing: info.backing.clone(),
            version: info.version.clone(),
            fuse_protocol: info.fuse_protocol.clone(),
            seed: run.seed.clone(),
            started_unix_ns: run.started_unix_ns.unwrap_or_default(),
            lag_ns: 0,
            elapsed_ns: run.elapsed_ns,
            why: run.why.clone(),
            failed: run.failed,
            steps: scenario.steps.iter().map(|step| OfStep::of(step, events)).collect(),
            named: faults.flat_map(|fault| fault.methods.clone()).collect(),
            phases: phases(events),
            series: series(events, samples),
        }
    }
}

impl OfStep {
    fn of(step: &StepWords, events: &[RunEvent]) -> OfStep {
        let is_it = |event: &&RunEvent| event.what == "step" && event.line == step.line;
        let event = events.iter().find(is_it);
        OfStep {
            line: step.line,
            text: step.text.clone(),
            planned_ns: step.at_ns,
            once: step.once.clone(),
            fired: step.once.as_ref().map(|_| step.fired),
            at_ns: event.map(|event| event.at_ns),
            late_ns: event.and_then(|event| Some(event.at_ns - step.at_ns?)),
            did: event.map(|event| event.text.clone()),
            warnings: event.map(|event| event.warnings.clone()).unwrap_or_default(),
        }
    }
}

/// From each change of the table to the next.
fn phases(events: &[RunEvent]) -> Vec<Phase> {
    // Steps of one time are one change.
    let mut changes: Vec<(&RunEvent, Vec<i64>)> = Vec::new();
    for event in events {
        let is_step = event.what == "step";
        let planned = |other: &RunEvent| {
            is_step && other.planned_ns.is_some() && other.planned_ns == event.planned_ns
        };
        match changes.last_mut().filter(|(last, _)| planned(last)) {
            Some((_, lines)) => lines.push(event.line),
            None => changes.push((event, if is_step { vec![event.line] } else { Vec::new() })),
        }
    }
    let phase = |two: &[(&RunEvent, Vec<i64>)]| match two {
        [(from, lines), (to, _)] => Some(Phase {
            from_ns: from.at_ns,
            to_ns: to.at_ns,
            lines: lines.clone(),
            methods: since(&from.requests, &to.requests),
        }),
        _ => None,
    };
    let phases = changes.windows(2).filter_map(phase);
    phases.filter(|phase| !phase.lines.is_empty() || !phase.methods.is_empty()).collect()
}

/// Between two looks each.
fn series(events: &[RunEvent], samples: &Samples) -> Vec<Phase> {
    let Some((start, counted)) = events.first().and_then(|first| Some((first, first.counted_ns?)))
    else {
        return Vec::new();
    };
    // The moment of the mount's clock at which the scenario began.
    let zero = counted - start.at_ns;
    let last = events.iter().rev().find_map(|event| Some((event, event.counted_ns?)));
    let end = last.map_or(i64::MAX, |(_, at)| at);
    let of =
        |at_ns: i64, requests: &[MethodStatistics]| Counted { at_ns, requests: requests.to_vec() };
    let mut all = vec![of(counted, &start.requests)];
    all.extend(samples.0.iter().filter(|one| one.at_ns > counted && one.at_ns < end).cloned());
    all.extend(last.filter(|(_, at)| *at > counted).map(|(event, at)| of(at, &event.requests)));
    let between = |two: &[Counted]| match two {
        [from, to] => Some(Phase {
            from_ns: from.at_ns - zero,
            to_ns: to.at_ns - zero,
            lines: Vec::new(),
            methods: since(&from.requests, &to.requests),
        }),
        _ => None,
    };
    all.windows(2).filter_map(between).collect()
}

/// What came between, of those methods that anything came of.
fn since(from: &[MethodStatistics], to: &[MethodStatistics]) -> Vec<OfMethod> {
    let of = |now: &MethodStatistics| {
        let before = from.iter().find(|before| before.name == now.name);
        let than = |count: fn(&MethodStatistics) -> i64| count(now) - before.map_or(0, count);
        let earlier = before.and_then(|before| before.latency.as_ref());
        let latency = now.latency.as_ref().and_then(|latency| latency.since(earlier));
        OfMethod {
            name: now.name.clone(),
            calls: than(|of| of.calls),
            errors: than(|of| of.errors),
            injected: than(|of| of.injected),
            usual: than(|of| of.usual),
            p50_ns: latency.as_ref().map(|latency| latency.p50_ns),
            p99_ns: latency.as_ref().map(|latency| latency.p99_ns),
            max_ns: latency.as_ref().map(|latency| latency.max_ns),
        }
    };
    to.iter().map(of).filter(|method| method.calls > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::LatencyStatistics;

    fn counted(calls: i64, buckets: &[(i64, i64)]) -> Vec<MethodStatistics> {
        let timed = buckets.iter().map(|(_, n)| n).sum();
        let latency = LatencyStatistics {
            timed,
            max_ns: buckets.last().map_or(0, |(edge, _)| *edge),
            buckets: buckets.iter().copied().collect(),
            ..LatencyStatistics::default()
        };
        vec![MethodStatistics {
            name: "fsync".into(),
            calls,
            latency: Some(latency),
            ..MethodStatistics::default()
        }]
    }

    fn event(what: &str, line: i64, at_ns: i64, requests: Vec<MethodStatistics>) -> RunEvent {
        RunEvent {
            what: what.into(),
            line,
            planned_ns: (what == "step").then_some(at_ns),
            at_ns,
            counted_ns: Some(1_000 + at_ns),
            requests,
            ..RunEvent::default()
        }
    }

    #[test]
    fn what_comes_between_two_changes_is_theirs() {
        let events = [
            event("started", 0, 0, counted(2, &[(10, 2)])),
            event("step", 4, 50, counted(5, &[(10, 5)])),
            event("step", 5, 50, counted(5, &[(10, 5)])),
            event("ended", 0, 90, counted(8, &[(10, 5), (500, 3)])),
        ];
        let phases = phases(&events);
        let told = |phase: &Phase| {
            let [method] = phase.methods.as_slice() else { panic!("{phase:?}") };
            (phase.from_ns, phase.to_ns, phase.lines.clone(), method.calls, method.p50_ns)
        };
        let told: Vec<_> = phases.iter().map(told).collect();
        assert_eq!(told, [(0, 50, vec![], 3, Some(10)), (50, 90, vec![4, 5], 3, Some(500))]);
        let mut samples = Samples::default();
        for (elapsed_ns, calls) in [(900, 1), (1_040, 4), (1_060, 6), (2_000, 99)] {
            let requests = counted(calls, &[(10, calls)]);
            samples.add(Statistics { elapsed_ns, requests, ..Statistics::default() });
        }
        let series = series(&events, &samples);
        let times: Vec<_> = series.iter().map(|one| (one.from_ns, one.to_ns)).collect();
        assert_eq!(times, [(0, 40), (40, 60), (60, 90)], "within the run");
        assert_eq!(series.iter().map(|one| one.methods[0].calls).collect::<Vec<_>>(), [2, 2, 2]);
    }
}
