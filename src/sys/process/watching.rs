//! Looking at processes that wait, again and again: cheaply as long as nothing happens to them.

use std::fs::{self, File};
use std::io;

use super::proc::{self, Status};
use super::{Process, birth};

/// What became of a caller while its operation was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plight {
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
    /// What the looks read, kept open: that costs half as much, and cannot meet a later thread of that
    /// number.
    kept: Option<(Source, File)>,
    /// What its schedstat showed when it was in no trouble.
    calm: Option<Turns>,
    /// It did not sleep so that each signal wakes it. Then what it waits for must tell whether SIGKILL
    /// does: in /proc the two kinds of disk sleep are one.
    deep: bool,
    /// Looks since its status was read.
    unread: u32,
}

/// A file of a thread in /proc.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// It changes when the thread runs. To read it costs 2 us.
    Schedstat,
    /// It tells all, for 9 us.
    Status,
}

/// How long a thread has run, and how many times: unchanged as long as it sleeps. Unlike status this
/// costs the kernel next to nothing, and no look waits for it either.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Turns([u8; 64]);

impl Turns {
    /// None if the thread is gone, or the kernel does not count.
    fn of(schedstat: &File) -> Option<Turns> {
        let mut text = [0; 64];
        rustix::io::pread(schedstat, &mut text, 0).ok()?;
        (!text.starts_with(b"0 0 0\n")).then_some(Turns(text))
    }
}

/// So many times at most a look does without status, whatever else it shows: 5 s with few processes, so
/// that no mistake in what wakes a thread holds it for ever, and none passes the tests.
const MOST_UNREAD: u32 = 127;

impl Lookout {
    /// A look at this thread, or at the first of the process.
    #[must_use]
    pub(crate) fn new(process: Process, tid: Option<u32>) -> Lookout {
        let tid = tid.unwrap_or(process.pid);
        Lookout { process, tid, kept: None, calm: None, deep: false, unread: 0 }
    }

    /// Gives it a descriptor of its own, if there is one.
    pub(crate) fn keep(&mut self) {
        self.keep_open(Source::Schedstat);
    }

    fn keep_open(&mut self, source: Source) {
        self.kept = self.open(source).map(|file| (source, file));
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
    /// threads must be looked at closely. `wakable`: SIGKILL wakes it from what it is held in, if it is.
    ///
    /// All that matters wakes it: SIGKILL, and that is what the end of its process, another program or a core
    /// dump sends to the threads of a process.
    #[must_use]
    pub(crate) fn is_troubled(&mut self, wakable: bool) -> bool {
        let source = self.source(wakable);
        if self.kept.as_ref().is_some_and(|(kept, _)| *kept != source) {
            self.keep_open(source);
        }
        // Read before its status: what happens between the two shows the next time.
        let turns = self.turns(source);
        if self.sleeps_on(turns) {
            self.unread += 1;
            return false;
        }
        self.unread = 0;
        let now = match self.status() {
            Ok(now) => now,
            // Else it is hidden, or there is no descriptor to be had just now.
            Err(error) => return is_gone(&error),
        };
        let troubled = now.killed() || now.exiting() || now.dumping() || now.ended();
        self.calm = turns.filter(|_| !troubled);
        self.deep = !now.sleeps_lightly();
        troubled
    }

    /// What tells of SIGKILL: schedstat, unless that may not wake it.
    fn source(&self, wakable: bool) -> Source {
        if self.deep && !wakable { Source::Status } else { Source::Schedstat }
    }

    /// Whether it sleeps as it did when its status was read.
    fn sleeps_on(&self, turns: Option<Turns>) -> bool {
        self.unread < MOST_UNREAD && turns.is_some() && turns == self.calm
    }

    fn turns(&self, source: Source) -> Option<Turns> {
        match (source, &self.kept) {
            (Source::Status, _) => None,
            (Source::Schedstat, Some((Source::Schedstat, kept))) => Turns::of(kept),
            (Source::Schedstat, _) => Turns::of(&self.open(source)?),
        }
    }

    fn status(&self) -> io::Result<Status> {
        match &self.kept {
            Some((Source::Status, kept)) => Status::again(kept),
            _ => Status::of(self.process.pid, self.tid),
        }
    }

    fn open(&self, source: Source) -> Option<File> {
        let name = match source {
            Source::Schedstat => "schedstat",
            Source::Status => "status",
        };
        File::open(proc::path(self.process.pid, self.tid, name)).ok()
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

impl Process {
    /// What became of the process as a whole. A close look.
    #[must_use]
    pub(crate) fn plight(self) -> Plight {
        let killed = Status::of(self.pid, self.pid).map(|status| status.process_killed());
        // Looked at afterwards: if it is the same process now, it was so before.
        match birth::of(self.pid) {
            Err(error) if is_gone(&error) => Plight::Leaving,
            Ok(birth) if birth != self.birth => Plight::Leaving,
            Ok(_) if killed.unwrap_or(false) => Plight::Killed,
            _ => Plight::None,
        }
    }

    /// Whether it has ended, if perhaps its parent has yet to learn of that.
    #[must_use]
    pub(crate) fn has_ended(self) -> bool {
        !self.has_living_thread().unwrap_or(true) || self.plight() == Plight::Leaving
    }

    /// What became of a thread of a process that is there. One that has ended shares the fate of its
    /// process: as long as another lives, nothing.
    #[must_use]
    pub(crate) fn plight_of(self, tid: u32) -> Plight {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_unless_the_thread_slept_where_sigkill_wakes_it() {
        let (before, after) = (Turns([1; 64]), Turns([2; 64]));
        let seen = |calm, deep, unread| {
            let process = Process { pid: 1, birth: 0 };
            Lookout { process, tid: 1, kept: None, calm, deep, unread }
        };
        let [light, deep] = [false, true].map(|deep| seen(Some(before), deep, 0));
        let by_status = |lookout: &Lookout| {
            [false, true].map(|wakable| lookout.source(wakable) == Source::Status)
        };
        assert_eq!(by_status(&light), [false, false]);
        assert_eq!(by_status(&deep), [true, false]);
        assert!(light.sleeps_on(Some(before)));
        assert!(!light.sleeps_on(Some(after)), "it ran");
        assert!(!light.sleeps_on(None), "it is gone");
        assert!(!seen(Some(before), false, MOST_UNREAD).sleeps_on(Some(before)));
        assert!(!seen(None, false, 0).sleeps_on(None), "nothing is known");
    }
}
