//! What a mount answers, as people read it. Nothing here asks or prints.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::output;
use crate::fault::words::{self, FaultOption, OPTIONS, Value};
use crate::ops::Method;
use crate::rpc::{self, ClientError, Info, ListedFault, Run, Taken};

/// Why a call failed that has no counterpart among the plain calls.
pub(super) fn explain(addr: &str, error: ClientError) -> String {
    match error {
        ClientError::UnknownCall { .. } => {
            format!("{addr} is charybdefs or an older slowfs, which cannot do that")
        }
        e => e.to_string(),
    }
}

/// Where a scenario is, in a line.
pub(super) fn scenario(run: &Run) -> String {
    let time = |ns: i64| words::time_text(Duration::from_nanos(ns.unsigned_abs()));
    let next = run.next.as_ref().zip(run.next_ns);
    let next = next.map(|(text, at)| format!("; next at {}: {}", time(at), words::visible(text)));
    let Run { name, done, steps, .. } = run;
    format!(
        "scenario {} of {}: {done} of {steps} lines done, at {} of {}{}",
        words::visible(name),
        run.by,
        output::short_time(run.elapsed_ns),
        time(run.end_ns),
        next.unwrap_or_default()
    )
}

/// What came of a scenario.
pub(super) fn ended_scenario(run: &Run) -> String {
    let Run { name, by, done, steps, why, .. } = run;
    format!(
        "scenario {} of {by} has ended after {}, {done} of {steps} lines done: {}",
        words::visible(name),
        output::short_time(run.elapsed_ns),
        words::visible(why.as_deref().unwrap_or_default())
    )
}

/// How it is mounted, a line each: what was asked, what the kernel gave.
pub(super) fn features(info: &Info) -> String {
    let asked = [
        (info.read_only, "read-only"),
        (info.direct_io, "page cache bypassed"),
        (info.seeded, "dice seeded"),
        (info.stats, "every operation timed"),
    ];
    let asked: String = asked.iter().filter(|(on, _)| *on).map(|(_, s)| format!(", {s}")).collect();
    let names = info.capabilities.iter().map(|c| c.trim_start_matches("FUSE_").to_lowercase());
    let except = info.passthrough_except.as_ref().map(|e| words::visible(e));
    let passthrough =
        except.map(|e| format!("\nthe kernel serves by itself what does not match {e}"));
    format!(
        "\n{} threads, probability scale {}{asked}{}\nFUSE {}: {}",
        info.threads,
        info.probability_scale,
        passthrough.unwrap_or_default(),
        info.fuse_protocol,
        names.collect::<Vec<_>>().join(", ")
    )
}

/// Columns of numbers in a table of faults.
const NUMBERS: [usize; 5] = [0, 3, 4, 5, 6];

/// The faults in force.
pub(super) fn fault_table(faults: &[ListedFault]) -> String {
    if faults.is_empty() {
        return "no faults".to_owned();
    }
    let headers =
        ["ID", "NAME", "FAULT", "PROB", "MATCHED", "FIRED", "HELD", "LIMITS", "METHODS", "PATH"];
    let table = output::table(headers, &NUMBERS, faults.iter().map(fault_cells).collect());
    faults.iter().fold(table, |text, fault| text + &exceptions(fault))
}

/// The same with how often each fires in a second now, as `rate` tells.
pub(super) fn fault_rates(faults: &[ListedFault], rate: impl Fn(i64) -> String) -> String {
    if faults.is_empty() {
        return fault_table(faults);
    }
    let rows = faults.iter().map(|f| {
        let [id, name, effect, percent, matched, fired, held, limits, methods, path] =
            fault_cells(f);
        let now = rate(f.id);
        [id, name, effect, percent, matched, fired, now, held, limits, methods, path]
    });
    let headers = [
        "ID", "NAME", "FAULT", "PROB", "MATCHED", "FIRED", "FIRED/S", "HELD", "LIMITS", "METHODS",
        "PATH",
    ];
    let table = output::table(headers, &[0, 3, 4, 5, 6, 7], rows.collect());
    faults.iter().fold(table, |text, fault| text + &exceptions(fault))
}

fn fault_cells(f: &ListedFault) -> [String; 10] {
    [
        f.id.to_string(),
        f.fault.name.clone().unwrap_or_else(|| "-".to_owned()),
        words::shorten(&f.fault.effect()),
        words::percent(f.fault.options.share("probability").unwrap_or(1.0)),
        f.matched.to_string(),
        f.fired.to_string(),
        f.held.to_string(),
        limits(f),
        method_list(&f.fault.methods),
        path(&f.fault.pattern),
    ]
}

/// The paths that a pattern means, as whoever set it may have typed them.
fn path(pattern: &str) -> String {
    match words::glob_of_regex(pattern) {
        _ if pattern.is_empty() => "any".to_owned(),
        Some(glob) => format!("--glob {}", words::visible(&words::quoted(&glob))),
        None => words::visible(pattern),
    }
}

