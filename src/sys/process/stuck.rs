//! Processes that cannot end: on their way out, they wait for operations of no known caller.
//!
//! The kernel writes mapped pages back in nobody's name, and a process that dies waits for that, as
//! it does for the asynchronous operations of threads that have ended. All that shows is that it
//! still is there, sleeps, and has files of the filesystem open.
//!
//! On which mount a file is open is told by fdinfo; of a mount in another namespace only the link of the
//! descriptor tells more, and that waits (Linux 6.18.44) for a process that was killed while it executed a
//! program and is held by whatever filesystem. So the search has a thread of its own, which is given up where it
//! waits.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::time::{ClockId, clock_gettime};

use super::Process;
use super::each::numbers;
use super::proc::Status;

/// How long a look at one process may take.
const PATIENCE: Duration = Duration::from_millis(100);

/// Threads that may wait at the same time, each for a process.
const MOST_WAITING: usize = 64;

/// A filesystem: major and minor number.
type Device = (u32, u32);

/// What a search has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Processes that are killed or leave, sleep, and have a file open on the filesystem.
    pub stuck: Vec<Process>,
    /// What it used of a processor.
    pub took: Duration,
}

/// Searches for processes that cannot end; nobody waits for it.
#[derive(Debug, Default)]
pub(crate) struct Search {
    going_on: Option<(Receiver<Found>, Arc<Mutex<Look>>)>,
    /// Those that a thread waits for that was given up.
    blind: Arc<Mutex<HashSet<u32>>>,
}

/// The process that is being looked at, and since when.
type Look = Option<(u32, Instant)>;

impl Search {
    /// Begins to search, unless a search is going on.
    pub(crate) fn begin(&mut self, device: Device) {
        if self.going_on.is_some() || self.blind.lock().len() >= MOST_WAITING {
            return;
        }
        let (tell, told) = channel();
        let look = Arc::new(Mutex::new(None));
        let (looking, blind) = (Arc::clone(&look), Arc::clone(&self.blind));
        let searching = move || {
            if let Some(stuck) = search(device, &looking, &blind) {
                // An error means that it was given up.
                let _ = tell.send(Found { stuck, took: processor_time() });
            }
        };
        // Without a thread the next one is tried when it is due.
        if thread::Builder::new().name("search".to_owned()).spawn(searching).is_ok() {
            self.going_on = Some((told, look));
        }
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.going_on.is_some()
    }

    /// What was found, once the search is over. One that waits for a process is given up, and passes over
    /// it from then on.
    pub(crate) fn found(&mut self) -> Option<Found> {
        let (told, look) = self.going_on.as_ref()?;
        match told.try_recv() {
            Err(TryRecvError::Empty) => {
                let mut look = look.lock();
                let (pid, _) = look.take_if(|(_, since)| since.elapsed() >= PATIENCE)?;
                self.blind.lock().insert(pid);
                drop(look);
                self.going_on = None;
                None
            }
            found => {
                self.going_on = None;
                found.ok()
            }
        }
    }
}

/// None if it was given up meanwhile.
fn search(
    device: Device,
    looking: &Mutex<Look>,
    blind: &Mutex<HashSet<u32>>,
) -> Option<Vec<Process>> {
    let mounts = Mounts::seen(device);
    let mut stuck = Vec::new();
    for pid in numbers("/proc".as_ref()) {
        // A look at one that lives is done at once.
        if blind.lock().contains(&pid) || !Status::of(pid, pid).is_ok_and(|it| is_dying(&it)) {
            continue;
        }
        *looking.lock() = Some((pid, Instant::now()));
        stuck.extend(Process::numbered(pid).filter(|_| holds(pid, &mounts)));
        if looking.lock().take().is_none() {
            blind.lock().remove(&pid);
            return None;
        }
    }
    Some(stuck)
}

impl Process {
    /// Whether it is on its way out still, and sleeps.
    #[must_use]
    pub(crate) fn is_dying(self) -> bool {
        let sleeps = numbers(format!("/proc/{}/task", self.pid).as_ref())
            .any(|tid| sleeps_in_its_end(self.pid, tid));
        sleeps && Process::numbered(self.pid) == Some(self)
    }
}

fn holds(pid: u32, mounts: &Mounts) -> bool {
    numbers(format!("/proc/{pid}/task").as_ref())
        .any(|tid| sleeps_in_its_end(pid, tid) && mounts.has_open(pid, tid))
}

fn sleeps_in_its_end(pid: u32, tid: u32) -> bool {
    Status::of(pid, tid).is_ok_and(|it| is_dying(&it) && !it.ended() && !it.runs())
}

fn is_dying(status: &Status) -> bool {
    status.killed() || status.exiting()
}

/// The mounts that this process sees, by their numbers, and whether each is of the filesystem.
struct Mounts {
    device: Device,
    seen: HashMap<u32, bool>,
}

impl Mounts {
    fn seen(device: Device) -> Mounts {
        let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let device_text = format!("{}:{}", device.0, device.1);
        let line = |line: &[u8]| {
            let mut fields = line.split(|byte| *byte == b' ');
            let number = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            Some((number, fields.nth(1)? == device_text.as_bytes()))
        };
        Mounts { device, seen: table.split(|byte| *byte == b'\n').filter_map(line).collect() }
    }

    fn has_open(&self, pid: u32, tid: u32) -> bool {
        let thread = format!("/proc/{pid}/task/{tid}");
        // Besides mounts of other namespaces also those of pipes and the like.
        let mut unseen = Vec::new();
        for fd in numbers(format!("{thread}/fd").as_ref()) {
            let mount = mount_of(&format!("{thread}/fdinfo/{fd}"));
            match mount.and_then(|mount| self.seen.get(&mount)) {
                Some(true) => return true,
                Some(false) => {}
                None => unseen.push(fd),
            }
        }
        unseen.into_iter().any(|fd| is_on(&format!("{thread}/fd/{fd}"), self.device))
    }
}

/// The number of the mount that a file was opened on, by its file in /proc. Asks no filesystem.
pub(crate) fn mount_of(fdinfo: &str) -> Option<u32> {
    let text = fs::read_to_string(fdinfo).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// Without asking the filesystem, which may hold the answer back.
fn is_on(link: &str, device: Device) -> bool {
    let quiet = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    statx(CWD, link, quiet, StatxFlags::empty())
        .is_ok_and(|stat| (stat.stx_dev_major, stat.stx_dev_minor) == device)
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}
