//! What is to be done once a fault has fired so often: at that very firing, before its request is
//! answered, and so that the next request meets it.
//!
//! While one is pending the decisions of a table take turns, so that none comes between the firing and
//! what is done about it. Lock rule: what is done is memory work under that turn; whoever is to be told of
//! it is told later, by a thread of the delay line, and the request waits for that before its answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::called::FaultRef;
use super::live::Live;
use super::swapped::Swapped;

/// How long a request waits at most until all have been told. It takes 200 ms where the kernel has to
/// forget what it is told of times, else microseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something to be done once.
pub(crate) struct Once {
    fault: FaultRef,
    fired: u64,
    done: AtomicBool,
    act: Box<dyn Fn() -> Option<Swapped> + Send + Sync>,
}

impl Once {
    /// Does `act` once that fault has fired so often. It changes the table, and tells nobody: that is done
    /// by whoever gets what it returns.
    pub(crate) fn new(
        fault: FaultRef,
        fired: u64,
        act: impl Fn() -> Option<Swapped> + Send + Sync + 'static,
    ) -> Once {
        Once { fault, fired, done: AtomicBool::new(false), act: Box::new(act) }
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.done.load(Ordering::Relaxed)
    }

    /// Whether it is about that fault, and that has fired so often.
    pub(super) fn is_due(&self, live: &Live) -> bool {
        self.is_pending() && self.fault.means(live) && live.tally().fired >= self.fired
    }

    /// Does it. Only under the table's turn.
    pub(super) fn act(&self) -> Option<Swapped> {
        self.done.store(true, Ordering::Relaxed);
        (self.act)()
    }
}

/// That all have been told of what was done at a firing.
pub(crate) struct Said(Receiver<()>);

impl Said {
    /// One that is told when the other is dropped.
    pub(super) fn new() -> (Sender<()>, Said) {
        let (saying, said) = channel();
        (saying, Said(said))
    }

    /// Waits until they have been told, or nobody will be.
    pub(crate) fn wait(self) {
        let _ = self.0.recv_timeout(PATIENCE);
    }
}
