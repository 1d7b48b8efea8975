//! Looking on while a scenario runs: what each mount does is told as it comes, and a signal ends it. No
//! locks.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use super::super::control::Target;
use super::super::output;
use super::super::render::explain;
use super::cast::{Cast, Player, named};
use crate::fault::words::visible;
use crate::rpc::RunEvent;
use crate::sys::signals;

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// One mount, as far as it is known what it did.
struct Followed {
    player: Player,
    events: Vec<RunEvent>,
    /// Whether it has told its end.
    has_ended: bool,
    /// Why nothing more comes from it.
    lost: Option<String>,
}

/// Looks on until all have come to their end; whether they did.
pub(super) fn to_the_end(cast: Cast, target: &Target) -> Result<bool, String> {
    let stop = signals::block(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP])
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    let several = cast.players.len() > 1;
    let mut all: Vec<Followed> = cast.players.into_iter().map(Followed::new).collect();
    let mut stopped = false;
    loop {
        for one in &mut all {
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
    Ok(judged(&all, stopped))
}

/// Whether a signal comes within that time.
fn signalled(stop: &OwnedFd, within: Duration) -> bool {
    let mut fds = [PollFd::new(stop, PollFlags::IN)];
    // A failed wait shows in that no signal is there.
    let _ = poll(&mut fds, Timespec::try_from(within).ok().as_ref());
    signals::take(stop).is_some()
}

/// Says what went wrong; whether nothing did.
fn judged(all: &[Followed], stopped: bool) -> bool {
    let mut good = !stopped;
    for one in all {
        let addr = &one.player.addr;
        if let Some(why) = &one.lost {
            output::error(&named(addr, format!("scenario {}: {why}", one.player.run.name)));
            good = false;
        } else if one.has_failed() {
            let why = one.player.run.why.as_deref().unwrap_or_default();
            let why = format!("scenario {}: {}", one.player.run.name, visible(why));
            output::error(&named(addr, why));
            good = false;
        }
    }
    if stopped {
        output::error("stopped by a signal; what it had set is cleared");
    }
    good
}

impl Followed {
    fn new(player: Player) -> Followed {
        Followed { player, events: Vec::new(), has_ended: false, lost: None }
    }

    /// What has come since the last look.
    fn look(&mut self) -> Vec<RunEvent> {
        if self.has_ended || self.lost.is_some() {
            return Vec::new();
        }
        let after = self.events.last().map_or(0, |event| event.seq);
        match self.player.client.run_read(after) {
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
