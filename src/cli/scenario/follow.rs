//! Looking on while a scenario runs: what each mount does is told as it comes, and a signal ends it. No
//! locks.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use super::super::output;
use super::super::render::explain;
use super::super::saved::Saved;
use super::super::target::Target;
use super::cast::{Cast, Player, named};
use super::read::Written;
use super::report::{self, OfMount, Report, Samples, Seen};
use crate::fault::words::visible;
use crate::rpc::{Run, RunEvent, RunRead, ns};
use crate::sys::signals;

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Into so many parts the time of a report is divided.
const SAMPLES: u32 = 240;

/// One mount, as far as it is known what it did.
struct Followed {
    player: Player,
    events: Vec<RunEvent>,
    samples: Samples,
    sampled: Option<Instant>,
    /// Whether it has told its end.
    has_ended: bool,
    /// Why nothing more comes from it.
    lost: Option<String>,
}

/// Has signals wait to be looked at that would end the command.
pub(super) fn signals() -> Result<OwnedFd, String> {
    let blocked = signals::block(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP]);
    blocked.map_err(|error| format!("cannot wait for signals: {error}"))
}

/// Looks on until all have come to their end; whether they did.
pub(super) fn to_the_end(
    cast: Cast,
    written: &Written,
    (out, stop): (Option<Saved>, OwnedFd),
    target: &Target,
) -> Result<bool, String> {
    let several = cast.players.len() > 1;
    let mut all: Vec<Followed> = cast.players.into_iter().map(Followed::new).collect();
    let mut stopped = false;
    loop {
        for one in &mut all {
            if out.is_some() {
                one.sample(written.end / SAMPLES);
            }
            let fresh = one.look();
            fresh.iter().for_each(|event| tell(one, event, several, target));
        }
        if all.iter().all(|one| one.has_ended || one.lost.is_some()) {
            break;
        }
        // What goes wrong on one is the end on all of them.
        let is_signalled = signalled(&stop, PAUSE);
        stopped |= is_signalled;
        if stopped || all.iter().any(Followed::has_failed) {
            all.iter_mut().for_each(Followed::stop);
        }
    }
    let why = wrong(&all, stopped);
    why.iter().for_each(|why| output::error(why));
    let is_good = why.is_empty();
    if let Some(mut out) = out {
        let text = report::text(&report(&all, written, why), out.path())?;
        out.write(&text)?;
    }
    Ok(is_good)
}

/// What came of it, on all mounts.
fn report(all: &[Followed], written: &Written, why: Vec<String>) -> Report {
    let mut mounts: Vec<OfMount> = all.iter().map(Followed::figures).collect();
    let starts = || mounts.iter().map(|mount| mount.started_unix_ns);
    let first = starts().min().unwrap_or_default();
    let last = starts().max().unwrap_or_default();
    mounts.iter_mut().for_each(|mount| mount.lag_ns = mount.started_unix_ns - first);
    Report {
        scenario: written.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: written.seed.map(|seed| seed.to_string()),
        end_ns: ns(written.end),
        began_unix_ns: first,
        skew_ns: last - first,
        ok: why.is_empty(),
        why: (!why.is_empty()).then(|| why.join("; ")),
        mounts,
    }
}

/// Whether a signal comes within that time.
fn signalled(stop: &OwnedFd, within: Duration) -> bool {
    let mut fds = [PollFd::new(stop, PollFlags::IN)];
    // A failed wait shows in that no signal is there.
    let _ = poll(&mut fds, Timespec::try_from(within).ok().as_ref());
    signals::take(stop).is_some()
}

/// What went wrong, a line each.
fn wrong(all: &[Followed], stopped: bool) -> Vec<String> {
    let of = |one: &Followed| {
        let own = one.player.run.why.as_deref().filter(|_| one.has_failed());
        let why = one.lost.as_deref().or(own)?;
        let why = format!("scenario {}: {}", one.player.run.name, visible(why));
        Some(named(&one.player.addr, why))
    };
    let signal = "stopped by a signal; what it had set is cleared";
    all.iter().filter_map(of).chain(stopped.then(|| signal.to_owned())).collect()
}

impl Followed {
    fn new(player: Player) -> Followed {
        let (events, samples) = (Vec::new(), Samples::default());
        Followed { player, events, samples, sampled: None, has_ended: false, lost: None }
    }

    /// What has come since the last look.
    fn look(&mut self) -> Vec<RunEvent> {
        if self.has_ended || self.lost.is_some() {
            return Vec::new();
        }
        let after = self.events.last().map_or(0, |event| event.seq);
        match self.player.client.run_read(after) {
            // How its own has ended nobody can say any more.
            Ok(RunRead { run: Some(run), .. }) if !self.is_own(&run) => {
                let lost = "it was ended, and another scenario has its place";
                self.lost = Some(lost.to_owned());
                Vec::new()
            }
            Ok(read) => {
                if let Some(run) = read.run {
                    self.player.run = run;
                }
                self.has_ended = read.events.iter().any(|event| event.what == "ended");
                self.events.extend(read.events.iter().cloned());
                read.events
            }
            Err(error) => {
                self.lost = Some(explain(&self.player.addr, error));
                Vec::new()
            }
        }
    }

    /// Whether it is the one that this command has begun: one at a time has the place, and names may be alike.
    fn is_own(&self, run: &Run) -> bool {
        let who = |run: &Run| (run.started_ns, run.by.clone());
        who(run) == who(&self.player.run)
    }

    /// Notes what it has counted, so often.
    fn sample(&mut self, every: Duration) {
        let every = every.max(PAUSE);
        if self.has_ended || self.sampled.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        self.sampled = Some(Instant::now());
        // What cannot be asked is told by the look that follows.
        if let Ok(counted) = self.player.client.stats() {
            self.samples.add(counted);
        }
    }

    /// What the report says of it.
    fn figures(&self) -> OfMount {
        let Player { addr, info, scenario, run, .. } = &self.player;
        let (events, samples) = (&*self.events, &self.samples);
        OfMount::of(&Seen { addr, info, scenario, run, events, samples })
    }

    fn has_failed(&self) -> bool {
        self.lost.is_some() || self.player.run.failed
    }

    fn stop(&mut self) {
        if !self.has_ended && self.lost.is_none() {
            // What it says is what the next look finds.
            let _ = self.player.client.run_stop();
        }
    }
}

fn tell(one: &Followed, event: &RunEvent, several: bool, target: &Target) {
    let addr = &one.player.addr;
    if target.json {
        let mut line = json!(event);
        if let Value::Object(fields) = &mut line {
            fields.remove("requests");
            fields.insert("addr".into(), addr.as_str().into());
        }
        output::out(&line.to_string());
        return;
    }
    for warning in &event.warnings {
        output::warning(&format!("{addr}: {warning}"));
    }
    let line = match event.what.as_str() {
        "step" => format!("line {}: ", event.line),
        _ => String::new(),
    };
    let whose = if several { format!("{addr}: ") } else { String::new() };
    let at = Duration::from_nanos(event.at_ns.unsigned_abs()).as_secs_f64();
    output::out(&format!("{whose}{at:9.3}s  {line}{}", visible(&event.text)));
}
