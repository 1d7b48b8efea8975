//! Whose operations are held: an index of the queue by process and thread.
//!
//! Invariant: it counts what is in the queue, each operation under the caller it was held for.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::fault::firing::Hit;
use crate::sys::process::Process;

/// How long an endless hang of a caller that leaves by itself lasts. As long as a killed one waits:
/// a SIGKILL to it does not show.
const HANG_OF_LEAVING: Duration = Duration::from_millis(200);

/// How much of a delay it gets at most.
const DELAY_OF_LEAVING: Duration = Duration::from_secs(5);

/// For how long a thread is remembered to be leaving when nothing of its process is held.
const MEMORY: Duration = Duration::from_secs(10);

/// A thread of a process.
pub(super) type Caller = (Process, u32);

/// The threads of a process, ascending, and what is held for each.
pub(super) type Threads = BTreeMap<u32, Waits>;

/// How many operations are held for a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    all: usize,
    /// Those from which SIGKILL may not wake it.
    unwakable: usize,
}

impl Waits {
    /// Whether SIGKILL wakes it, whichever of them it waits for.
    pub(super) fn are_wakable(self) -> bool {
        self.unwakable == 0
    }
}

/// Who waits for what is held.
#[derive(Default)]
pub(super) struct Callers {
    threads: HashMap<Process, Threads>,
    /// Since when a thread has been seen to leave.
    leaving: HashMap<Caller, Instant>,
    /// How many reads and writes wait whose caller is unknown.
    nobodys: usize,
    /// Whether a process cannot end that may wait for those.
    stuck: Option<Stuck>,
}

/// Processes that cannot end, and have files of the filesystem open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stuck {
    pub(super) since: Instant,
    /// Whether one of them was killed; else they leave by themselves.
    pub(super) killed: bool,
}

impl Callers {
    pub(super) fn add(&mut self, hit: &Hit) {
        self.nobodys += usize::from(hit.is_nobodys());
        if let Some((process, tid)) = hit.known_caller() {
            let waits = self.threads.entry(process).or_default().entry(tid).or_default();
            waits.all += 1;
            waits.unwakable += usize::from(hit.is_unwakable());
        }
    }

    pub(super) fn remove(&mut self, hit: &Hit) {
        self.nobodys = self.nobodys.saturating_sub(usize::from(hit.is_nobodys()));
        let Some((process, tid)) = hit.known_caller() else { return };
        let Some(threads) = self.threads.get_mut(&process) else { return };
        if let Some(waits) = threads.get_mut(&tid) {
            waits.all -= 1;
            waits.unwakable -= usize::from(hit.is_unwakable());
            if waits.all == 0 {
                threads.remove(&tid);
            }
        }
        if threads.is_empty() {
            self.threads.remove(&process);
        }
    }

