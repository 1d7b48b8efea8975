//! The warden: a thread that frees callers which are killed while their operation is blocked, by taking
//! the claim of what is under way and answering EINTR in its place. It holds no lock while it answers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Core;
use super::notices::Notices;
use super::underway::Claim;
use crate::sys::process::{self, Process};

/// How often what is under way is looked at. What is seen twice is blocked: then its caller is
/// looked at, too, and free within three more looks after a SIGKILL.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// After so many looks that saw nothing, while nothing is held, the warden sleeps.
const QUIET_LOOKS: u32 = 25;

/// For so many looks after the last was freed it is known to be dying.
const DYING_LOOKS: u32 = 25;

/// The warden's life: frees callers that are killed while their operation is blocked.
pub(super) fn guard(core: &Arc<Core>) -> std::io::Result<()> {
    let core = Arc::clone(core);
    let life = move || {
        core.underway.watched_by_this_thread();
        let mut before: Vec<Claim> = Vec::new();
        let mut blocked: HashMap<u64, Process> = HashMap::new();
        let (mut quiet, mut since_freed, mut round) = (0, 0, 0usize);
        loop {
            thread::sleep(LOOK_EVERY);
            let now = core.underway.all();
            before.retain(|claim| now.binary_search_by_key(&claim.unique, |c| c.unique).is_ok());
            blocked = whose(&before, &blocked);
            round += 1;
            let killed = killed(&before, &blocked, round);
            before.retain(|claim| blocked.get(&claim.unique).is_some_and(|p| killed.contains(p)));
            core.let_all_go(&before);
            since_freed = if before.is_empty() { since_freed + 1 } else { 0 };
            if since_freed == DYING_LOOKS {
                core.underway.forget_dying();
            }
            // Who runs what was held would have to wake the warden first: 20 us for a caller that waits.
            let is_quiet = now.is_empty() && core.line.held() == 0;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            before = now;
            if quiet >= QUIET_LOOKS {
                quiet = 0;
                core.underway.sleep();
            }
        }
    };
    thread::Builder::new().name("slowfs-warden".to_owned()).spawn(life).map(drop)
}

/// The processes of what is blocked: those known before, and those of new claims. A thread may end
/// and leave its operation behind (Linux AIO); one that had ended when it was first looked at is
/// nobody's, and waits until its operation returns.
fn whose(claims: &[Claim], known: &HashMap<u64, Process>) -> HashMap<u64, Process> {
    let process = |claim: &Claim| {
        let known = known.get(&claim.unique).copied();
        known.or_else(|| process::arrival(claim.tid).map(|arrival| arrival.process))
    };
    claims.iter().filter_map(|claim| Some((claim.unique, process(claim)?))).collect()
}

/// The processes that were killed. After a SIGKILL each thread of a process that waits shows it: so
/// one of each is looked at, another each round.
fn killed(claims: &[Claim], blocked: &HashMap<u64, Process>, round: usize) -> HashSet<Process> {
    let mut threads: HashMap<Process, Vec<u32>> = HashMap::new();
    for claim in claims {
        if let Some(process) = blocked.get(&claim.unique) {
            threads.entry(*process).or_default().push(claim.tid);
        }
    }
    let is_killed = |(process, tids): &(Process, Vec<u32>)| {
        tids.get(round % tids.len().max(1)).is_some_and(|tid| process.is_killed(*tid))
    };
    threads.into_iter().filter(is_killed).map(|(process, _)| process).collect()
}

impl Core {
    /// Answers callers that were killed. No claim is taken while none can be answered.
    fn let_all_go(&self, claims: &[Claim]) {
        let Some(first) = claims.first() else { return };
        match self.notices.get().map(Notices::can_answer) {
            Some(Ok(())) => claims.iter().for_each(|claim| self.let_go(*claim)),
            Some(Err(error)) => {
                tracing::warn!("cannot free the killed thread {} yet: {error}", first.tid);
            }
            None => {}
        }
    }

    /// Answers a caller that was killed, in place of who runs its operation, as others were before.
    pub(super) fn let_go(&self, claim: Claim) {
        let Some(notices) = self.notices.get() else { return };
        if !self.underway.take(claim) {
            return;
        }
        self.stats.caller_freed();
        self.underway.remember_dying(claim.tid);
        if let Err(error) = notices.interrupt(claim.unique) {
            tracing::warn!("cannot free the killed thread {}: {error}", claim.tid);
        }
    }
}
