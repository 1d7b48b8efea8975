//! The delay line: operations held until they are due or released, and the threads that run them.
//!
//! A held operation is a place in a queue. One thread of the pool leads: it sleeps until shortly
//! before the earliest operation is due, takes it, lets another thread lead if anything else waits, spins to
//! the moment and runs the operation itself, so that nothing stands between the moment and the operation.
//! Where many are due one after the other it does not spin, which would cost everybody else a processor,
//! and who has run one goes on with what is due by then.
//!
//! Invariants: every job given to the line runs exactly once, with its outcome. An operation
//! whose fault is cleared is not held: whoever clears marks the fault first and calls `release`
//! then, and `hold` looks at the mark under the queue's lock, so that one of them sees the other.
//! While anything waits, some thread leads or is on its way to. What is due or released never
//! waits behind what `run` was given: each of the two has threads of its own. What only answers is
//! done by whoever finds it.
//!
//! Lock rule: the queue's lock is never held while a job runs, a thread starts or a file is read.

mod alarm;
mod callers;
mod pool;
mod queue;
mod spin;
mod timer;
mod watch;
mod workers;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

pub(crate) use self::pool::Load;
use self::pool::{MOST, Pool};
use self::queue::{Held, Queue, Ready, Waiting};
pub use self::queue::{Job, Outcome};
pub(crate) use self::spin::Moment;
use self::workers::run_caught;
use super::firing::Hit;
use super::live::Left;
use super::plan::Hold;
use crate::ops::Call;
use crate::sys::process::{self, Arrival};

/// For whom a delay of so much at most is, is not asked: it is over before a killed caller could be let go.
const BRIEF: Duration = Duration::from_millis(1);

/// How long `shutdown` waits for jobs that run.
const SHUTDOWN_BOUND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Line {
    queue: Mutex<Queue>,
    /// Threads at most.
    most: usize,
    held: AtomicUsize,
    /// Where the leader waits.
    lead: Condvar,
    /// Where the other workers wait for work or for the lead.
    follow: Condvar,
    /// Where the watcher of callers waits.
    watch: Condvar,
    /// Told when the last worker ends.
    ended: Condvar,
    /// The filesystem whose operations are held, once it is known: major and minor number.
    device: OnceLock<(u32, u32)>,
}

/// Holds operations and runs them when due or released. Dropping it shuts it down without waiting.
pub struct DelayLine {
    line: Arc<Line>,
    pool: Pool,
}

impl DelayLine {
    /// A line with its threads running.
    ///
    /// # Errors
    /// If they cannot start.
    pub fn new() -> io::Result<Arc<DelayLine>> {
        DelayLine::limited(MOST)
    }

    /// The same with at most so many threads of either share.
    fn limited(most: usize) -> io::Result<Arc<DelayLine>> {
        spin::prepare();
        let line = Arc::new(Line { most, ..Line::default() });
        let delay_line = DelayLine { line, pool: Pool::new(most)? };
        for _ in 0..workers::MIN_WORKERS {
            let mut queue = delay_line.line.queue.lock();
            queue.workers += 1;
            queue.coming += 1;
            drop(queue);
            delay_line.line.start_worker()?;
        }
        let line = Arc::clone(&delay_line.line);
        workers::start("slowfs-watch", move || line.watch())?;
        Ok(Arc::new(delay_line))
    }

    /// Says which filesystem it is for, by major and minor number: processes that cannot end and have
    /// files open there are found by it.
    pub(crate) fn serves(&self, device: (u32, u32)) {
        self.line.device.get_or_init(|| device);
    }

    /// That filesystem, once it is known.
    pub(crate) fn device(&self) -> Option<(u32, u32)> {
        self.line.device.get().copied()
    }

    /// Holds an operation that arrived at `arrived` for the delay of its hit, then runs `job` on a
    /// thread of the line. If its fault is cleared by now, or the line shut down, `job` runs as
    /// released before this returns, on this thread; likewise if the caller is killed already.
    /// `must_run`: the job blocks even where a fault or the caller's death answers.
    ///
    /// Whose operation it is, is found out now: when it is due its thread may have ended, and the
    /// number be another's.
    pub fn hold(&self, mut hit: Hit, arrived: Instant, must_run: bool, job: Job) {
        let line = &self.line;
        let asked = must_run || !is_brief(&hit, arrived);
        hit.ask_for_caller(asked);
        match asked.then(|| caller_of(&hit, arrived)).flatten() {
            Some(Arrival { killed: true, .. }) => {
                run_caught(|| job(hit, Outcome::CallerKilled));
                return;
            }
            Some(Arrival { process, .. }) => hit.know_caller(process),
            None => {}
        }
        let mut queue = line.queue.lock();
        if queue.closed || !hit.settle() {
            drop(queue);
            run_caught(|| job(hit, Outcome::Released));
            return;
        }
        line.held.fetch_add(1, Ordering::Relaxed);
        hit.count_held();
        if queue.hold(Held { hit, must_run, job, arrived, let_go: false }) {
            line.call_leader(&mut queue);
        }
        if !queue.watching && !queue.callers.is_empty() {
            queue.watching = true;
            line.watch.notify_one();
        }
    }

