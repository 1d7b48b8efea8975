//! Whether the mount answers, and not only its control: somebody looks at it, through the kernel.
//!
//! Invariants: one look goes on at a time, and whoever asks meanwhile waits for it, no longer than a bound; it
//! meets no fault, and runs while the power is off: that is how the mount is meant to be. Its thread has no descriptors: were this process
//! killed meanwhile, the connection with the kernel would else stay open with it, and it would wait for an
//! answer from itself for ever. Lock rule: the lock covers memory work only.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::fs::OFlags;

use super::mountinfo::Device;
use super::mountpoint::{Identity, directory};
use crate::fs::Spared;
use crate::rpc::Health;
use crate::sys::descriptors::leave_descriptors;
use crate::sys::text_of;

/// How long the mount may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who looks.
struct Looker {
    mountpoint: PathBuf,
    device: Device,
    spared: Spared,
    state: Mutex<State>,
    /// Notified when a look has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// When the one began that goes on.
    since: Option<Instant>,
    /// How many have ended, and what the last has found.
    looks: u64,
    found: Option<String>,
}

/// Looks at the mount of that device there. Faults spare the thread that does.
pub(super) fn health(mountpoint: PathBuf, device: Device, spared: Spared) -> Arc<dyn Health> {
    let (state, ended) = (Mutex::default(), Condvar::new());
    let looker = Looker { mountpoint, device, spared, state, ended };
    Arc::new(Looked(Arc::new(looker)))
}

/// What the looking thread shares with those who ask.
struct Looked(Arc<Looker>);

impl Health for Looked {
    fn look(&self) -> Result<(), String> {
        self.0.ask()
    }
}

impl Looker {
    fn ask(self: &Arc<Self>) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let (seen, begins) = {
            let mut state = self.state.lock();
            let begins = state.since.is_none();
            state.since.get_or_insert_with(Instant::now);
            (state.looks, begins)
        };
        if begins {
            self.begin();
        }
        let mut state = self.state.lock();
        while state.looks == seen {
            if self.ended.wait_until(&mut state, until).timed_out() {
                let waited = state.since.map_or(PATIENCE, |since| since.elapsed());
                return Err(format!(
                    "the mount has not answered for {:.1} s",
                    waited.as_secs_f64()
                ));
            }
        }
        state.found.clone().map_or(Ok(()), Err)
    }

    fn begin(self: &Arc<Self>) {
        let looker = Arc::clone(self);
        let looking = thread::Builder::new().name("slowfs-health".to_owned());
        let looking = looking.spawn(move || looker.end(looker.look().err()));
        if let Err(error) = looking {
            self.end(Some(format!("cannot look at the mount: {}", text_of(&error))));
        }
    }

    fn end(&self, found: Option<String>) {
        let mut state = self.state.lock();
        state.since = None;
        state.looks += 1;
        state.found = found;
        self.ended.notify_all();
    }

    /// On a thread of its own. Who asks need not know where the mount is, and is not told.
    fn look(&self) -> Result<(), String> {
        let failed = |what: &str, error: std::io::Error| {
            format!("cannot {what} the mount: {}", text_of(&error))
        };
        leave_descriptors().map_err(|e| failed("look at", e))?;
        let root = directory(&self.mountpoint, OFlags::NOFOLLOW);
        let root = root.map_err(|e| failed("open", e.into()))?;
        let seen = Identity::of(&root).map_err(|e| failed("look at", e))?;
        if seen.device != self.device {
            let why =
                "another filesystem is at the mountpoint: the mount is covered, moved or gone";
            return Err(why.to_owned());
        }
        let _spared = self.spared.me();
        // The kernel keeps no answer of it: this one comes from the backing.
        rustix::fs::fstatfs(&root).map_err(|e| failed("ask", e.into()))?;
        Ok(())
    }
}
