//! What a mount has served, as people read it. Nothing here asks or prints.
//!
//! Errors are those that somebody should look at: not those that a fault gave, and not those that nothing
//! is wrong for. A daemon that is older tells them together.

use std::time::Duration;

use super::output;
use crate::ops::Method;
use crate::rpc::{LatencyStatistics, MethodStatistics, PassthroughStatistics, Statistics};

/// How many calls, and how many of them went wrong.
pub(super) fn headline(stats: &Statistics) -> String {
    let injected = if tells_apart(stats) {
        format!(" and {} injected ones", stats.injected)
    } else {
        String::new()
    };
    let errors = unexplained(stats.errors, stats.injected, stats.usual);
    let elapsed = Duration::from_secs(stats.elapsed_ns.unsigned_abs() / 1_000_000_000);
    let elapsed = humantime::format_duration(elapsed);
    format!("{} calls, {errors} errors{injected} in {elapsed}", stats.calls)
}

/// Errors that neither a fault gave nor a program asks for.
pub(super) fn unexplained(errors: i64, injected: i64, usual: i64) -> i64 {
    errors.saturating_sub(injected).saturating_sub(usual).max(0)
}

/// Whether the daemon counts injected errors and usual ones by themselves.
pub(super) fn tells_apart(stats: &Statistics) -> bool {
    stats.calls == 0 || !stats.requests.is_empty()
}

/// Each request once, under the name of a method; of an older daemon under those of all that it consults.
pub(super) fn requests(stats: &Statistics) -> impl Iterator<Item = &MethodStatistics> {
    let all = if stats.requests.is_empty() { &stats.methods } else { &stats.requests };
    all.iter().filter(|method| !is_second_name(&method.name))
}

/// The requests that were answered, and what there is to tell of the whole mount.
pub(super) fn stats_table(stats: &Statistics) -> String {
    let total =
        headline(stats) + &stats.passthrough.as_ref().map(passthrough_line).unwrap_or_default();
    let total = total + &missed_line(stats) + &taken_line(stats);
    let called: Vec<_> = requests(stats).filter(|m| m.calls > 0).collect();
    if called.is_empty() {
        return total;
    }
    let untimed = called.iter().all(|m| m.latency.is_none());
    let rows = called.into_iter().map(|m| {
        let timed = m.latency.as_ref().map_or(0, |l| l.timed);
        let [p50, p99, max] = latency_cells(m.latency.as_ref());
        let errors = unexplained(m.errors, m.injected, m.usual);
        let counts = [m.calls, errors, m.injected, m.usual, timed].map(|n| n.to_string());
        let [calls, errors, injected, usual, timed] = counts;
        [m.name.clone(), calls, errors, injected, usual, timed, p50, p99, max]
    });
    let headers = ["METHOD", "CALLS", "ERRORS", "INJECTED", "USUAL", "TIMED", "P50", "P99", "MAX"];
    let table = output::table(headers, &[1, 2, 3, 4, 5, 6, 7, 8], rows.collect());
    let hint = "\nlatency is measured while a fault is set, or always with `slowfs mount --stats`";
    format!("{table}\n{total}{}", if untimed { hint } else { "" })
}

/// What went past the log and the control port, if anything did.
fn missed_line(stats: &Statistics) -> String {
    let told = |n: i64, what: &str| (n > 0).then(|| format!("\n{n} {what}"));
    let lost = told(stats.log_lines_lost, "lines of the log lost");
    let dropped = told(stats.connections_dropped, "control connections dropped");
    lost.unwrap_or_default() + &dropped.unwrap_or_default()
}

/// What operations that may block take just now, and have taken.
fn taken_line(stats: &Statistics) -> String {
    let told = |n: i64, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
    let mebibytes = |bytes: i64| bytes.unsigned_abs().div_ceil(1 << 20);
    let [in_memory, in_file] =
        [stats.held_bytes_in_memory, stats.held_bytes_in_file].map(mebibytes);
    let kept = format!("\nheld operations keep {in_memory} MiB in memory, {in_file} MiB in a file");
    format!(
        "\n{} worker threads (at most 8192){}{}{}",
        stats.threads,
        told(stats.waiting, "operations wait for one"),
        told(stats.callers_freed, "killed callers freed from what was blocked"),
        if in_memory + in_file > 0 { kept } else { String::new() }
    )
}

fn passthrough_line(files: &PassthroughStatistics) -> String {
    let PassthroughStatistics { open, files, refused } = files;
    let refused = if *refused > 0 {
        format!("; {refused} that it could not serve were left to slowfs")
    } else {
        String::new()
    };
    let s = if *files == 1 { "" } else { "s" };
    format!("\nread and written by the kernel itself: {files} file{s}, {open} still open{refused}")
}

/// Median, 99th percentile and longest, for people.
pub(super) fn latency_cells(latency: Option<&LatencyStatistics>) -> [String; 3] {
    match latency {
        None => ["-", "-", "-"].map(str::to_owned),
        Some(l) => [l.p50_ns, l.p99_ns, l.max_ns].map(output::short_time),
    }
}

/// Whether another method of the table counts the very same requests, as `write` does for
/// `write_buf`.
fn is_second_name(name: &str) -> bool {
    Method::from_name(name).is_some_and(|method| {
        Method::all().take_while(|m| *m != method).any(|m| m.calls() == method.calls())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, calls: i64, errors: i64) -> MethodStatistics {
        MethodStatistics { name: name.to_owned(), calls, errors, ..MethodStatistics::default() }
    }

    #[test]
    fn errors_that_are_explained_are_not_in_the_headline() {
        let getattr = MethodStatistics { injected: 2, usual: 90, ..of("getattr", 100, 93) };
        let stats = Statistics {
            elapsed_ns: 5_000_000_000,
            calls: 100,
            errors: 93,
            injected: 2,
            usual: 90,
            methods: vec![getattr.clone()],
            requests: vec![getattr],
            ..Statistics::default()
        };
        assert_eq!(headline(&stats), "100 calls, 1 errors and 2 injected ones in 5s");
        let table = stats_table(&stats);
        let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["getattr", "100", "1", "2", "90", "0", "-", "-", "-"]);
    }

    #[test]
    fn an_older_daemon_tells_errors_together_and_methods_by_all_their_names() {
        let methods = vec![of("fdatasync", 1, 0), of("fsync", 2, 1), of("write", 3, 0)];
        let stats = Statistics { calls: 5, errors: 1, methods, ..Statistics::default() };
        assert_eq!(headline(&stats), "5 calls, 1 errors in 0s");
        let names: Vec<_> = requests(&stats).map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["fdatasync", "fsync", "write"]);
    }
}
