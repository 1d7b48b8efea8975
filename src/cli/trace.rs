//! `slowfs trace`: what is asked of the mounts and what comes of it, one JSON object per line.
//!
//! The file of `--to` is opened and written here: a daemon opens no path that a client names. A signal
//! ends it like `--for` does, with what came until then. No locks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::control::{Target, TraceArgs};
use super::output;
use super::render::explain;
use super::watch::wait;
use crate::rpc::{Client, TraceEvent, TraceHead, WirePath};
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
    let stop = signals::block(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP])
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    let mut sink = Sink::open(args.to.as_deref())?;
    let several = target.addr.len() > 1;
    let end = args.lasts.and_then(|lasts| Instant::now().checked_add(lasts));
    let mut hosts = Vec::new();
    for addr in &target.addr {
        match Host::start(addr, args, several) {
            Ok((host, head)) => {
                hosts.push(host);
                if !sink.write(&[head])? {
                    return Ok(true);
                }
            }
            Err(reason) => output::failed(addr, &reason),
        }
    }
    let mut all = hosts.len() == target.addr.len();
    loop {
        let now = Instant::now();
        // What was answered by now is still told.
        let is_over = end.is_some_and(|end| now >= end) || hosts.is_empty();
        let until = end.map_or(now + PAUSE, |end| end.min(now + PAUSE));
        let is_over = is_over || wait(&stop, until).is_some();
        let rounds = if is_over { LAST_ROUNDS } else { ROUNDS };
        for mut host in std::mem::take(&mut hosts) {
            match host.follow(&mut sink, rounds)? {
                Followed::Told => hosts.push(host),
                Followed::Failed => all = false,
                Followed::NoReader => return Ok(all),
            }
        }
        if is_over {
            return Ok(all && hosts.into_iter().all(Host::end));
        }
    }
}

/// One mount that is traced.
struct Host<'a> {
    addr: &'a str,
    client: Client,
    after: i64,
    dropped: i64,
    /// Whether its lines say whose they are.
    marked: bool,
}

/// What came of a look at a mount.
enum Followed {
    /// What it had to tell was told.
    Told,
    /// It does not answer any more, and that was said.
    Failed,
    /// Nobody reads the lines.
    NoReader,
}

impl<'a> Host<'a> {
    fn start(addr: &'a str, args: &TraceArgs, marked: bool) -> Result<(Host<'a>, Value), String> {
        let mut client = Client::connect(addr, PATIENCE).map_err(|e| e.to_string())?;
        let pattern = args.regex.as_deref().unwrap_or_default();
        let head = client.trace_start(&args.methods, pattern, args.fired);
        let head = head.map_err(|e| explain(addr, e))?;
        let host = Host { addr, client, after: 0, dropped: 0, marked };
        let head = host.mark(head_line(&head));
        Ok((host, head))
    }

    /// Tells what has come since, in so many rounds at most.
    fn follow(&mut self, sink: &mut Sink, rounds: usize) -> Result<Followed, String> {
        for _ in 0..rounds {
            let read = match self.client.trace_read(self.after, MOST) {
                Ok(read) => read,
                Err(error) => {
                    output::failed(self.addr, &explain(self.addr, error));
                    return Ok(Followed::Failed);
                }
            };
            let dropped = read.dropped - self.dropped;
            self.dropped = read.dropped;
            let gap = (dropped > 0).then(|| self.mark(json!({ "dropped": dropped })));
            let events = read.events.iter().map(|event| self.mark(line(event)));
            let lines: Vec<_> = gap.into_iter().chain(events).collect();
            if !sink.write(&lines)? {
                return Ok(Followed::NoReader);
            }
            let Some(last) = read.events.last() else { break };
            self.after = last.seq;
        }
        Ok(Followed::Told)
    }

    fn mark(&self, mut line: Value) -> Value {
        if let (true, Some(fields)) = (self.marked, line.as_object_mut()) {
            fields.insert("addr".into(), self.addr.into());
        }
        line
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

fn head_line(head: &TraceHead) -> Value {
    let mut line = json!(head);
    add_bytes(&mut line, "mountpoint", Some(&head.mountpoint));
    add_bytes(&mut line, "backing", Some(&head.backing));
    line
}

fn line(event: &TraceEvent) -> Value {
    let mut line = json!(event);
    add_bytes(&mut line, "path", event.path.as_ref());
    add_bytes(&mut line, "other", event.other.as_ref());
    line
}

/// Adds a path's bytes where text has lost some.
fn add_bytes(line: &mut Value, name: &str, path: Option<&WirePath>) {
    if let (Some(fields), Some(bytes)) = (line.as_object_mut(), path.and_then(WirePath::base64)) {
        fields.insert(format!("{name}_base64"), bytes.into());
    }
}

/// Where the lines go.
struct Sink {
    out: BufWriter<Box<dyn Write>>,
    name: String,
}

impl Sink {
    fn open(to: Option<&Path>) -> Result<Sink, String> {
        let Some(path) = to else {
            let out: Box<dyn Write> = Box::new(io::stdout());
            return Ok(Sink { out: BufWriter::new(out), name: "standard output".to_owned() });
        };
        let name = path.display().to_string();
        let file = File::create(path).map_err(|error| format!("cannot write {name}: {error}"))?;
        let file: Box<dyn Write> = Box::new(file);
        Ok(Sink { out: BufWriter::new(file), name })
    }

    /// Writes lines, all of them; false if their reader has gone, which is no error.
    fn write(&mut self, lines: &[Value]) -> Result<bool, String> {
        let write = |out: &mut BufWriter<Box<dyn Write>>| {
            lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            out.flush()
        };
        match write(&mut self.out) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(format!("cannot write to {}: {error}", self.name)),
        }
    }
}
