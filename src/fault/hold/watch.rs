//! Whose callers are gone: frees held operations of callers that were killed, and lets those go
//! whose callers leave by themselves.
//!
//! Each round looks at one thread of each process: after a SIGKILL to a process each of its threads
//! shows it. Only where that one is in trouble are all looked at.
//! Lock rule: the queue's lock is not held while a caller is looked at.

use std::collections::{HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::Line;
use super::callers::{Caller, Threads};
use super::queue::{Outcome, Queue, Serial};
use crate::sys::descriptors::Shares;
use crate::sys::process::{Lookout, Plight, Process, Search};

/// How often the callers of few processes are looked at.
const OFTEN: Duration = Duration::from_millis(40);

/// How much more seldom with each process: a look through a descriptor kept open costs 2 us, or 9 at a
/// thread that sleeps where SIGKILL may not wake it.
const LATER_EACH: Duration = Duration::from_micros(200);

/// With many processes: with the looks themselves and what then is to do, within the 200 ms in which a
/// killed caller is promised to be free.
const SELDOM: Duration = Duration::from_millis(110);

/// So many processes are looked at before those of them that were killed are freed.
const AT_A_TIME: usize = 64;

/// A thread that leaves is looked at twice, this far apart: one that only passes through its end,
/// in a process that lives on, is gone by then.
const TWICE: Duration = Duration::from_millis(10);

/// Rounds after which another thread of the process is looked at: execve(2) kills the other threads,
/// which the one that called it does not show.
const SAME_FOR: u32 = 8;

/// The same where all threads that waited had ended when they were looked at.
const FIRST_FOR: u32 = 64;

/// A process that cannot end is looked at this often, so that what comes after its end is held again; and
/// so is a search for others.
const STUCK_EVERY: Duration = Duration::from_millis(20);

/// For how long a process must have been seen to sleep in its end: others pass through it.
const LASTING: Duration = Duration::from_millis(100);

/// The part of a core that the search for stuck processes may take, one in so many.
const SEARCH_SHARE: u32 = 50;

/// Where a process is looked at.
struct Watched {
    lookout: Lookout,
    /// SIGKILL wakes the thread from what is held for it.
    wakable: bool,
    /// Its first thread in place of one that waits, since those have ended.
    substitute: bool,
    rounds: u32,
}

/// What the watcher remembers from round to round.
#[derive(Default)]
pub(super) struct Watch {
    watched: HashMap<Process, Watched>,
    kept: usize,
    /// Processes that cannot end, and since when they were seen so.
    stuck: HashMap<Process, Instant>,
    /// When the next round is due.
    round: Option<Instant>,
    search: Search,
    /// When to search for stuck ones again.
    next_search: Option<Instant>,
}

/// What a close look has found.
#[derive(Default)]
struct Found {
    killed: HashSet<Process>,
    killed_threads: HashSet<Caller>,
    leaving: HashSet<Caller>,
}

impl Line {
    /// The watcher's life.
    pub(super) fn watch(self: Arc<Self>) {
        let mut watch = Watch::default();
        let mut queue = self.queue.lock();
        while !queue.closed {
            if !queue.watching {
                let search = std::mem::take(&mut watch.search);
                watch = Watch { search, ..Watch::default() };
                self.watch.wait(&mut queue);
                continue;
            }
            let calm = watch.stuck.is_empty() && !watch.search.goes_on();
            let pause = if calm { pace(watch.watched.len()) } else { STUCK_EVERY };
            self.watch.wait_for(&mut queue, pause);
            self.look_for_stuck(&mut watch, &mut queue);
            if !watch.is_due(Instant::now(), pace(watch.watched.len())) {
                continue;
            }
            self.look_at_all(&mut watch, &mut queue);
            queue.watching = !queue.callers.is_empty() || !watch.stuck.is_empty();
        }
    }

    /// A round. Those killed are freed while it goes on: to look at a thousand closely takes long.
    fn look_at_all(self: &Arc<Self>, watch: &mut Watch, queue: &mut MutexGuard<'_, Queue>) {
        // A later arrival may be of a new process with an old number.
        let latest = queue.latest();
        let processes = watch.follow(queue);
        let mut leaving = HashSet::new();
        for some in processes.chunks(AT_A_TIME) {
            let troubled = MutexGuard::unlocked(queue, || watch.troubled(some));
            if troubled.is_empty() {
                continue;
            }
            let threads = |process| Some((process, queue.callers.threads(process)?.clone()));
            let troubled: Vec<_> = troubled.into_iter().filter_map(threads).collect();
            let found = MutexGuard::unlocked(queue, || watch.judge(&troubled));
            self.free_killed(queue, &found, latest);
            leaving.extend(found.leaving);
        }
        if !leaving.is_empty() {
            MutexGuard::unlocked(queue, || retain_lasting(&mut leaving));
            leaving.into_iter().for_each(|caller| queue.callers.leaves(caller));
            queue.cut_short();
            self.lead.notify_one();
        }
    }

    /// Lets what is held for nobody known go, where a process may wait for it that cannot end.
    fn look_for_stuck(&self, watch: &mut Watch, queue: &mut MutexGuard<'_, Queue>) {
        let Some(device) = self.device.get().copied() else { return };
        let search = queue.callers.has_nobodys();
        let killed = match search || watch.search.goes_on() || !watch.stuck.is_empty() {
            true => MutexGuard::unlocked(queue, || watch.stuck_on(device, search)),
            false => None,
        };
        if queue.callers.stick(killed) {
            queue.cut_short();
            self.lead.notify_one();
        }
    }

    /// Ends what is held for those found, up to the latest of what was there when they were looked
    /// at.
    fn free_killed(
        self: &Arc<Self>,
        queue: &mut MutexGuard<'_, Queue>,
        found: &Found,
        latest: Serial,
    ) {
        if found.killed.is_empty() && found.killed_threads.is_empty() {
            return;
        }
        let is_killed = |(process, tid): Caller| {
            found.killed.contains(&process) || found.killed_threads.contains(&(process, tid))
        };
        let killed = queue
            .take(|serial, waiting| serial <= latest && waiting.caller().is_some_and(is_killed));
        self.free(queue, killed, Outcome::CallerKilled);
    }
}

impl Watch {
    /// Whether it is time for the next round, at that pace.
    fn is_due(&mut self, now: Instant, pace: Duration) -> bool {
        let due = self.round.is_none_or(|round| round <= now);
        if due {
            self.round = now.checked_add(pace - STUCK_EVERY / 2);
        }
        due
    }

    /// Chooses a thread of each process for which something is held; those processes.
    fn follow(&mut self, queue: &Queue) -> Vec<Process> {
        self.watched.retain(|process, _| queue.callers.threads(*process).is_some());
        self.kept = self.watched.values().filter(|watched| watched.lookout.is_kept()).count();
        for (process, threads) in queue.callers.processes() {
            match self.watched.get_mut(&process) {
                None => drop(self.watched.insert(process, Watched::new(process, threads, None))),
                Some(watched) => watched.go_on(process, threads),
            }
        }
        self.watched.keys().copied().collect()
    }

    /// Looks at each of these once; those whose threads must all be looked at closely.
    fn troubled(&mut self, processes: &[Process]) -> Vec<Process> {
        let most = usize::try_from(Shares::now().lookouts).unwrap_or(0);
        let mut troubled = Vec::new();
        for process in processes {
            let Some(watched) = self.watched.get_mut(process) else { continue };
            if !watched.lookout.is_kept() && self.kept < most {
                watched.lookout.keep();
                self.kept += usize::from(watched.lookout.is_kept());
            }
            if watched.lookout.is_troubled(watched.wakable) {
                troubled.push(*process);
            }
        }
        troubled
    }

    /// Whether there are processes that cannot end for a while now, and one of them was killed. Looks
    /// at those that are known, and where it is time and so asked has others searched for.
    fn stuck_on(&mut self, device: (u32, u32), search: bool) -> Option<bool> {
        let now = Instant::now();
        if let Some(found) = self.search.found() {
            self.stuck.retain(|process, _| found.stuck.contains(process));
            for process in found.stuck {
                self.stuck.entry(process).or_insert(now);
            }
            let rest = now.checked_add(found.took * SEARCH_SHARE);
            self.next_search = self.next_search.max(rest);
        }
        self.stuck.retain(|process, _| process.is_dying());
        if search && self.next_search.is_none_or(|next| next <= now) {
            self.search.begin(device);
            self.next_search = now.checked_add(SELDOM);
        }
        let lasting = self.stuck.iter().filter(|(_, since)| now.duration_since(**since) >= LASTING);
        let mut plights = lasting.map(|(process, _)| process.plight()).peekable();
        plights.peek()?;
        Some(plights.any(|plight| plight == Plight::Killed))
    }

    /// Looks closely at these processes and at each of their threads that waits.
    fn judge(&mut self, troubled: &[(Process, Threads)]) -> Found {
        let mut found = Found::default();
        for (process, threads) in troubled {
            match process.plight() {
                Plight::Killed => drop(found.killed.insert(*process)),
                Plight::Leaving => found.leaving.extend(threads.keys().map(|tid| (*process, *tid))),
                Plight::None => {
                    for tid in threads.keys() {
                        match process.plight_of(*tid) {
                            Plight::Killed => drop(found.killed_threads.insert((*process, *tid))),
                            Plight::Leaving => drop(found.leaving.insert((*process, *tid))),
                            Plight::None => {}
                        }
                    }
                    self.look_elsewhere(*process, threads);
                }
            }
        }
        found
    }

    /// A thread that has ended tells nothing of its process: another does, or its first.
    fn look_elsewhere(&mut self, process: Process, threads: &Threads) {
        let Some(watched) = self.watched.get_mut(&process) else { return };
        let others = threads.keys().map(|tid| Lookout::new(process, Some(*tid)));
        let untroubled = others
            .into_iter()
            .find_map(|mut lookout| (!lookout.is_troubled(false)).then_some(lookout));
        watched.substitute = untroubled.is_none();
        watched.lookout = untroubled.unwrap_or_else(|| Lookout::new(process, None));
        watched.rounds = 0;
    }
}

impl Watched {
    /// A look at the next thread after this one.
    fn new(process: Process, threads: &Threads, after: Option<u32>) -> Watched {
        let next = after.and_then(|after| threads.range((Excluded(after), Unbounded)).next());
        let tid = next.or_else(|| threads.first_key_value()).map(|(tid, _)| *tid);
        let lookout = Lookout::new(process, tid);
        let wakable = are_wakable(threads, lookout.tid());
        Watched { lookout, wakable, substitute: false, rounds: 0 }
    }

    fn go_on(&mut self, process: Process, threads: &Threads) {
        self.rounds += 1;
        let tid = self.lookout.tid();
        self.wakable = are_wakable(threads, tid);
        let (term, waits) = match self.substitute {
            true => (FIRST_FOR, true),
            false => (SAME_FOR, threads.contains_key(&tid)),
        };
        if !waits || self.rounds >= term && threads.len() > 1 {
            *self = Watched::new(process, threads, Some(tid));
        }
    }
}

/// The time from round to round, with so many processes.
fn pace(processes: usize) -> Duration {
    let processes = u32::try_from(processes).unwrap_or(u32::MAX);
    OFTEN.saturating_add(LATER_EACH.saturating_mul(processes)).min(SELDOM)
}

/// Of a thread for which nothing is held, nobody knows what it waits for.
fn are_wakable(threads: &Threads, tid: u32) -> bool {
    threads.get(&tid).is_some_and(|waits| waits.are_wakable())
}

/// Of those found to leave, those that still do a little later.
fn retain_lasting(leaving: &mut HashSet<Caller>) {
    thread::sleep(TWICE);
    leaving.retain(|(process, tid)| {
        process.plight() == Plight::Leaving || process.plight_of(*tid) == Plight::Leaving
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after a look at a process the next one comes at the latest, of so many.
    fn from_look_to_look(processes: usize, calm: bool) -> Duration {
        let dearest = Duration::from_micros(9);
        let pace = pace(processes);
        let (mut watch, begun) = (Watch::default(), Instant::now());
        assert!(watch.is_due(begun, pace));
        let mut now = begun + dearest * u32::try_from(processes).unwrap();
        loop {
            now += if calm { pace } else { STUCK_EVERY };
            if watch.is_due(now, pace) {
                return now - begun;
            }
        }
    }

    #[test]
    fn each_process_is_looked_at_often_enough_however_many_there_are() {
        let promised = Duration::from_millis(200);
        for processes in (0..=5_000).chain([u32::MAX as usize, usize::MAX]) {
            assert!(pace(processes) >= OFTEN && pace(processes) < promised * 3 / 5, "{processes}");
        }
        for calm in [true, false] {
            for processes in [0, 1, 10, 100, 350, 1_000, 5_000] {
                let latest = from_look_to_look(processes, calm);
                assert!(latest < promised * 9 / 10, "{processes}: {latest:?}");
            }
        }
    }
}