    /// Runs a job that may block on a thread of its own, also when the line is shut down.
    pub(crate) fn run(&self, job: Box<dyn FnOnce() + Send>) {
        self.pool.run(job);
    }

    /// Runs a job for what is held on a thread of the line; not at all if that is shut down, since
    /// nothing is held then.
    pub(crate) fn help(&self, job: Box<dyn FnOnce() + Send>) {
        let mut queue = self.line.queue.lock();
        if !queue.closed {
            queue.push(Ready::Help(job));
            self.line.summon(&mut queue);
        }
    }

    /// What the threads do: those of `run`, and those for what is due or released.
    #[must_use]
    pub(crate) fn load(&self) -> [Load; 2] {
        let queue = self.line.queue.lock();
        let own = Load { threads: queue.workers, waiting: queue.ready() };
        drop(queue);
        [self.pool.load(), own]
    }

    /// Lets every operation go whose fault has none of its methods any more. To be called after
    /// each change of the table, when it is in force. How many it let go.
    pub(super) fn release(&self) -> usize {
        let mut queue = self.line.queue.lock();
        let (gone, is_first) = queue.release();
        if is_first {
            self.line.lead.notify_one();
        }
        let operations = gone.iter().filter(|waiting| matches!(waiting, Waiting::Operation(_)));
        let released = operations.count();
        self.line.free(&mut queue, gone, Outcome::Released);
        released
    }

    /// Lets every operation go, whatever its fault asks still.
    pub(crate) fn let_all_go(&self) {
        let mut queue = self.line.queue.lock();
        let all = queue.take(|_, waiting| matches!(waiting, Waiting::Operation(_)));
        self.line.free(&mut queue, all, Outcome::Released);
    }

    /// Runs `lift` at that moment, unless the fault is gone before.
    pub(super) fn lift_at(&self, at: Instant, left: Left, lift: Box<dyn FnOnce() + Send>) {
        let mut queue = self.line.queue.lock();
        if !queue.closed && !left.is_none() && queue.lift(at, left, lift) {
            self.line.call_leader(&mut queue);
        }
    }

    /// How many operations are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.line.held.load(Ordering::Relaxed)
    }

    /// Releases everything held; later operations are not held at all. Waits a second at most for
    /// jobs of the line that run, and says whether all have ended.
    pub fn shutdown(&self) -> bool {
        self.line.close();
        let deadline = Instant::now() + SHUTDOWN_BOUND;
        let mut queue = self.line.queue.lock();
        while queue.workers > 0 {
            if self.line.ended.wait_until(&mut queue, deadline).timed_out() {
                return queue.workers == 0;
            }
        }
        true
    }
}

/// Whether it is over before anybody who looked for its caller would do something about it. A close is
/// not: who is killed has thousands of files to close, one after the other.
fn is_brief(hit: &Hit, arrived: Instant) -> bool {
    let is_soon = |due: Instant| due.saturating_duration_since(arrived) <= BRIEF;
    let spared = hit.killer().is_some() || hit.concerns(Call::Flush.methods());
    matches!(hit.hold(), Hold::Until(due) if is_soon(due)) && !spared
}

/// Who waits for it, as far as can be seen. A dying process closes its files one after the other: each is
/// let go at once, not with the next round of the watch. In anything else it waits once, for that round.
fn caller_of(hit: &Hit, arrived: Instant) -> Option<Arrival> {
    match hit.concerns(Call::Flush.methods()) {
        true => process::arrival(hit.caller()),
        false => process::arrival_lately(hit.caller(), arrived),
    }
}

impl Drop for DelayLine {
    fn drop(&mut self) {
        self.line.close();
    }
}

impl Line {
    fn close(self: &Arc<Self>) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        self.lead.notify_all();
        self.follow.notify_all();
        self.watch.notify_all();
        let all = queue.take(|_, _| true);
        self.free(&mut queue, all, Outcome::Released);
    }

    /// Makes operations ready to run with this outcome; those that are only answered are, here.
    /// Lifts that are gone need no running.
    fn free(
        self: &Arc<Self>,
        queue: &mut MutexGuard<'_, Queue>,
        gone: Vec<Waiting>,
        outcome: Outcome,
    ) {
        let before = queue.ready();
        let (mut answered, mut lifts) = (Vec::new(), Vec::new());
        for waiting in gone {
            match waiting {
                Waiting::Operation(held) if held.only_answers(outcome) => answered.push(held),
                Waiting::Operation(held) => queue.push(Ready::Freed(held, outcome)),
                lift @ Waiting::Lift(..) => lifts.push(lift),
            }
        }
        if queue.ready() > before {
            self.summon(queue);
        }
        MutexGuard::unlocked(queue, || {
            drop(lifts);
            answered.into_iter().for_each(|held| self.finish(held, outcome));
        });
    }
}

#[cfg(test)]
mod crowd_tests;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