/// The faults that have gone, and why.
pub(super) fn ended_table(ended: &[ListedFault]) -> String {
    if ended.is_empty() {
        return "no fault has gone".to_owned();
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let rows = ended.iter().map(|f| {
        let at = Duration::from_nanos(f.ended_unix_ns.unwrap_or_default().unsigned_abs());
        let ago = Duration::from_secs(now.saturating_sub(at).as_secs());
        let why = f.why.as_deref().unwrap_or_default();
        let ended = format!("{why} {} ago", humantime::format_duration(ago));
        let [id, name, effect, percent, matched, fired, held, _, methods, path] = fault_cells(f);
        [id, name, effect, percent, matched, fired, held, ended, methods, path]
    });
    let headers =
        ["ID", "NAME", "FAULT", "PROB", "MATCHED", "FIRED", "HELD", "ENDED", "METHODS", "PATH"];
    let table = output::table(headers, &NUMBERS, rows.collect());
    ended.iter().fold(table, |text, fault| text + &exceptions(fault))
}

/// The operations that the fault let go or skipped: a line of its own for each, if there are any.
fn exceptions(fault: &ListedFault) -> String {
    let mut lines = String::new();
    if fault.let_go > 0 {
        let (id, n) = (fault.id, fault.let_go);
        let _ = write!(lines, "\nfault {id} let {n} go early: their processes were ending");
    }
    if fault.skipped > 0 {
        let (id, n) = (fault.id, fault.skipped);
        let _ = write!(lines, "\nfault {id} skipped {n}: it could do nothing to them");
    }
    lines
}

/// What others have lost and go on without, behind what was done.
pub(super) fn taken(taken: &[Taken]) -> String {
    let told = |Taken { id, methods, left }: &Taken| {
        let [methods, left] = [methods, left].map(|names| method_list(names));
        format!("; takes {methods} from {id} (left: {left})")
    };
    taken.iter().map(told).collect()
}

/// Names of methods, the shorter way round.
fn method_list(names: &[String]) -> String {
    if names.len() <= Method::COUNT / 2 {
        return words::visible(&names.join(","));
    }
    let others = Method::all().map(Method::name).filter(|m| names.iter().all(|n| n != m));
    format!("all but {}", others.collect::<Vec<_>>().join(","))
}

/// What ends, delays or restricts the fault: `after 5, 3 of 10 left, uid 0, 1m 2s left`.
fn limits(fault: &ListedFault) -> String {
    let told = |option: &FaultOption| {
        let value = fault.fault.options.get(option.param.name)?;
        match (option.param.name, value) {
            ("probability" | "lasts", _) => None,
            ("count", Value::Whole(count)) => {
                let left = count.saturating_sub(fault.fired).max(0);
                Some(format!("{left} of {count} left"))
            }
            (_, Value::Flag(set)) => set.then(|| option.word.to_owned()),
            _ => Some(format!("{} {}", option.word, option.param.of.write(value))),
        }
    };
    let mut parts: Vec<_> = OPTIONS.iter().filter_map(told).collect();
    if fault.state == "off" {
        parts.push("off now".to_owned());
    }
    if let Some(ns) = fault.expires_in_ns {
        // Milliseconds matter only near the end.
        let unit = if ns < 10_000_000_000 { 1_000_000 } else { 1_000_000_000 };
        parts.push(format!("{} left", rpc::duration(ns / unit * unit)));
    }
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

/// The commands that set these faults again, each beside the others. Whatever the environment says
/// when they are run: at that address.
pub(super) fn commands(faults: &[ListedFault], addr: &str) -> Vec<String> {
    let at = words::quoted(addr);
    let that_do = faults.iter().filter(|f| does_something(f));
    that_do.map(|f| format!("slowfs {} --add --addr {at}", f.fault.line())).collect()
}

/// The same as a script, which says what no command can set.
pub(super) fn script(faults: &[ListedFault], addr: &str) -> String {
    let idle = faults.iter().filter(|f| !does_something(f)).map(|f| {
        let methods = method_list(&f.fault.methods);
        format!("# fault {} does nothing to {methods}: one of charybdefs's calls set it", f.id)
    });
    let lines: Vec<_> = commands(faults, addr).into_iter().chain(idle).collect();
    if lines.is_empty() { "# no faults".to_owned() } else { lines.join("\n") }
}

fn does_something(fault: &ListedFault) -> bool {
    !fault.fault.effects.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_go_or_skipped_is_told_below_the_table() {
        let fault = ListedFault { id: 7, ..ListedFault::default() };
        assert_eq!(fault_table(std::slice::from_ref(&fault)).lines().count(), 2);
        let text = fault_table(&[ListedFault { let_go: 3, skipped: 1, ..fault }]);
        let lines: Vec<_> = text.lines().skip(2).collect();
        let expected = [
            "fault 7 let 3 go early: their processes were ending",
            "fault 7 skipped 1: it could do nothing to them",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn many_methods_are_listed_the_shorter_way_round() {
        let most: Vec<_> = Method::all().map(|m| m.name().to_owned()).skip(2).collect();
        assert_eq!(method_list(&most), "all but access,bmap");
        assert_eq!(method_list(&["read".into(), "write".into()]), "read,write");
    }
}