    /// Whether nothing is held that anybody is known to wait for, or may.
    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty() && self.nobodys == 0
    }

    /// Whether reads or writes wait whose caller is unknown.
    pub(super) fn has_nobodys(&self) -> bool {
        self.nobodys > 0
    }

    /// Some processes cannot end, or all can; whether that is news of some.
    pub(super) fn stick(&mut self, killed: Option<bool>) -> bool {
        let before = self.stuck;
        self.stuck = killed.map(|killed| {
            let since = before.map_or_else(Instant::now, |stuck| stuck.since);
            Stuck { since, killed }
        });
        self.stuck.is_some() && self.stuck != before
    }

    /// The threads of this process.
    pub(super) fn threads(&self, process: Process) -> Option<&Threads> {
        self.threads.get(&process)
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = (Process, &Threads)> {
        self.threads.iter().map(|(process, threads)| (*process, threads))
    }

    /// The thread is leaving.
    pub(super) fn leaves(&mut self, caller: Caller) {
        let threads = &self.threads;
        self.leaving.retain(|(process, _), since| {
            threads.contains_key(process) || since.elapsed() < MEMORY
        });
        self.leaving.entry(caller).or_insert_with(Instant::now);
    }

    /// Whether the operation may have to end before its time.
    pub(super) fn is_limited(&self, hit: &Hit) -> bool {
        match hit.known_caller() {
            Some(caller) => self.leaving.contains_key(&caller),
            None => self.stuck.is_some() && hit.is_nobodys(),
        }
    }

    /// When an operation of a thread that leaves ends at the latest: what is held for it beyond
    /// that is let go. A hang ends 200 ms after the first of its operations came; a delay runs its
    /// length, up to 5 s, for each of them. Of nobody's, when a process is stuck: likewise, or at once
    /// if it was killed. Those run all the same, since the data may be others' too.
    pub(super) fn limit(&self, hit: &Hit, arrived: Instant, hangs: bool) -> Option<Instant> {
        let since = match hit.known_caller() {
            Some(caller) => *self.leaving.get(&caller)?,
            None if !hit.is_nobodys() => return None,
            None => match self.stuck? {
                Stuck { since, killed: true } => return Some(since.max(arrived)),
                Stuck { since, killed: false } => since,
            },
        };
        let limit =
            if hangs { arrived.min(since) + HANG_OF_LEAVING } else { arrived + DELAY_OF_LEAVING };
        Some(limit.max(since))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fault::live::Live;
    use crate::fault::{FaultId, testing};
    use crate::ops::Call;
    use crate::sys::process::arrival;

    fn hit(caller: u32) -> Hit {
        let live = Live::new(FaultId(1), Arc::new(testing::fault("hang -m all")), 0);
        let mut hit = testing::strike(&Arc::new(live), Call::Write, caller).unwrap();
        if let Some(arrival) = arrival(caller) {
            hit.know_caller(arrival.process);
        }
        hit
    }

    #[test]
    fn what_is_added_and_removed_leaves_nothing() {
        let mut callers = Callers::default();
        let (own, nobodys) = (hit(std::process::id()), hit(0));
        assert!(nobodys.is_nobodys() && !own.is_nobodys());
        [&own, &own, &nobodys].into_iter().for_each(|hit| callers.add(hit));
        assert_eq!(callers.processes().count(), 1);
        callers.remove(&own);
        assert!(callers.threads(own.process().unwrap()).is_some());
        callers.remove(&own);
        assert!(callers.threads(own.process().unwrap()).is_none());
        assert!(callers.has_nobodys() && !callers.is_empty());
        callers.remove(&nobodys);
        assert!(callers.is_empty());
    }

    #[test]
    fn a_thread_is_wakable_while_sigkill_wakes_it_from_all_that_is_held_for_it() {
        let live = Arc::new(Live::new(FaultId(1), Arc::new(testing::fault("hang -m all")), 0));
        let own = std::process::id();
        let hit = |is_unwakable| {
            let mut op = testing::request(Call::Write, own);
            op.is_unwakable = is_unwakable;
            let mut hit = testing::strike_on(&[&live], &op).unwrap();
            hit.know_caller(arrival(own).unwrap().process);
            hit
        };
        let (wakable, unwakable) = (hit(false), hit(true));
        let mut callers = Callers::default();
        let are_wakable = |callers: &Callers| {
            callers.threads(wakable.process().unwrap()).unwrap()[&own].are_wakable()
        };
        callers.add(&wakable);
        assert!(are_wakable(&callers));
        callers.add(&unwakable);
        assert!(!are_wakable(&callers));
        callers.remove(&unwakable);
        assert!(are_wakable(&callers));
    }

    #[test]
    fn those_that_leave_are_held_for_a_bounded_time() {
        let mut callers = Callers::default();
        let hit = hit(std::process::id());
        let before = Instant::now();
        assert_eq!(callers.limit(&hit, before, true), None);
        callers.leaves(hit.known_caller().unwrap());
        let since = callers.leaving[&hit.known_caller().unwrap()];
        let limit = |arrived, hangs| callers.limit(&hit, arrived, hangs).unwrap();
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        // The last close, seen to be one a little later.
        assert_eq!(limit(before, true), since.max(before + ms(200)));
        // The closes after it: all together.
        assert_eq!(limit(since + ms(150), true), since + ms(200));
        // A delay: each for itself.
        assert_eq!(limit(before, false), before + s(5));
        assert_eq!(limit(since + s(4), false), since + s(9));
        // An asynchronous one that came long ago ends now, and none before now.
        let long_ago = since.checked_sub(s(60)).unwrap_or(since);
        assert_eq!(limit(long_ago, true), since.max(long_ago + ms(200)));
    }

    #[test]
    fn nobodys_operations_end_when_a_killed_process_is_stuck() {
        let mut callers = Callers::default();
        let hit = hit(0);
        let arrived = Instant::now();
        assert!(!callers.stick(None) && !callers.is_limited(&hit));
        assert!(callers.stick(Some(false)) && callers.is_limited(&hit));
        assert!(!callers.stick(Some(false)), "no news");
        let since = callers.stuck.unwrap().since;
        assert_eq!(callers.limit(&hit, arrived, false), Some(arrived + Duration::from_secs(5)));
        assert!(callers.stick(Some(true)));
        assert_eq!(callers.limit(&hit, arrived, false), Some(since), "at once");
        let later = since + Duration::from_secs(1);
        assert_eq!(callers.limit(&hit, later, true), Some(later));
        assert!(!callers.stick(None));
        assert_eq!(callers.limit(&hit, arrived, true), None);
    }
}
