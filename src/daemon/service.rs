//! What the service manager is told that started this daemon, if one did (sd_notify(3)), and its watchdog, which is
//! fed by looks at the mount.
//!
//! Invariants: a message waits for nobody longer than a bound, and who cannot be told keeps nothing from its work: that
//! the mount answers is told until it is taken, as a manager that misses it ends the run, and no start waits for that. The
//! watchdog is fed as long as the mount answers to a look that no fault meets and no power cut keeps: a mount that is as
//! it was made to be is well. Lock rule: the lock covers memory work only.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::{info, warn};

use super::error::strip;
use super::supervision::Supervision;
use crate::fault::words::visible;
use crate::rpc::Health;

/// How long a message may wait for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long one that is told again and again waits each time: so soon it heeds the end.
const SPELL: Duration = Duration::from_millis(100);

/// How soon a mount that does not answer is looked at again, at the latest.
const SOON: Duration = Duration::from_secs(1);

/// The manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    /// The one of that name. A message to it waits for room that long.
    fn at(name: &OsStr, patience: Duration) -> io::Result<Manager> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::other("it is no socket of this machine")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(patience))?;
        Ok(Manager { socket, address })
    }

    /// Whether it is told.
    fn tell(&self, what: &str) -> bool {
        self.send(what).inspect_err(|error| lost(what, error)).is_ok()
    }

    /// Tells what there was no room for, again and again, until it is taken or the end has come.
    fn insist(&self, what: &str, end: &End) {
        loop {
            match self.send(what) {
                Err(error) if has_no_room(&error) && !end.comes_by(Instant::now()) => {}
                Ok(()) => return info!("the service manager is told {}", word(what)),
                Err(error) => return lost(what, &error),
            }
        }
    }

    fn send(&self, what: &str) -> io::Result<()> {
        self.socket.send_to_addr(what.as_bytes(), &self.address).map(drop)
    }
}

/// What a message is about.
fn word(what: &str) -> &str {
    what.lines().next().unwrap_or_default()
}

fn lost(what: &str, error: &io::Error) {
    warn!("cannot tell the service manager {}: {}", word(what), strip(error));
}

fn has_no_room(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// A run as the manager sees it: it is ready, and lives until this is dropped, when it ends.
pub(super) struct Service {
    manager: Arc<Manager>,
    end: Arc<End>,
    /// Tells that the mount answers, if there was no room for it at once.
    teller: Option<JoinHandle<()>>,
}

impl Service {
    /// Tells it that the mount answers, and feeds its watchdog from now on.
    pub(super) fn begin(
        of: &Supervision,
        status: String,
        health: Arc<dyn Health>,
    ) -> Option<Service> {
        let cannot = |error: &io::Error| {
            let socket = of.socket.display();
            warn!("cannot tell the service manager at {socket}: {}", strip(error));
        };
        let manager = Manager::at(&of.socket, PATIENCE).map(Arc::new);
        let (manager, end) = (manager.inspect_err(cannot).ok()?, Arc::new(End::default()));
        let teller = tell_ready(of, &end, &status);
        let teller = teller.inspect_err(cannot).unwrap_or_default();
        if let Some(patience) = of.watchdog {
            let status_is_due = teller.is_some();
            let manager = Arc::clone(&manager);
            let looks = Looks { manager, patience, health, status, status_is_due };
            if let Err(error) = looks.begin(&end) {
                warn!("the watchdog is not fed: {}", strip(&error));
            }
        }
        Some(Service { manager, end, teller })
    }
}

/// The start does not wait for room: a thread does, which is returned then. By the time that there is some the
/// status may be another: who looks tells it, if somebody does.
fn tell_ready(
    of: &Supervision,
    end: &Arc<End>,
    status: &str,
) -> io::Result<Option<JoinHandle<()>>> {
    let ready = format!("READY=1\n{status}");
    let manager = Manager::at(&of.socket, SPELL)?;
    manager.socket.set_nonblocking(true)?;
    match manager.send(&ready) {
        Err(error) if has_no_room(&error) => {}
        told => {
            // One that has gone, or refuses, does so again.
            let _ = told.inspect_err(|error| lost(&ready, error));
            return Ok(None);
        }
    }
    warn!("the service manager has no room for {}: it is told once it has", word(&ready));
    manager.socket.set_nonblocking(false)?;
    let late = if of.watchdog.is_some() { word(&ready).to_owned() } else { ready };
    let end = Arc::clone(end);
    let thread = thread::Builder::new().name("slowfs-ready".to_owned());
    thread.spawn(move || manager.insist(&late, &end)).map(Some)
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end.come();
        if let Some(teller) = self.teller.take()
            && teller.join().is_err()
        {
            warn!("the thread that tells the service manager panicked");
        }
        self.manager.tell("STOPPING=1\nSTATUS=unmounts");
    }
}

/// The end of the run, until which threads of their own go on. One may be in a look then, which has a bound.
#[derive(Default)]
struct End {
    has_come: Mutex<bool>,
    comes: Condvar,
}

impl End {
    fn come(&self) {
        *self.has_come.lock() = true;
        self.comes.notify_all();
    }

    /// Whether it comes before then.
    fn comes_by(&self, then: Instant) -> bool {
        let mut has_come = self.has_come.lock();
        while !*has_come {
            if self.comes.wait_until(&mut has_come, then).timed_out() {
                break;
            }
        }
        *has_come
    }
}

/// What feeds the watchdog.
struct Looks {
    manager: Arc<Manager>,
    patience: Duration,
    health: Arc<dyn Health>,
    /// Of a mount that is well.
    status: String,
    /// It is not told yet, or another one is.
    status_is_due: bool,
}

impl Looks {
    fn begin(self, end: &Arc<End>) -> io::Result<()> {
        let end = Arc::clone(end);
        let thread = thread::Builder::new().name("slowfs-watchdog".to_owned());
        thread.spawn(move || self.go_on(&end)).map(drop)
    }

    fn go_on(mut self, end: &End) {
        let mut is_well = true;
        loop {
            let began = Instant::now();
            let found = self.health.look();
            // In the half of the time there is room for what comes late. One who does not answer is asked
            // again soon: he may have been late, too.
            let next = match &found {
                Ok(()) => self.patience / 2,
                Err(_) => SOON.min(self.patience / 10),
            };
            if end.comes_by(began) {
                return;
            }
            match &found {
                Ok(()) => {
                    let status = if self.status_is_due { &*self.status } else { "" };
                    let is_told = self.manager.tell(format!("WATCHDOG=1\n{status}").trim_end());
                    self.status_is_due &= !is_told;
                }
                Err(why) if is_well => {
                    warn!("{why}: the watchdog is not fed");
                    self.manager.tell(&format!("STATUS={}", visible(why)));
                    self.status_is_due = true;
                }
                Err(_) => {}
            }
            if found.is_ok() && !is_well {
                info!("the mount answers: the watchdog is fed again");
            }
            is_well = found.is_ok();
            if end.comes_by(began + next) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_this_machine_are_reached_by_path_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("slowfs-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, at) in [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}").into()),
        ] {
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            Manager::at(&at, PATIENCE).unwrap().tell("READY=1");
            let mut told = [0; 64];
            let length = socket.recv(&mut told).unwrap();
            assert_eq!(&told[..length], b"READY=1");
        }
        assert!(Manager::at(OsStr::new("vsock:2:1"), PATIENCE).is_err());
    }
}
