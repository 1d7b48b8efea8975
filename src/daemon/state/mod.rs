//! The faults of a mount in a file, from one run to the next (`--state`).
//!
//! Invariants: the file is whole at any moment, whoever is killed when. It has what was in force at some moment since
//! the last change but the ones that are being written; nobody waits for that but the end of the run. If it is gone, or
//! cannot be written, that is told once, and tried again. A thread of its own writes, never through the mount. Lock
//! rule: the lock covers memory work only.

mod file;
mod place;
mod text;

use std::io;
use std::path::Path;
use std::sync::{Arc, Weak, mpsc};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing::{info, warn};

use self::file::{StateFile, Unwritten};
pub(super) use self::text::Lost;
use super::error::{StartError, strip};
use super::mountinfo::Device;
use crate::fault::{Fault, FaultTable, Listed};
use crate::fs::Spared;

/// How often it is looked whether the file is there, and what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// How long the end of a run waits for the last of it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a run before has left.
pub(super) struct Left {
    file: StateFile,
    /// What is to be in force again.
    pub(super) faults: Vec<Fault>,
    /// What cannot be.
    pub(super) lost: Vec<Lost>,
}

impl Left {
    /// Takes the file, before the mount, and reads it.
    ///
    /// # Errors
    /// It cannot be written or read, is another daemon's, lies below the mountpoint, or is no such file.
    pub(super) fn take(path: &Path, mountpoint: &Path) -> Result<Left, StartError> {
        let (file, text) = StateFile::take(path, mountpoint)?;
        let read = text::read(&text).map_err(|why| StartError::State(path.to_owned(), why));
        let (faults, lost) = read?;
        Ok(Left { file, faults, lost })
    }

    /// From now on the file follows the table, and never lies on the mount whose table it is. Should its path lead
    /// through that mount where it cannot be seen, as by an overlay on it, no fault meets the thread that writes.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn keep(
        mut self,
        table: &Arc<FaultTable>,
        (own, spared): (Device, Spared),
    ) -> io::Result<Keeper> {
        self.file.keep_off(own);
        let shared = Arc::new(Shared::default());
        shared.asked.lock().write = true;
        let of_table = Arc::clone(&shared);
        table.subscribe(Box::new(move |_| of_table.ask(|asked| asked.write = true)));
        let (ending, ended) = mpsc::channel();
        let (own, kept, table) = (Arc::clone(&shared), Arc::clone(table), Arc::downgrade(table));
        let writer = Writer { left: self, table, written: None, fails: false };
        thread::Builder::new().name("slowfs-state".to_owned()).spawn(move || {
            let _ending = ending;
            let _spared = spared.me();
            writer.run(&own);
        })?;
        Ok(Keeper { shared, table: kept, ended })
    }
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Asked>,
    changed: Condvar,
}

/// What the thread is to do.
#[derive(Default)]
struct Asked {
    write: bool,
    /// To end, with what is in force then: when it comes to write that, it may be cleared.
    last: Option<Vec<Listed>>,
}

impl Shared {
    fn ask(&self, for_it: impl FnOnce(&mut Asked)) {
        for_it(&mut self.asked.lock());
        self.changed.notify_one();
    }

    /// Waits until there is something to do, that long at most.
    fn next(&self, within: Duration) -> Next {
        let mut asked = self.asked.lock();
        while !asked.write && asked.last.is_none() {
            if self.changed.wait_for(&mut asked, within).timed_out() {
                break;
            }
        }
        match (asked.last.take(), std::mem::take(&mut asked.write)) {
            (Some(last), _) => Next::Last(last),
            (None, true) => Next::Write,
            (None, false) => Next::Look,
        }
    }
}

/// What is to be done next.
enum Next {
    /// Something has changed.
    Write,
    /// Nothing has, for a while.
    Look,
    /// It ends with that.
    Last(Vec<Listed>),
}

/// Has the file follow the table until it is dropped: then what is in force is written for the last time.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    table: Arc<FaultTable>,
    ended: mpsc::Receiver<()>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let last = self.table.list();
        self.shared.ask(|asked| asked.last = Some(last));
        if self.ended.recv_timeout(LAST_WORDS) == Err(mpsc::RecvTimeoutError::Timeout) {
            warn!("the last of the state is not written: its disk does not answer");
        }
    }
}

struct Writer {
    left: Left,
    table: Weak<FaultTable>,
    written: Option<String>,
    /// The last try has failed, and that was told.
    fails: bool,
}

impl Writer {
    fn run(mut self, shared: &Shared) {
        loop {
            match shared.next(AGAIN) {
                Next::Last(last) => return self.write(text::written(&last, &self.left.lost)),
                Next::Look if !self.fails && self.left.file.is_there() => continue,
                Next::Look | Next::Write => {}
            }
            let Some(table) = self.table.upgrade() else { return };
            self.write(text::written(&table.list(), &self.left.lost));
        }
    }

    fn write(&mut self, text: String) {
        let file = &mut self.left.file;
        let stands = self.written.as_ref() == Some(&text) && file.is_there();
        let error = match if stands { Ok(()) } else { file.replace(&text) } {
            Ok(()) => {
                if self.fails {
                    info!("the state {} is written again", file.path().display());
                }
                self.written = Some(text);
                self.fails = false;
                return;
            }
            Err(error) => error,
        };
        let is_there = file.is_there();
        let (what, error, is) = match &error {
            Unwritten::Whole(error) if is_there => ("write", error, "it stays as it was"),
            Unwritten::Whole(error) => ("write", error, "it is not there"),
            Unwritten::Name(error) => {
                // So that it is tried again whole.
                self.written = None;
                ("sync the directory of", error, "a crash may bring back what it was before")
            }
        };
        if !self.fails {
            let (path, error, again) = (file.path().display(), strip(error), AGAIN.as_secs());
            warn!(
                "cannot {what} the state {path}: {error}; {is}, and it is tried again every {again} s"
            );
            self.fails = true;
        }
    }
}

#[cfg(test)]
mod tests;
