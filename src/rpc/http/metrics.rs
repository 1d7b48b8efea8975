//! What a mount has served and which faults it has, for Prometheus: its text format 0.0.4, names and units as it
//! recommends them. No locks of its own.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::fault::FaultTable;
use crate::fault::words::FaultWords;
use crate::ops::Method;
use crate::rpc::handler::Handler;
use crate::stats::{Count, Latency, Requests};
use crate::sys::descriptors::Shares;
use crate::sys::usage::Usage;

/// Its media type.
pub(super) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets, in nanoseconds: 10 us to a minute.
const BOUNDS: [(u64, &str); 21] = [
    (10_000, "0.00001"),
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
    (30_000_000_000, "30"),
    (60_000_000_000, "60"),
];

/// What a metric is.
#[derive(Clone, Copy)]
enum Type {
    Counter,
    Gauge,
    Histogram,
}

/// Metrics as they are written down.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a metric.
    fn metric(&mut self, name: &str, of: Type, about: &str) {
        let of = match of {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {about}\n# TYPE {name} {of}"));
    }

    /// A value of it, by its labels as they are written.
    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        match labels {
            "" => self.line(format_args!("{name} {value}")),
            labels => self.line(format_args!("{name}{{{labels}}} {value}")),
        }
    }

    /// One that has a single value.
    fn single(&mut self, (name, of): (&str, Type), about: &str, value: impl std::fmt::Display) {
        self.metric(name, of, about);
        self.value(name, "", value);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// Labels with their values.
fn labels(all: &[(&str, &str)]) -> String {
    let label = |(name, value): &(&str, &str)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    all.iter().map(label).collect::<Vec<_>>().join(",")
}

#[allow(clippy::cast_precision_loss, reason = "a time, to a part in 2^52")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// All of it.
pub(super) fn page(handler: &Handler) -> String {
    let mut page = Page::default();
    let mount = &handler.config.mount;
    page.metric("slowfs_build_info", Type::Gauge, "Version of slowfs and of the FUSE protocol.");
    let version = [("version", mount.version.as_str()), ("fuse_protocol", &mount.fuse_protocol)];
    page.value("slowfs_build_info", &labels(&version), 1);
    let requests: Vec<_> =
        Method::all().map(|method| handler.stats.requests_of(method)).filter(is_named).collect();
    counts(&mut page, &requests);
    durations(&mut page, &requests);
    faults(&mut page, &handler.table);
    taken(&mut page, handler);
    process(&mut page, mount.started);
    page.0
}

/// Whether requests are told by the name of that method: `write_buf` is another name of `write`.
fn is_named(requests: &Requests) -> bool {
    let method = requests.method;
    method.calls().iter().any(|call| call.name() == method.name())
}

fn counts(page: &mut Page, requests: &[Requests]) {
    let all = "slowfs_requests_total";
    page.metric(all, Type::Counter, "Requests answered, each once.");
    for Requests { method, count, .. } in requests {
        page.value(all, &labels(&[("method", method.name())]), count.calls);
    }
    let errors = "slowfs_request_errors_total";
    page.metric(
        errors,
        Type::Counter,
        "Requests answered with an error that a fault or the backing gave.",
    );
    for Requests { method, count, .. } in requests {
        for (cause, n) in [("injected", count.injected), ("backing", of_backing(*count))] {
            page.value(errors, &labels(&[("method", method.name()), ("cause", cause)]), n);
        }
    }
    let usual = "slowfs_request_usual_errors_total";
    let about =
        "Requests answered with an error that nothing is wrong for, as a name that is not there.";
    page.metric(usual, Type::Counter, about);
    for Requests { method, count, .. } in requests {
        page.value(usual, &labels(&[("method", method.name())]), count.usual);
    }
}

fn of_backing(count: Count) -> u64 {
    count.errors.saturating_sub(count.injected).saturating_sub(count.usual)
}

/// Of the methods of which any was timed.
fn durations(page: &mut Page, requests: &[Requests]) {
    let name = "slowfs_request_duration_seconds";
    let about = "How long requests took from arrival to answer, of those that came while a fault was set, or of \
                 all with --stats.";
    page.metric(name, Type::Histogram, about);
    for Requests { method, latency, took, .. } in requests {
        let timed = latency.timed();
        if timed == 0 {
            continue;
        }
        let bucket = |le: &str| labels(&[("method", method.name()), ("le", le)]);
        for (bound, le) in BOUNDS {
            page.value(&format!("{name}_bucket"), &bucket(le), up_to(latency, bound));
        }
        page.value(&format!("{name}_bucket"), &bucket("+Inf"), timed);
        let method = labels(&[("method", method.name())]);
        page.value(&format!("{name}_sum"), &method, seconds(*took));
        page.value(&format!("{name}_count"), &method, timed);
    }
}

/// How many took up to that long for certain.
fn up_to(latency: &Latency, ns: u64) -> u64 {
    latency.buckets.range(..=ns).map(|(_, n)| n).sum()
}

fn faults(page: &mut Page, table: &FaultTable) {
    let listed = table.list();
    let labels: Vec<_> = listed
        .iter()
        .map(|listed| {
            let id = listed.id.to_string();
            let name = listed.fault.name().map_or(id.as_str(), |name| name.as_str());
            let words = FaultWords::of(&listed.fault, listed.methods);
            let kinds: Vec<_> = words.effects.iter().map(|effect| effect.kind.as_str()).collect();
            labels(&[("fault", name), ("id", &id), ("kind", &kinds.join("+"))])
        })
        .collect();
    page.single(("slowfs_faults", Type::Gauge), "Faults that are set now.", listed.len());
    for (name, of, about, value) in [
        (
            "slowfs_fault_matched_total",
            Type::Counter,
            "Requests that a fault matched by method, path and filters.",
            listed.iter().map(|listed| listed.matched).collect::<Vec<_>>(),
        ),
        (
            "slowfs_fault_fired_total",
            Type::Counter,
            "Requests on which a fault fired.",
            listed.iter().map(|listed| listed.fired).collect(),
        ),
        (
            "slowfs_fault_held",
            Type::Gauge,
            "Requests that a fault holds now.",
            listed.iter().map(|listed| listed.held).collect(),
        ),
    ] {
        page.metric(name, of, about);
        for (labels, value) in labels.iter().zip(value) {
            page.value(name, labels, value);
        }
    }
}

/// What is taken of the daemon, and what went past it.
fn taken(page: &mut Page, handler: &Handler) {
    let taken = handler.stats.taken();
    let lost = handler.config.log_lines_lost.load(Ordering::Relaxed);
    let held = "slowfs_held_bytes";
    page.metric(held, Type::Gauge, "Data that held requests keep, in memory and in a file.");
    page.value(held, &labels(&[("in", "memory")]), taken.held_in_memory);
    page.value(held, &labels(&[("in", "file")]), taken.held_in_file);
    for (name, of, about, value) in [
        (
            "slowfs_worker_threads",
            Type::Gauge,
            "Threads for requests that may block.",
            taken.threads,
        ),
        (
            "slowfs_requests_waiting",
            Type::Gauge,
            "Requests that wait for such a thread.",
            taken.waiting,
        ),
        (
            "slowfs_callers_freed_total",
            Type::Counter,
            "Callers that were killed and freed while their request was blocked.",
            handler.stats.callers_freed(),
        ),
        (
            "slowfs_log_lines_lost_total",
            Type::Counter,
            "Lines of the log that nobody took, or that could not be written.",
            lost,
        ),
        (
            "slowfs_control_connections_dropped_total",
            Type::Counter,
            "Control connections that were refused, or closed before their peer did.",
            handler.dropped.total(),
        ),
    ] {
        page.single((name, of), about, value);
    }
}

/// As every client library tells it.
fn process(page: &mut Page, started: SystemTime) {
    let usage = Usage::now();
    let cpu = ("process_cpu_seconds_total", Type::Counter);
    page.single(cpu, "Time on processors.", usage.ran.as_secs_f64());
    let started = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let start = ("process_start_time_seconds", Type::Gauge);
    page.single(start, "When the process started, since 1970.", started.as_secs_f64());
    let most = u64::try_from(Shares::now().limit).ok();
    for (name, about, value) in [
        ("process_resident_memory_bytes", "Memory that is resident.", usage.resident),
        ("process_virtual_memory_bytes", "Memory that is mapped.", usage.mapped),
        ("process_open_fds", "Descriptors that are open.", usage.descriptors),
        ("process_max_fds", "Descriptors that may be open.", most),
        ("process_threads", "Threads.", usage.threads),
    ] {
        if let Some(value) = value {
            page.single((name, Type::Gauge), about, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Change, Placement};
    use crate::ops::Call;
    use crate::rpc::fuzzing::Control;
    use crate::stats::Answered;

    fn value(page: &str, of: &str) -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {of} in\n{page}")).parse().unwrap()
    }

    #[test]
    fn what_is_counted_is_told_by_its_cause() {
        let control = Control::new().unwrap();
        let stats = &control.handler.stats;
        for answered in [Answered::Well, Answered::Injected, Answered::Usual, Answered::Failed] {
            stats.count(Call::Lookup, answered);
        }
        let page = page(&control.handler);
        let lookup = Call::Lookup.name();
        for (of, wanted) in [
            (format!("slowfs_requests_total{{method=\"{lookup}\"}}"), 4.0),
            (format!("slowfs_request_errors_total{{method=\"{lookup}\",cause=\"injected\"}}"), 1.0),
            (format!("slowfs_request_errors_total{{method=\"{lookup}\",cause=\"backing\"}}"), 1.0),
            (format!("slowfs_request_usual_errors_total{{method=\"{lookup}\"}}"), 1.0),
            ("slowfs_requests_total{method=\"fsync\"}".to_owned(), 0.0),
        ] {
            assert_eq!(value(&page, &of), wanted, "{of}");
        }
        // Another name of the same requests would count them twice.
        assert!(!page.contains("write_buf"));
    }

    #[test]
    fn times_are_in_the_buckets_that_they_fit_for_certain() {
        let control = Control::new().unwrap();
        let stats = &control.handler.stats;
        for us in [5, 90, 900, 1_100, 70_000_000] {
            stats.count(Call::Fsync, Answered::Well);
            stats.time(Call::Fsync, Duration::from_micros(us));
        }
        let page = page(&control.handler);
        let bucket = |le: &str| {
            let of = "slowfs_request_duration_seconds_bucket{method=\"fsync\"";
            value(&page, &format!("{of},le=\"{le}\"}}"))
        };
        for (le, wanted) in
            [("0.00001", 1.0), ("0.0001", 2.0), ("0.001", 3.0), ("0.0025", 4.0), ("60", 4.0)]
        {
            assert_eq!(bucket(le), wanted, "{le}");
        }
        assert_eq!(bucket("+Inf"), 5.0);
        let of = |what| format!("slowfs_request_duration_seconds_{what}{{method=\"fsync\"}}");
        assert_eq!(value(&page, &of("count")), 5.0);
        let sum = value(&page, &of("sum"));
        assert!((sum - 70.002_095).abs() < 1e-9, "{sum}");
        // Nothing is said of what was never timed.
        assert!(!page.contains("bucket{method=\"write\""));
    }

    #[test]
    fn a_fault_is_told_by_its_name_and_what_is_in_it_breaks_no_line() {
        let control = Control::new().unwrap();
        let (fault, _) = crate::fault::words::line("delay 1ms -m fsync --name wal-slow").unwrap();
        let faults = vec![(fault.fault().unwrap(), Placement::Add)];
        control.table.put_all(Change { faults, ..Change::default() }).unwrap();
        let page = page(&control.handler);
        let of = "{fault=\"wal-slow\",id=\"1\",kind=\"delay\"}";
        for name in ["matched_total", "fired_total", "held"] {
            assert_eq!(value(&page, &format!("slowfs_fault_{name}{of}")), 0.0);
        }
        assert_eq!(value(&page, "slowfs_faults"), 1.0);
        assert_eq!(labels(&[("a", "\\ \" \n")]), r#"a="\\ \" \n""#);
    }

    #[test]
    fn bounds_are_what_their_labels_say() {
        for (ns, le) in BOUNDS {
            assert_eq!(seconds(ns), le.parse::<f64>().unwrap());
        }
        assert!(BOUNDS.is_sorted());
    }
}
