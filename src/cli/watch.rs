//! `slowfs watch`: what goes through the mounts now, redrawn in a terminal, else a line at a time.
//!
//! A signal ends it like `--count` and the key `q` do, so that the terminal gets back what was there. No
//! locks.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::activity::{Activity, Sample};
use super::fleet::Origin;
use super::keys::Keys;
use super::output;
use super::render::{explain, fault_rates, fault_table};
use super::screen::Screen;
use super::serving::Serving;
use super::target::Target;
use super::whom;
use crate::rpc::Client;
use crate::sys::signals;

/// How long a mount may take to answer before the others are shown without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches until interrupted, or for `count` intervals.
pub(super) fn run(interval: Duration, count: Option<u64>, target: &Target) -> ExitCode {
    let others = [libc::SIGTSTP, libc::SIGWINCH];
    let signals = signals::ENDING.into_iter().chain(signals::realtime()).chain(others);
    let stop = match signals::block(&signals.collect::<Vec<_>>()) {
        Ok(stop) => stop,
        Err(error) => {
            output::error(&format!("cannot wait for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut watch = Watch {
        hosts: target.addr.iter().map(|addr| Host::new(addr, &target.origin)).collect(),
        json: target.json,
        screen: None,
        keys: None,
    };
    watch.ask();
    if watch.hosts.iter().all(|host| host.now.is_err()) {
        // Nobody is there to be watched.
        let _ = output::taken(watch.print());
        return ExitCode::FAILURE;
    }
    watch.open();
    watch.follow(interval, count, &stop);
    watch.end()
}

/// One mount: how to reach it, and its last two answers.
struct Host {
    addr: String,
    /// Why that one is asked.
    origin: Origin,
    /// Who serves it, as long as it is not found.
    serving: Serving,
    client: Option<Client>,
    before: Option<Sample>,
    now: Result<Sample, String>,
}

impl Host {
    fn new(addr: &str, origin: &Origin) -> Host {
        let now = Err(String::new());
        let (addr, origin, serving) = (addr.to_owned(), origin.clone(), Serving::default());
        Host { addr, origin, serving, client: None, before: None, now }
    }

    fn ask(&mut self) {
        let answer = self.fetch();
        if answer.is_err() {
            self.client = None;
        }
        self.before = std::mem::replace(&mut self.now, answer).ok();
    }

    fn fetch(&mut self) -> Result<Sample, String> {
        let Host { addr, origin, serving, client, .. } = self;
        let addr = addr.as_str();
        let told = |e| explain(addr, e);
        let client = match client {
            Some(client) => client,
            none => none.insert(whom::reach_again(addr, origin, PATIENCE, serving)?),
        };
        let stats = client.stats().map_err(told)?;
        Ok(Sample { stats, faults: client.list_faults().map_err(told)? })
    }

    /// What went on between the last two answers; none before there are two of one mount.
    fn activity(&self) -> Option<Activity<'_>> {
        Activity::between(self.before.as_ref()?, self.now.as_ref().ok()?)
    }
}

struct Watch {
    hosts: Vec<Host>,
    json: bool,
    screen: Option<Screen>,
    /// Of a screen only.
    keys: Option<Keys>,
}

/// What ends a wait.
enum Event {
    /// The interval is over.
    Due,
    Signal(i32),
    /// The user has had enough.
    Quit,
}

impl Watch {
    /// Takes the terminal, if there is one.
    fn open(&mut self) {
        self.screen = Screen::open(self.json);
        self.keys = self.screen.as_ref().and_then(|_| Keys::open());
        self.redraw();
    }

    /// Gives the terminal back; whether it was taken.
    fn close(&mut self) -> bool {
        self.keys = None;
        self.screen.take().is_some()
    }

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
            loop {
                match self.wait(stop, next) {
                    Event::Due => break,
                    Event::Signal(libc::SIGWINCH) => drop(self.redraw()),
                    Event::Signal(libc::SIGTSTP) => self.pause(),
                    Event::Signal(_) | Event::Quit => return,
                }
            }
            self.ask();
            reports += 1;
            let reader_is_gone = match self.screen {
                Some(_) => !self.redraw(),
                None => !output::taken(self.print()),
            };
            if reader_is_gone {
                return;
            }
        }
    }

    /// Lets the shell have the terminal until it has this go on.
    fn pause(&mut self) {
        let was_open = self.close();
        // It cannot fail for a signal that there is.
        let _ = signals::let_through(libc::SIGTSTP);
        if was_open {
            self.open();
        }
    }

    /// Waits until then, for a signal or for a key.
    fn wait(&mut self, stop: &OwnedFd, until: Instant) -> Event {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let mut fds = vec![PollFd::new(stop, PollFlags::IN)];
            fds.extend(self.keys.as_ref().map(|keys| PollFd::new(keys, PollFlags::IN)));
            // A failed wait shows in the time that is left.
            let _ = poll(&mut fds, timeout.as_ref());
            let of_keys = fds.get(1).map_or(PollFlags::empty(), PollFd::revents);
            if let Some(signal) = signals::take(stop) {
                return Event::Signal(signal);
            }
            if self.keys.as_ref().is_some_and(|keys| !of_keys.is_empty() && keys.quit()) {
                return Event::Quit;
            }
            if of_keys.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
                self.keys = None;
            }
            if left.is_zero() {
                return Event::Due;
            }
        }
    }

    /// Draws the view anew, where there is a screen; false if it is gone.
    fn redraw(&self) -> bool {
        let Some(screen) = &self.screen else { return true };
        let time = humantime::format_rfc3339_seconds(SystemTime::now());
        let key = if self.keys.is_some() { "q" } else { "ctrl-C" };
        let view = format!("slowfs watch, {time}; {key} ends\n\n{}", self.view());
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
            parts.push(match &activity {
                Some(activity) => fault_rates(&sample.faults, |id| activity.fired(id)),
                None => fault_table(&sample.faults),
            });
            parts.extend(activity.map(|activity| activity.table()));
        }
        parts.join("\n\n")
    }

    /// Leaves the terminal, with the last view in it.
    fn end(mut self) -> ExitCode {
        if self.close() {
            output::out(&self.view());
        }
        if self.hosts.iter().any(|host| host.now.is_err()) {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}
