//! Looking at processes that wait, again and again: cheaply as long as nothing happens to them.

use std::fs::{self, File};
use std::io::{self, Read};

use super::proc::Status;
use super::{Process, birth};

/// What became of a caller while its operation was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plight {
    /// Nothing; or it may not be looked at.
    None,
    /// It has a SIGKILL pending.
    Killed,
    /// It is on its way out by itself (exit, a signal's default action, a core dump), where the
    /// kernel drops a further SIGKILL; or its process is gone.
    Leaving,
}

/// One thread of a process, to be looked at again and again. A SIGKILL to a process shows in each of
/// its threads that waits for an answer, so that one is enough.
pub(crate) struct Lookout {
    process: Process,
    tid: u32,
    /// Its status, kept open: a look then costs 4 us, not 10, and cannot meet a later thread of that
    /// number.
    kept: Option<File>,
    /// What it showed when it was in no trouble. Of one that waits that hardly ever changes.
    calm: Vec<u8>,
}

impl Lookout {
    /// A look at this thread, or at the first of the process; with a descriptor of its own if so
    /// asked and there is one.
    #[must_use]
    pub(crate) fn new(process: Process, tid: Option<u32>, keep: bool) -> Lookout {
        let tid = tid.unwrap_or(process.pid);
        let open = || File::open(Status::path(process.pid, tid)).ok();
        Lookout { process, tid, kept: keep.then(open).flatten(), calm: Vec::new() }
    }

    /// The thread.
    #[must_use]
    pub(crate) fn tid(&self) -> u32 {
        self.tid
    }

    /// Whether it keeps a descriptor.
    #[must_use]
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether something may have happened to the thread or to its process, so that each of its
    /// threads must be looked at closely.
    #[must_use]
    pub(crate) fn is_troubled(&mut self) -> bool {
        // Who has more groups than fit is looked at closely each time.
        let mut text = [0; 8192];
        let text = match self.look(&mut text) {
            Ok(len) => text.get(..len).unwrap_or_default(),
            // Else it is hidden, or there is no descriptor to be had just now.
            Err(error) => return is_gone(&error),
        };
        if text == self.calm {
            return false;
        }
        let now = Status::parse(text);
        let troubled = now.killed() || now.exiting() || now.dumping() || now.ended();
        if !troubled {
            self.calm.clear();
            self.calm.extend_from_slice(text);
        }
        troubled
    }

    fn look(&self, text: &mut [u8]) -> io::Result<usize> {
        if let Some(kept) = &self.kept {
            return Ok(rustix::io::pread(kept, text, 0)?);
        }
        File::open(Status::path(self.process.pid, self.tid))?.read(text)
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

impl Process {
    /// What became of the process as a whole. A close look.
    #[must_use]
    pub fn plight(self) -> Plight {
        let killed = Status::of(self.pid, self.pid).map(|status| status.process_killed());
        // Looked at afterwards: if it is the same process now, it was so before.
        match birth::of(self.pid) {
            Err(error) if is_gone(&error) => Plight::Leaving,
            Ok(birth) if birth != self.birth => Plight::Leaving,
            Ok(_) if killed.unwrap_or(false) => Plight::Killed,
            _ => Plight::None,
        }
    }

    /// What became of a thread of a process that is there. One that has ended shares the fate of its
    /// process: as long as another lives, nothing.
    #[must_use]
    pub fn plight_of(self, tid: u32) -> Plight {
        match Status::of(self.pid, tid) {
            Ok(now) if now.killed() => Plight::Killed,
            Ok(now) if now.ended() => self.plight_of_the_ended(),
            // It waits, so that it does not only pass through its end.
            Ok(now) if (now.exiting() || now.dumping()) && !now.runs() => Plight::Leaving,
            Ok(_) => Plight::None,
            Err(error) if is_gone(&error) => self.plight_of_the_ended(),
            Err(_) => Plight::None,
        }
    }

    fn plight_of_the_ended(self) -> Plight {
        if self.has_living_thread().unwrap_or(true) { Plight::None } else { Plight::Leaving }
    }

    fn has_living_thread(self) -> io::Result<bool> {
        let threads = match fs::read_dir(format!("/proc/{}/task", self.pid)) {
            Err(error) if is_gone(&error) => return Ok(false),
            threads => threads?,
        };
        for thread in threads {
            let thread = thread?.file_name();
            let Some(tid) = thread.to_str().and_then(|tid| tid.parse().ok()) else { continue };
            match Status::of(self.pid, tid) {
                Ok(now) if !now.ended() && !now.exiting() => return Ok(true),
                Err(error) if !is_gone(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(false)
    }
}
