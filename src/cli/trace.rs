//! `slowfs trace`: what is asked of the mounts and what comes of it, one JSON object per line. A signal ends
//! it like `--for` does, with what came until then. No locks.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::at_once;
use super::control::TraceArgs;
use super::fleet::Origin;
use super::output;
use super::render::explain;
use super::sink::{Sink, Woken};
use super::target::Target;
use super::traced::{Places, Traced};
use super::whom;
use crate::rpc::{Client, objects};
use crate::sys::signals;

/// How long a mount may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two looks at a mount that has nothing to tell.
const PAUSE: Duration = Duration::from_millis(20);

/// Events that are fetched at once.
const MOST: i64 = 1_000;

/// How often one mount is asked before it is the others' turn.
const ROUNDS: usize = 8;

/// How often at the end: all that a mount keeps is told by then.
const LAST_ROUNDS: usize = 100;

/// Traces until interrupted, or for that time.
pub(super) fn run(args: &TraceArgs, target: &Target) -> ExitCode {
    match trace(args, target) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            output::error(&reason);
            ExitCode::FAILURE
        }
    }
}

/// Whether every mount was traced to the end.
fn trace(args: &TraceArgs, target: &Target) -> Result<bool, String> {
    let addrs = || target.addr.iter().map(String::as_str);
    let met = at_once::each(addrs(), |addr| Host::reach(addr, &target.origin));
    let mut hosts = reached(addrs().zip(met));
    let places = Places::of(hosts.iter().map(|host| &host.traced));
    let mut sink = Sink::open(args.to.as_deref(), &places)?;
    // Not before: what opens a file may have to wait, and a signal ends that.
    let stop = signals::block(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP])
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    let end = args.lasts.and_then(|lasts| Instant::now().checked_add(lasts));
    let several = target.addr.len() > 1;
    hosts = reached(hosts.into_iter().map(|host| (host.addr, host.start(args, several))));
    let mut all = hosts.len() == target.addr.len();
    for host in &hosts {
        if !sink.write(std::slice::from_ref(&host.head))? {
            return Ok(true);
        }
    }
    while !hosts.is_empty() {
        let now = Instant::now();
        let until = end.map_or(now + PAUSE, |end| end.min(now + PAUSE));
        let woken = sink.wait(&stop, until);
        if woken == Woken::NoReader {
            return Ok(all);
        }
        // What was answered by now is still told.
        let is_over = woken == Woken::BySignal || end.is_some_and(|end| now >= end);
        let rounds = if is_over { LAST_ROUNDS } else { ROUNDS };
        for mut host in std::mem::take(&mut hosts) {
            match host.follow(&mut sink, rounds)? {
                Followed::Told => hosts.push(host),
                Followed::Ended => host.tell_end(),
                Followed::Failed => all = false,
                Followed::NoReader => return Ok(all),
            }
        }
        if is_over {
            return Ok(all && hosts.into_iter().all(Host::end));
        }
    }
    Ok(all)
}

/// Those that there are; of the others it is said why not.
fn reached<'a>(hosts: impl Iterator<Item = (&'a str, Result<Host<'a>, String>)>) -> Vec<Host<'a>> {
    let there = hosts.map(|(addr, host)| host.map_err(|why| output::failed(addr, &why)));
    there.filter_map(Result::ok).collect()
}

/// One mount that is traced.
struct Host<'a> {
    addr: &'a str,
    client: Client,
    traced: Traced,
    head: Value,
    after: i64,
    dropped: i64,
    /// Whether its lines say whose they are.
    marked: bool,
}

/// What came of a look at a mount.
enum Followed {
    /// What it had to tell was told.
    Told,
    /// So was all that it had before it ended.
    Ended,
    /// It does not answer any more, and that was said.
    Failed,
    /// Nobody reads the lines.
    NoReader,
}

impl<'a> Host<'a> {
    fn reach(addr: &'a str, origin: &Origin) -> Result<Host<'a>, String> {
        let mut client = whom::reach(addr, origin, PATIENCE)?;
        let info = client.info().map_err(|e| explain(addr, e))?;
        let (is_here, head) = (client.is_here(), Value::Null);
        let traced = Traced { mountpoint: info.mountpoint.0, pid: info.pid, is_here };
        Ok(Host { addr, client, traced, head, after: 0, dropped: 0, marked: false })
    }

    fn start(mut self, args: &TraceArgs, marked: bool) -> Result<Host<'a>, String> {
        let pattern = args.paths.pattern().unwrap_or_default();
        let head = self.client.trace_start(&args.methods, pattern, args.fired);
        let head = head.map_err(|e| explain(self.addr, e))?;
        self.marked = marked;
        self.head = self.mark(objects::trace_head(&head));
        Ok(self)
    }

    /// Tells what has come since, in so many rounds at most.
    fn follow(&mut self, sink: &mut Sink, rounds: usize) -> Result<Followed, String> {
        for _ in 0..rounds {
            let read = match self.client.trace_read(self.after, MOST) {
                Ok(read) => read,
                Err(error) => {
                    let (why, told) = (explain(self.addr, error), self.told());
                    output::failed(self.addr, &format!("{why}; {told}"));
                    return Ok(Followed::Failed);
                }
            };
            let dropped = read.dropped - self.dropped;
            self.dropped = read.dropped;
            let gap = (dropped > 0).then(|| self.mark(json!({ "dropped": dropped })));
            let events = read.events.iter().map(|event| self.mark(objects::trace_event(event)));
            let lines: Vec<_> = gap.into_iter().chain(events).collect();
            if !sink.write(&lines)? {
                return Ok(Followed::NoReader);
            }
            self.after = read.events.last().map_or(self.after, |last| last.seq);
            if read.ended {
                return Ok(Followed::Ended);
            }
            if read.events.is_empty() {
                break;
            }
        }
        Ok(Followed::Told)
    }

    fn mark(&self, mut line: Value) -> Value {
        if let (true, Some(fields)) = (self.marked, line.as_object_mut()) {
            fields.insert("addr".into(), self.addr.into());
        }
        line
    }

    /// How far its trace is complete.
    fn told(&self) -> String {
        let dropped = match self.dropped {
            0 => String::new(),
            dropped => format!(", but for {dropped} that came too fast and were dropped"),
        };
        match self.after {
            0 => "it has told of no request".to_owned(),
            last => format!("its trace is complete up to request {last}{dropped}"),
        }
    }

    /// Says that the mount has ended.
    fn tell_end(&self) {
        let (addr, mountpoint, told) = (self.addr, self.traced.mountpoint.display(), self.told());
        output::note(&format!("{addr}: the mount at {mountpoint} has ended; {told}"));
    }

    /// Ends the trace; false if that could not be said.
    fn end(mut self) -> bool {
        if self.dropped > 0 {
            let (addr, dropped) = (self.addr, self.dropped);
            let s = if dropped == 1 { "" } else { "s" };
            output::warning(&format!(
                "{addr}: {dropped} request{s} came too fast and were dropped; -m, -r and --fired \
                 leave fewer"
            ));
        }
        let stopped = self.client.trace_stop();
        stopped.map_err(|error| output::failed(self.addr, &explain(self.addr, error))).is_ok()
    }
}
