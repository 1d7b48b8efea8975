//! `slowfs watch`: what goes through the mounts now, redrawn in a terminal, else a line at a time.
//!
//! Invariant: the terminal is left as it was found, also when a signal ends it. No locks.

use std::io::{self, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use serde_json::json;

use super::control::Target;
use super::output;
use super::render::{explain, fault_table, is_second_name, latency_cells};
use crate::rpc::{Client, LatencyStatistics, ListedFault, MethodStatistics, Statistics};
use crate::sys::signals;

/// How long a mount may take to answer before the others are shown without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches until interrupted, or for `count` intervals.
pub(super) fn run(interval: Duration, count: Option<u64>, target: &Target) -> ExitCode {
    let signals = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGWINCH];
    let stop = match signals::block(&signals) {
        Ok(stop) => stop,
        Err(error) => {
            output::error(&format!("cannot wait for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut watch = Watch {
        hosts: target.addr.iter().map(|addr| Host::new(addr)).collect(),
        json: target.json,
        screen: None,
    };
    watch.ask();
    if watch.hosts.iter().all(|host| host.now.is_err()) {
        // Nobody is there to be watched. The reader of the lines may be gone: no matter.
        let _ = watch.print();
        return ExitCode::FAILURE;
    }
    watch.screen = Screen::open(target.json);
    watch.redraw();
    watch.follow(interval, count, &stop);
    watch.end()
}

/// One mount: how to reach it, and its last two answers.
struct Host {
    addr: String,
    client: Option<Client>,
    before: Option<Sample>,
    now: Result<Sample, String>,
}

/// What a mount answers.
struct Sample {
    stats: Statistics,
    faults: Vec<ListedFault>,
}

impl Host {
    fn new(addr: &str) -> Host {
        Host { addr: addr.to_owned(), client: None, before: None, now: Err(String::new()) }
    }

    fn ask(&mut self) {
        let answer = self.fetch();
        if answer.is_err() {
            self.client = None;
        }
        self.before = std::mem::replace(&mut self.now, answer).ok();
    }

    fn fetch(&mut self) -> Result<Sample, String> {
        let told = |e| explain(&self.addr, e);
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(Client::connect(&self.addr, PATIENCE).map_err(told)?),
        };
        let stats = client.stats().map_err(told)?;
        Ok(Sample { stats, faults: client.list_faults().map_err(told)? })
    }

    /// What went on between the last two answers; none before there are two of one mount.
    fn activity(&self) -> Option<Activity<'_>> {
        let (now, before) = (self.now.as_ref().ok()?, self.before.as_ref()?);
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
}

/// What went on in one interval; its field names are those of `--json`.
#[derive(Serialize)]
struct Activity<'a> {
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

impl Activity<'_> {
    fn held(&self) -> i64 {
        self.faults.iter().map(|f| f.held).sum()
    }

    fn summary(&self) -> String {
        let (calls, errors) = (per_second(self.calls_per_s), per_second(self.errors_per_s));
        format!("{calls} calls/s, {errors} errors/s, {} held", self.held())
    }

    /// The methods without the second names of the same requests.
    fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.methods.iter().filter(|flow| !is_second_name(&flow.name))
    }

    /// All of it on one line.
    fn line(&self) -> String {
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

    fn table(&self) -> String {
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

struct Watch {
    hosts: Vec<Host>,
    json: bool,
    screen: Option<Screen>,
}

impl Watch {
    /// Asks every mount, all at once.
    fn ask(&mut self) {
        thread::scope(|scope| {
            for host in &mut self.hosts {
                scope.spawn(|| host.ask());
            }
        });
    }

    fn follow(&mut self, interval: Duration, count: Option<u64>, stop: &OwnedFd) {
        let mut next = Instant::now();
        let mut reports = 0;
        while count.is_none_or(|count| reports < count) {
            // After a late answer the next interval begins then.
            next = (next + interval).max(Instant::now());
            while let Some(signal) = wait(stop, next) {
                if signal != libc::SIGWINCH {
                    return;
                }
                self.redraw();
            }
            self.ask();
            reports += 1;
            let reader_is_gone = match self.screen {
                Some(_) => !self.redraw(),
                None => self.print().is_err(),
            };
            if reader_is_gone {
                return;
            }
        }
    }

    /// Draws the view anew, where there is a screen; false if it is gone.
    fn redraw(&self) -> bool {
        let Some(screen) = &self.screen else { return true };
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let view = format!("slowfs watch, {time}; ctrl-C ends\n\n{}", self.view());
        screen.draw(&view).is_ok()
    }

    /// One line per mount that has something to tell.
    fn print(&self) -> io::Result<()> {
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        for host in &self.hosts {
            let addr = &host.addr;
            match (&host.now, host.activity()) {
                (Err(reason), _) if self.json => {
                    let line = json!({ "addr": addr, "ok": false, "error": reason });
                    writeln!(io::stdout(), "{line}")?;
                }
                (Err(reason), _) => output::failed(addr, reason),
                (Ok(_), None) => {}
                (Ok(_), Some(activity)) if self.json => {
                    let mut line = json!(activity);
                    if let Some(fields) = line.as_object_mut() {
                        fields.insert("addr".into(), addr.as_str().into());
                        fields.insert("ok".into(), true.into());
                        fields.insert("time".into(), time.to_string().into());
                    }
                    writeln!(io::stdout(), "{line}")?;
                }
                (Ok(_), Some(activity)) => {
                    writeln!(io::stdout(), "{time} {addr}: {}", activity.line())?;
                }
            }
        }
        Ok(())
    }

    fn view(&self) -> String {
        let mut parts = Vec::new();
        for host in &self.hosts {
            let addr = &host.addr;
            let sample = match &host.now {
                Err(reason) => {
                    parts.push(format!("{addr}: {reason}"));
                    continue;
                }
                Ok(sample) => sample,
            };
            let activity = host.activity();
            let summary = activity.as_ref().map_or("measuring".to_owned(), Activity::summary);
            parts.push(format!("{addr}: {summary}"));
            parts.push(fault_table(&sample.faults));
            parts.extend(activity.map(|activity| activity.table()));
        }
        parts.join("\n\n")
    }

    /// Leaves the terminal, with the last view in it.
    fn end(mut self) -> ExitCode {
        if self.screen.take().is_some() {
            output::out(&self.view());
        }
        if self.hosts.iter().any(|host| host.now.is_err()) {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

/// Waits until then or for a signal, which it returns.
fn wait(stop: &OwnedFd, until: Instant) -> Option<i32> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(stop, PollFlags::IN)];
        // A failed wait shows in the time that is left.
        let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
        let signal = signals::take(stop);
        if signal.is_some() || left.is_zero() {
            return signal;
        }
    }
}

/// The terminal's other screen, without a cursor; what was on the terminal comes back at the end.
struct Screen;

impl Screen {
    /// None if nobody looks at a screen there.
    fn open(json: bool) -> Option<Screen> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if json || dumb || !io::stdout().is_terminal() {
            return None;
        }
        let screen = Screen;
        screen.write("\x1b[?1049h\x1b[?25l").ok().map(|()| screen)
    }

    /// Replaces what is there in one write, without clearing first: nothing flickers.
    fn draw(&self, view: &str) -> io::Result<()> {
        let (rows, columns) = match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
                (usize::from(size.ws_row), usize::from(size.ws_col))
            }
            _ => (24, 80),
        };
        self.write(&format!("\x1b[H{}\x1b[J", fit(view, rows, columns)))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = self.write("\x1b[?25h\x1b[?1049l");
    }
}

