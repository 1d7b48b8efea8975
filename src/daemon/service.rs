//! What the service manager is told that started this daemon, if one did (sd_notify(3)), and its watchdog, which is
//! fed by looks at the mount.
//!
//! Invariants: a message waits for nobody longer than a bound, and who cannot be told keeps nothing from its work. The
//! watchdog is fed as long as the mount answers to a look that no fault meets and no power cut keeps: a mount that is as
//! it was made to be is well. Lock rule: the lock covers memory work only.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::{info, warn};

use super::error::strip;
use super::supervision::Supervision;
use crate::fault::words::visible;
use crate::rpc::Health;

/// How long a message may wait for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// How soon a mount that does not answer is looked at again, at the latest.
const SOON: Duration = Duration::from_secs(1);

/// The manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    fn at(name: &OsStr) -> io::Result<Manager> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::other("it is no socket of this machine")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Manager { socket, address })
    }

    fn tell(&self, what: &str) {
        if let Err(error) = self.socket.send_to_addr(what.as_bytes(), &self.address) {
            let (word, error) = (what.lines().next().unwrap_or_default(), strip(&error));
            warn!("cannot tell the service manager {word}: {error}");
        }
    }
}

/// A run as the manager sees it: it is ready, and lives until this is dropped, when it ends.
pub(super) struct Service {
    manager: Arc<Manager>,
    watchdog: Option<Watchdog>,
}

impl Service {
    /// Tells it that the mount answers, and feeds its watchdog from now on.
    pub(super) fn begin(
        of: &Supervision,
        status: String,
        health: Arc<dyn Health>,
    ) -> Option<Service> {
        let manager = Manager::at(&of.socket).map(Arc::new);
        let manager = manager.inspect_err(|error| {
            let socket = of.socket.display();
            warn!("cannot tell the service manager at {socket}: {}", strip(error));
        });
        let manager = manager.ok()?;
        manager.tell(&format!("READY=1\n{status}"));
        let begin = |patience| {
            let looks = Looks { manager: Arc::clone(&manager), patience, health, status };
            let begun = Watchdog::begin(looks);
            begun.inspect_err(|error| warn!("the watchdog is not fed: {}", strip(error))).ok()
        };
        let watchdog = of.watchdog.and_then(begin);
        Some(Service { manager, watchdog })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.watchdog.take());
        self.manager.tell("STOPPING=1\nSTATUS=unmounts");
    }
}

/// The thread that looks, until this is dropped. It may be in a look then, which has a bound.
struct Watchdog(Arc<End>);

#[derive(Default)]
struct End {
    has_come: Mutex<bool>,
    comes: Condvar,
}

impl End {
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

impl Watchdog {
    fn begin(looks: Looks) -> io::Result<Watchdog> {
        let end = Arc::new(End::default());
        let own = Arc::clone(&end);
        let thread = thread::Builder::new().name("slowfs-watchdog".to_owned());
        thread.spawn(move || looks.go_on(&own))?;
        Ok(Watchdog(end))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.0.has_come.lock() = true;
        self.0.comes.notify_all();
    }
}

struct Looks {
    manager: Arc<Manager>,
    patience: Duration,
    health: Arc<dyn Health>,
    /// Of a mount that is well.
    status: String,
}

impl Looks {
    fn go_on(self, end: &End) {
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
                    let again = if is_well { "" } else { &*self.status };
                    self.manager.tell(format!("WATCHDOG=1\n{again}").trim_end());
                }
                Err(why) if is_well => {
                    warn!("{why}: the watchdog is not fed");
                    self.manager.tell(&format!("STATUS={}", visible(why)));
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
            Manager::at(&at).unwrap().tell("READY=1");
            let mut told = [0; 64];
            let length = socket.recv(&mut told).unwrap();
            assert_eq!(&told[..length], b"READY=1");
        }
        assert!(Manager::at(OsStr::new("vsock:2:1")).is_err());
    }
}
