//! The delay line's own threads: they run what is due or released, and nothing else, so that it
//! never waits behind other work that blocks in the backing.
//!
//! Invariant: while anything waits, some thread leads or is on its way to; and some always does where
//! there are as many threads as may be.
//! Lock rule: the queue's lock is never held while a job runs or a thread starts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{io, thread};

use parking_lot::MutexGuard;

use super::Line;
use super::queue::{Held, Outcome, Queue, Ready};
use crate::sys::timers::wake_on_time;

/// Threads that never end: one leads, one runs jobs.
pub(super) const MIN_WORKERS: usize = 2;

/// A thread beyond the minimum ends after so long without a job.
const IDLE: Duration = Duration::from_secs(5);

/// Enough for a mirror operation and its reply.
const STACK: usize = 512 * 1024;

/// Threads on their way to the queue at once, woken or started: more would take the processors, and
/// the process's memory map, from what they are for. Jobs that do not block are done before they come.
const COMING: usize = 2;

/// Where a further thread for the queue comes from.
pub(super) enum Recruit {
    /// One that waited was woken.
    Woken,
    /// One is to be started; it is counted already.
    New,
    /// Enough are on their way, or there are as many as may be, and all busy.
    Nobody,
}

impl Line {
    /// Gets one more thread to look at the queue, if there is one to be had. Each that then takes
    /// what is ready and leaves more summons the next.
    pub(super) fn summon(self: &Arc<Self>, queue: &mut MutexGuard<'_, Queue>) {
        if let Recruit::New = self.recruit(queue) {
            MutexGuard::unlocked(queue, || self.start_counted());
        }
    }

    pub(super) fn recruit(&self, queue: &mut Queue) -> Recruit {
        if queue.coming >= COMING && !queue.closed {
            return Recruit::Nobody;
        }
        let recruit = if self.follow.notify_one() {
            Recruit::Woken
        } else if queue.workers < self.most {
            queue.workers += 1;
            Recruit::New
        } else {
            return Recruit::Nobody;
        };
        queue.coming += 1;
        recruit
    }

    /// Starts a worker that is counted already, or takes it off the count.
    pub(super) fn start_counted(self: &Arc<Self>) -> bool {
        let started = self.start_worker();
        if let Err(error) = &started {
            let mut queue = self.queue.lock();
            queue.workers -= 1;
            queue.coming -= 1;
            // It may have been the one that others left what is ready to.
            let needed = queue.ready() > 0 || self.needs_leader(&queue);
            if needed && self.follow.notify_one() {
                queue.coming += 1;
            }
            drop(queue);
            tracing::warn!(%error, "cannot start another thread for held operations: some may end late");
        }
        started.is_ok()
    }

    pub(super) fn start_worker(self: &Arc<Self>) -> io::Result<()> {
        let line = Arc::clone(self);
        start("slowfs-delay", move || line.work())
    }

    /// A worker's life.
    fn work(self: Arc<Self>) {
        let mut queue = self.queue.lock();
        queue.coming -= 1;
        loop {
            if self.needs_leader(&queue) && queue.ready() > 0 {
                self.summon(&mut queue);
            }
            // Another may lead by now.
            let ready = if self.needs_leader(&queue) {
                self.lead(&mut queue)
            } else {
                queue.take_ready().or_else(|| queue.take_overdue_one())
            };
            match ready {
                Some(ready) => {
                    if queue.ready() > 0 {
                        self.summon(&mut queue);
                    }
                    if queue.has_light() && queue.coming == 0 {
                        self.lead.notify_one();
                    }
                    MutexGuard::unlocked(&mut queue, || self.perform(ready));
                }
                None if queue.closed && queue.ready() == 0 => break,
                None if queue.closed => {}
                None => {
                    let idle = self.follow.wait_for(&mut queue, IDLE).timed_out();
                    if !idle && !queue.closed {
                        queue.coming -= 1;
                    }
                    let needed = self.needs_leader(&queue) || queue.ready() > 0;
                    if idle && !needed && queue.workers > MIN_WORKERS {
                        break;
                    }
                }
            }
        }
        queue.workers -= 1;
        if queue.workers == 0 {
            self.ended.notify_all();
        }
    }

    /// What only answers, on a thread that may not block: if its fault is cleared from here on, that
    /// comes too late.
    pub(super) fn answer(&self, ready: Ready) {
        match ready {
            Ready::Due(held, moment) => {
                moment.come();
                self.finish(held, Outcome::Due);
            }
            other => self.perform(other),
        }
    }

    /// Whether a thread that looks at the queue is to lead. Where nothing waits, what is ready comes
    /// first, as long as there may be another thread for what comes meanwhile.
    fn needs_leader(&self, queue: &Queue) -> bool {
        let leads = queue.anything_waits() || queue.ready() == 0 || queue.workers >= self.most;
        !queue.leading && !queue.closed && leads
    }

    fn perform(&self, ready: Ready) {
        match ready {
            Ready::Lift(lift, moment) => {
                moment.come();
                run_caught(lift);
            }
            Ready::Help(job) => run_caught(job),
            Ready::Freed(held, outcome) => self.finish(held, outcome),
            Ready::Due(mut held, moment) => {
                moment.come();
                let outcome = match () {
                    () if !held.hit.settle() => Outcome::Released,
                    () if held.let_go => {
                        held.hit.let_go();
                        Outcome::LetGo
                    }
                    () => Outcome::Due,
                };
                self.finish(held, outcome);
            }
        }
    }

    pub(super) fn finish(&self, Held { mut hit, job, .. }: Held, outcome: Outcome) {
        hit.count_freed(outcome == Outcome::LetGo);
        self.held.fetch_sub(1, Ordering::Relaxed);
        run_caught(|| job(hit, outcome));
    }
}

pub(super) fn start(name: &str, life: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let life = move || {
        if let Err(error) = wake_on_time() {
            tracing::warn!(%error, "delays will be late by the default timer slack");
        }
        life();
    };
    thread::Builder::new().name(name.into()).stack_size(STACK).spawn(life).map(drop)
}

/// Runs a job; a panic in it costs this job's reply and nothing else.
pub(super) fn run_caught(job: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("an operation panicked");
    }
}
