//! Threads for work that may block in the backing: as many as block, up to [`MOST`].
//!
//! Each job given gets a thread of its own, one that waits or a new one, so that no job waits for
//! another to return; beyond the limit jobs wait in the order they came. Of the threads that wait
//! the last to do so is taken first: the others end after a while.
//!
//! Invariant: while a job waits, a thread is on its way to it, or there are as many as may be and
//! each runs a job. Lock rule: the lock is not held while a job runs or a thread starts or is woken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::workers::{run_caught, start};

/// Threads at most, of each of the two shares: this one, and the delay line's own.
pub(super) const MOST: usize = 4096;

/// Threads that never end.
const LEAST: usize = 1;

/// Threads that are being started at once: more would take the processors from what they are for.
const STARTING: usize = 2;

/// A thread beyond the least ends after so long without a job.
const IDLE: Duration = Duration::from_secs(5);

/// Something to run that needs neither a moment nor a fault.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// What a share of threads does just now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Threads there are.
    pub threads: usize,
    /// Jobs that wait for a thread.
    pub waiting: usize,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Job>,
    /// Threads there are, those that start included.
    threads: usize,
    starting: usize,
    /// Threads without a job, the last to have none at the end.
    idle: Vec<Thread>,
    closed: bool,
    /// The last thread asked for could not be had.
    short: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when the last thread ends.
    ended: Condvar,
    most: usize,
}

/// The threads. Dropping it ends them once nothing waits.
pub(super) struct Pool(Arc<Shared>);

impl Pool {
    /// A pool of at most so many threads, with the least running.
    ///
    /// # Errors
    /// If they cannot start.
    pub(super) fn new(most: usize) -> std::io::Result<Pool> {
        let pool = Pool(Arc::new(Shared { most, ..Shared::default() }));
        for _ in 0..LEAST {
            let mut state = pool.0.state.lock();
            state.threads += 1;
            state.starting += 1;
            drop(state);
            pool.0.start()?;
        }
        Ok(pool)
    }

    /// Runs a job on a thread of the pool; without one there, as soon as one is.
    pub(super) fn run(&self, job: Job) {
        let mut state = self.0.state.lock();
        state.ready.push_back(job);
        self.0.recruit(state);
    }

    pub(super) fn load(&self) -> Load {
        let state = self.0.state.lock();
        Load { threads: state.threads, waiting: state.ready.len() }
    }

    /// Ends the threads that have nothing to do, and says whether by then all have ended.
    pub(super) fn close(&self, deadline: Instant) -> bool {
        let mut state = self.0.state.lock();
        state.closed = true;
        state.idle.drain(..).for_each(|thread| thread.unpark());
        while state.threads > 0 {
            if self.0.ended.wait_until(&mut state, deadline).timed_out() {
                return state.threads == 0;
            }
        }
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close(Instant::now());
    }
}

impl Shared {
    /// Gets one more thread to look at what is ready, if there is one to be had.
    fn recruit(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if let Some(thread) = state.idle.pop() {
            drop(state);
            thread.unpark();
        } else if state.threads < self.most && state.starting < STARTING {
            state.threads += 1;
            state.starting += 1;
            drop(state);
            if let Err(error) = self.start() {
                self.lose_one(&error);
            }
        }
    }

    fn start(self: &Arc<Self>) -> std::io::Result<()> {
        let shared = Arc::clone(self);
        start("slowfs-work", move || shared.work())
    }

    /// A thread could not start: who runs already goes on, one job after the other.
    fn lose_one(&self, error: &std::io::Error) {
        let mut state = self.state.lock();
        state.threads -= 1;
        state.starting -= 1;
        let first = !std::mem::replace(&mut state.short, true);
        let threads = state.threads;
        drop(state);
        if first {
            tracing::warn!(
                "cannot start another thread than {threads} for what blocks in the backing: {error}; \
                 operations wait for each other until one ends (raise `ulimit -u` or pids.max)"
            );
        }
    }

    /// A thread's life.
    fn work(self: Arc<Self>) {
        let mut state = self.state.lock();
        state.starting -= 1;
        state.short = false;
        loop {
            let Some(job) = state.ready.pop_front() else {
                match self.rest(state) {
                    Some(again) => state = again,
                    None => return,
                }
                continue;
            };
            if state.ready.is_empty() {
                drop(state);
            } else {
                self.recruit(state);
            }
            run_caught(job);
            state = self.state.lock();
        }
    }

    /// Waits for a job; None if this thread ends.
    fn rest<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Option<MutexGuard<'a, State>> {
        let own = thread::current();
        let deadline = Instant::now() + IDLE;
        if !state.closed {
            state.idle.push(own.clone());
        }
        loop {
            let place = state.idle.iter().position(|thread| thread.id() == own.id());
            // Whoever takes it off the list has a job for it.
            let Some(place) = place else {
                if state.closed && state.ready.is_empty() {
                    break;
                }
                return Some(state);
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && state.threads > LEAST {
                state.idle.swap_remove(place);
                break;
            }
            drop(state);
            thread::park_timeout(if left.is_zero() { IDLE } else { left });
            state = self.state.lock();
        }
        state.threads -= 1;
        if state.threads == 0 {
            self.ended.notify_all();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn each_job_has_a_thread_of_its_own_up_to_the_limit() {
        const MOST: usize = 100;
        let pool = Pool::new(MOST).unwrap();
        let (begun, began) = channel();
        let (open, opened) = channel::<()>();
        let opened = Arc::new(Mutex::new(opened));
        for n in 0..MOST + 10 {
            let (begun, opened) = (begun.clone(), Arc::clone(&opened));
            pool.run(Box::new(move || {
                begun.send(n).unwrap();
                let _ = opened.lock().recv();
            }));
        }
        // None has returned yet.
        for _ in 0..MOST {
            began.recv_timeout(PATIENCE).unwrap();
        }
        assert_eq!(pool.load(), Load { threads: MOST, waiting: 10 });
        assert!(began.try_recv().is_err());
        drop(open);
        let late: Vec<usize> = (0..10).map(|_| began.recv_timeout(PATIENCE).unwrap()).collect();
        assert!(late.iter().all(|n| *n >= MOST), "in the order they came: {late:?}");
        assert!(pool.close(Instant::now() + PATIENCE));
    }

    #[test]
    fn jobs_given_before_the_close_run() {
        let pool = Pool::new(2).unwrap();
        let (tell, told) = channel();
        for n in 0..100 {
            let tell = tell.clone();
            pool.run(Box::new(move || tell.send(n).unwrap()));
        }
        assert!(pool.close(Instant::now() + PATIENCE));
        assert_eq!(told.try_iter().count(), 100);
    }

    #[test]
    fn the_last_to_rest_works_next() {
        let pool = Pool::new(8).unwrap();
        let (tell, told) = channel();
        let own = || thread::current().id();
        let mut seen = Vec::new();
        for _ in 0..50 {
            let tell = tell.clone();
            pool.run(Box::new(move || tell.send(own()).unwrap()));
            seen.push(told.recv_timeout(PATIENCE).unwrap());
            let resting = || {
                let state = pool.0.state.lock();
                state.idle.len() == state.threads
            };
            let deadline = Instant::now() + PATIENCE;
            while !resting() {
                assert!(Instant::now() < deadline);
                thread::yield_now();
            }
        }
        // The first job may have come before the first thread was ready.
        seen.drain(..1);
        seen.dedup();
        assert_eq!(seen.len(), 1, "one thread is enough");
    }
}