/// As much of the view as a terminal of that size has room for, each line erasing what was behind
/// it; the last line says how much is missing.
fn fit(view: &str, rows: usize, columns: usize) -> String {
    let lines: Vec<_> = view.lines().collect();
    let room = if lines.len() > rows { rows.saturating_sub(1) } else { rows };
    // The last column stays free, so that no line wraps.
    let cut = |line: &&str| format!("{}\x1b[K", cut(line, columns.saturating_sub(1)));
    let mut shown: Vec<_> = lines.iter().take(room).map(cut).collect();
    if lines.len() > rows {
        shown.push(cut(&&*format!("... {} more lines", lines.len() - room)));
    }
    shown.join("\n")
}

/// The first columns of a line; its colours take no room and stay paired.
fn cut(line: &str, columns: usize) -> String {
    let (mut out, mut seen, mut colour) = (String::new(), 0, false);
    for c in line.chars() {
        colour |= c == '\x1b';
        if colour || seen < columns {
            out.push(c);
        }
        seen += usize::from(!colour);
        colour &= c != 'm';
    }
    out
}

/// The names of an interval's fields, for the test that they are documented.
#[cfg(test)]
pub(super) fn field_names() -> Vec<String> {
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
    fn a_view_never_exceeds_the_terminal() {
        let view = "\x1b[1mHEAD LINE\x1b[0m\none\n\ntwo\nthree";
        let fitted = fit(view, 3, 6);
        assert_eq!(fitted, "\x1b[1mHEAD \x1b[0m\x1b[K\none\x1b[K\n... 3\x1b[K");
        assert_eq!(fit("a\nb", 2, 80), "a\x1b[K\nb\x1b[K");
        for (rows, columns) in [(0, 0), (1, 1), (2, 2)] {
            assert!(fit(view, rows, columns).matches('\n').count() < rows.max(1));
        }
    }

    #[test]
    fn rates_have_the_digits_that_matter() {
        for (rate, text) in
            [(0.0, "0"), (0.04, "0.0"), (1.0, "1.0"), (9.96, "10"), (1234.5, "1234")]
        {
            assert_eq!(per_second(rate), text);
        }
    }
}
