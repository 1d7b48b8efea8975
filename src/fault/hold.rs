//! The delay line: operations held until they are due or released, and the threads that run them.
//!
//! A held operation is a place in a queue. One thread of the pool leads: it sleeps until shortly
//! before the earliest operation is due, takes it, lets another thread lead, spins to the moment
//! and runs the operation itself, so that nothing stands between the moment and the operation.
//!
//! Invariants: every job given to the line runs exactly once, with its outcome. An operation
//! whose fault is cleared is not held: whoever clears marks the fault first and calls `release`
//! then, and `hold` looks at the mark under the queue's lock, so that one of them sees the other.
//! While the line is open, some thread leads or is on its way to.
//!
//! Lock rule: the queue's lock is never held while a job runs, a thread starts or a file is read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::live::{Hit, Live};
use super::queue::{Due, Held, Job, Outcome, Queue, Task, Waiting};
use super::spec::Delay;
use crate::sys::process::{sigkill_pending, wake_on_time};

/// Delays below this are not worth a change of thread: [`spin`] on the spot.
pub const SPIN_BELOW: Duration = Duration::from_micros(50);

/// How long before an operation is due the leader wakes, to spin the rest. A timer of slack 1 ns
/// is late by 20 to 45 us.
const HEAD_START: Duration = Duration::from_micros(60);

/// A long sleep lets the processor sink into an idle state that takes 80 us and more to leave. So
/// the leader wakes once this long before, too, and sleeps lightly from there.
const FIRST_CALL: Duration = Duration::from_millis(1);

/// Threads that never end: one leads, one runs jobs.
const MIN_WORKERS: usize = 2;

/// With more jobs than this at once, the others wait.
const MAX_WORKERS: usize = 64;

/// A thread beyond the minimum ends after so long without a job.
const IDLE: Duration = Duration::from_secs(5);

/// How often held callers are looked at for a pending SIGKILL: with the look itself, a thousand
/// callers at 20 us, well within the 200 ms in which a killed caller is promised to be free.
const WATCH_EVERY: Duration = Duration::from_millis(80);

/// How long `shutdown` waits for jobs that run.
const SHUTDOWN_BOUND: Duration = Duration::from_secs(1);

/// Enough for a mirror operation and its reply.
const STACK: usize = 512 * 1024;

/// Waits busily: to the microsecond, at the price of the processor.
pub fn spin(delay: Duration) {
    if let Some(due) = Instant::now().checked_add(delay) {
        spin_until(due);
    }
}

fn spin_until(due: Instant) {
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}

/// Where a further thread for the queue comes from.
enum Recruit {
    /// One that waited was woken.
    Woken,
    /// One is to be started; it is counted already.
    New,
    /// There are enough, and all busy.
    Nobody,
}

#[derive(Default)]
struct Line {
    queue: Mutex<Queue>,
    held: AtomicUsize,
    /// Where the leader waits.
    lead: Condvar,
    /// Where the other workers wait for work or for the lead.
    follow: Condvar,
    /// Where the watcher of callers waits.
    watch: Condvar,
    /// Told when the last worker ends.
    ended: Condvar,
}

/// Holds operations and runs them when due or released. Dropping it shuts it down without waiting.
pub struct DelayLine {
    line: Arc<Line>,
}

impl DelayLine {
    /// A line with its threads running.
    ///
    /// # Errors
    /// If they cannot start.
    pub fn new() -> io::Result<Arc<DelayLine>> {
        let delay_line = DelayLine { line: Arc::default() };
        for _ in 0..MIN_WORKERS {
            delay_line.line.queue.lock().workers += 1;
            delay_line.line.start_worker()?;
        }
        let line = Arc::clone(&delay_line.line);
        start("slowfs-watch", move || line.watch())?;
        Ok(Arc::new(delay_line))
    }

    /// Holds an operation that arrived at `arrived` for the delay of its hit, then runs `job` on a
    /// thread of the pool. If its fault is cleared by now, or the line shut down, `job` runs as
    /// released before this returns, on this thread; likewise if the caller is killed already.
    pub fn hold(&self, hit: Hit, arrived: Instant, job: Job) {
        let due = match hit.delay() {
            None => Due::At(arrived),
            Some(Delay::For(delay)) => arrived.checked_add(delay).map_or(Due::Never, Due::At),
            Some(Delay::UntilCleared) => Due::Never,
        };
        let line = &self.line;
        // A dying process closes its files one after the other: each is let go at once, not with
        // the next round of the watch.
        if hit.caller() != 0 && sigkill_pending(hit.caller()) {
            run_caught(|| job(hit, Outcome::CallerKilled));
            return;
        }
        let mut queue = line.queue.lock();
        if queue.closed || !hit.is_live() {
            drop(queue);
            run_caught(|| job(hit, Outcome::Released));
            return;
        }
        line.held.fetch_add(1, Ordering::Relaxed);
        hit.live().held.fetch_add(1, Ordering::Relaxed);
        if hit.caller() != 0 && !queue.watching {
            queue.watching = true;
            line.watch.notify_one();
        }
        if queue.insert(due, Waiting::Operation(Held { hit, job })) {
            line.lead.notify_one();
        }
    }

    /// Runs a job on the pool; on this thread if the line is shut down.
    pub fn run(&self, job: Box<dyn FnOnce() + Send>) {
        let mut queue = self.line.queue.lock();
        if queue.closed {
            drop(queue);
            run_caught(job);
            return;
        }
        queue.ready.push_back(Task::Plain(job));
        self.line.summon(&mut queue);
    }

    /// Lets every operation go whose fault has none of its methods any more. To be called after
    /// each change of the table, when it is in force.
    pub(super) fn release(&self) {
        let mut queue = self.line.queue.lock();
        let gone = queue.take(|_, waiting| !waiting.is_live());
        self.line.free(&mut queue, gone, Outcome::Released);
    }

    /// Runs `lift` at that moment, unless the fault is gone before.
    pub(super) fn lift_at(&self, at: Instant, live: Arc<Live>, lift: Box<dyn FnOnce() + Send>) {
        let mut queue = self.line.queue.lock();
        let lift = Waiting::Lift(live, lift);
        if !queue.closed && lift.is_live() && queue.insert(Due::At(at), lift) {
            self.line.lead.notify_one();
        }
    }

    /// How many operations are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.line.held.load(Ordering::Relaxed)
    }

    /// Releases everything held; later operations are not held at all. Waits a second at most for
    /// jobs that run, and says whether all have ended.
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

    /// Makes operations ready to run with this outcome; lifts that are gone need no running.
    fn free(
        self: &Arc<Self>,
        queue: &mut MutexGuard<'_, Queue>,
        gone: Vec<Waiting>,
        outcome: Outcome,
    ) {
        let before = queue.ready.len();
        let mut lifts = Vec::new();
        for waiting in gone {
            match waiting {
                Waiting::Operation(held) => queue.ready.push_back(Task::Freed(held, outcome)),
                lift @ Waiting::Lift(..) => lifts.push(lift),
            }
        }
        if queue.ready.len() > before {
            self.summon(queue);
        }
        MutexGuard::unlocked(queue, || drop(lifts));
    }

    /// Gets one more thread to look at the queue, if there is one to be had. Each that then takes a
    /// task and leaves another summons the next.
    fn summon(self: &Arc<Self>, queue: &mut MutexGuard<'_, Queue>) {
        if let Recruit::New = self.recruit(queue) {
            MutexGuard::unlocked(queue, || self.start_counted());
        }
    }

    fn recruit(&self, queue: &mut Queue) -> Recruit {
        if self.follow.notify_one() {
            Recruit::Woken
        } else if queue.workers < MAX_WORKERS {
            queue.workers += 1;
            Recruit::New
        } else {
            Recruit::Nobody
        }
    }

    /// Starts a worker that is counted already, or takes it off the count.
    fn start_counted(self: &Arc<Self>) -> bool {
        let started = self.start_worker();
        if let Err(error) = &started {
            self.queue.lock().workers -= 1;
            tracing::warn!(%error, "cannot start another thread for held operations: some may end late");
        }
        started.is_ok()
    }

    fn start_worker(self: &Arc<Self>) -> io::Result<()> {
        let line = Arc::clone(self);
        start("slowfs-delay", move || line.work())
    }

    /// A worker's life.
    fn work(self: Arc<Self>) {
        let mut queue = self.queue.lock();
        loop {
            let task = if queue.leading || queue.closed {
                queue.ready.pop_front()
            } else {
                self.lead(&mut queue)
            };
            match task {
                Some(task) => {
                    if !queue.ready.is_empty() {
                        self.summon(&mut queue);
                    }
                    MutexGuard::unlocked(&mut queue, || self.perform(task));
                }
                None if queue.closed && queue.ready.is_empty() => break,
                None if queue.closed => {}
                None => {
                    let idle = self.follow.wait_for(&mut queue, IDLE).timed_out();
                    let needed = !queue.leading || !queue.ready.is_empty();
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

    /// Leads until something is due (almost) and another thread leads; then it is the caller's to
    /// run. Nothing when the line is shut down.
    fn lead(self: &Arc<Self>, queue: &mut MutexGuard<'_, Queue>) -> Option<Task> {
        queue.leading = true;
        while !queue.closed {
            let left = queue.earliest().map(|due| due.saturating_duration_since(Instant::now()));
            match left {
                None => self.lead.wait(queue),
                Some(left) if left > HEAD_START => {
                    let early = if left > 2 * FIRST_CALL { FIRST_CALL } else { HEAD_START };
                    self.lead.wait_for(queue, left - early);
                }
                Some(_) => {
                    let Some(task) = queue.take_earliest() else { continue };
                    if self.pass_lead(queue) {
                        return Some(task);
                    }
                    // All threads are busy: the first to be free runs it. A lift is no work.
                    match task {
                        Task::Lift(..) => MutexGuard::unlocked(queue, || self.perform(task)),
                        task => queue.ready.push_back(task),
                    }
                }
            }
        }
        queue.leading = false;
        None
    }

    /// Whether another thread leads in place of this one, or is about to.
    fn pass_lead(self: &Arc<Self>, queue: &mut MutexGuard<'_, Queue>) -> bool {
        queue.leading = false;
        let passed = match self.recruit(queue) {
            Recruit::Woken => true,
            Recruit::New => MutexGuard::unlocked(queue, || self.start_counted()) || queue.leading,
            Recruit::Nobody => false,
        };
        if !passed {
            queue.leading = true;
        }
        passed
    }

    fn perform(&self, task: Task) {
        match task {
            Task::Plain(job) => run_caught(job),
            Task::Lift(lift, due) => {
                spin_until(due);
                run_caught(lift);
            }
            Task::Freed(held, outcome) => self.finish(held, outcome),
            Task::Due(held, due) => {
                spin_until(due);
                let cleared = !held.hit.is_live();
                self.finish(held, if cleared { Outcome::Released } else { Outcome::Due });
            }
        }
    }

    fn finish(&self, Held { hit, job }: Held, outcome: Outcome) {
        hit.live().held.fetch_sub(1, Ordering::Relaxed);
        self.held.fetch_sub(1, Ordering::Relaxed);
        run_caught(|| job(hit, outcome));
    }

    /// The watcher's life: frees operations whose caller was killed.
    fn watch(self: Arc<Self>) {
        let mut queue = self.queue.lock();
        while !queue.closed {
            if !queue.watching {
                self.watch.wait(&mut queue);
                continue;
            }
            self.watch.wait_for(&mut queue, WATCH_EVERY);
            let (mut callers, latest) = queue.callers();
            queue.watching = !callers.is_empty();
            MutexGuard::unlocked(&mut queue, || callers.retain(|tid| sigkill_pending(*tid)));
            if callers.is_empty() {
                continue;
            }
            // A later arrival may be of a new thread with an old number.
            let killed = queue.take(|serial, waiting| {
                serial <= latest
                    && waiting.caller().is_some_and(|tid| callers.binary_search(&tid).is_ok())
            });
            self.free(&mut queue, killed, Outcome::CallerKilled);
        }
    }
}

fn start(name: &str, life: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let life = move || {
        if let Err(error) = wake_on_time() {
            tracing::warn!(%error, "delays will be late by the default timer slack");
        }
        life();
    };
    thread::Builder::new().name(name.into()).stack_size(STACK).spawn(life).map(drop)
}

/// Runs a job; a panic in it costs this job's reply and nothing else.
fn run_caught(job: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("an operation panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::process::Command;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::fault::{Fault, FaultId};
    use crate::ops::{MethodSet, Request};

    /// How long a test waits for what must come.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn live(delay: Delay) -> Arc<Live> {
        let fault = Fault::on(MethodSet::ALL).unwrap().with_delay(delay);
        Arc::new(Live::new(FaultId(1), Arc::new(fault), 0))
    }

    fn hit(live: &Arc<Live>, caller: u32) -> Hit {
        live.strike(Request::Write.methods(), caller).unwrap()
    }

    /// Holds an operation; what comes out is its outcome, and how long it was held.
    fn hold(line: &DelayLine, hit: Hit) -> Receiver<(Outcome, Duration)> {
        let (tell, told) = channel();
        let arrived = Instant::now();
        let job = move |_: Hit, outcome| tell.send((outcome, arrived.elapsed())).unwrap();
        line.hold(hit, arrived, Box::new(job));
        told
    }

    fn outcome(told: &Receiver<(Outcome, Duration)>) -> Outcome {
        told.recv_timeout(PATIENCE).unwrap().0
    }

    fn nothing_held(line: &DelayLine, live: &Live) -> bool {
        line.held() == 0 && live.held.load(Ordering::Relaxed) == 0
    }

    #[test]
    fn delay_is_never_short_and_not_much_longer() {
        let line = DelayLine::new().unwrap();
        for micros in [1, 50, 100, 1_000, 10_000, 50_000] {
            let delay = Duration::from_micros(micros);
            let live = live(Delay::For(delay));
            let lateness = (0..10)
                .map(|_| {
                    let told = hold(&line, hit(&live, 0));
                    let (outcome, took) = told.recv_timeout(PATIENCE).unwrap();
                    assert_eq!(outcome, Outcome::Due);
                    assert!(took >= delay, "{took:?} of {delay:?}");
                    took - delay
                })
                .min();
            assert!(lateness < Some(Duration::from_millis(20)), "{lateness:?} beyond {delay:?}");
            assert!(nothing_held(&line, &live));
        }
    }

    #[test]
    fn spin_is_never_short() {
        for micros in [0, 1, 10, 49] {
            let delay = Duration::from_micros(micros);
            let begin = Instant::now();
            spin(delay);
            assert!(begin.elapsed() >= delay);
        }
    }

    #[test]
    fn delays_run_beside_each_other() {
        let line = DelayLine::new().unwrap();
        let live = live(Delay::For(Duration::from_millis(100)));
        let begin = Instant::now();
        let held: Vec<_> = (0..1000).map(|_| hold(&line, hit(&live, 0))).collect();
        for told in held {
            assert_eq!(outcome(&told), Outcome::Due);
        }
        assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
        assert!(nothing_held(&line, &live));
    }

    #[test]
    fn slow_job_does_not_delay_the_next() {
        let line = DelayLine::new().unwrap();
        let live = live(Delay::For(Duration::from_millis(1)));
        let (free, stuck) = channel::<()>();
        let stuck = Arc::new(Mutex::new(stuck));
        for _ in 0..10 {
            let stuck = Arc::clone(&stuck);
            let job = move |_: Hit, _| {
                let _ = stuck.lock().recv();
            };
            line.hold(hit(&live, 0), Instant::now(), Box::new(job));
        }
        for _ in 0..10 {
            assert_eq!(outcome(&hold(&line, hit(&live, 0))), Outcome::Due);
        }
        drop(free);
    }

    #[test]
    fn jobs_beyond_the_pool_wait_and_run() {
        let line = DelayLine::new().unwrap();
        let live = live(Delay::For(Duration::from_millis(1)));
        let (tell, told) = channel();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        for n in 0..2 * MAX_WORKERS {
            let (tell, gate) = (tell.clone(), Arc::clone(&gate));
            let job = move || {
                let mut open = gate.0.lock();
                while !*open {
                    gate.1.wait(&mut open);
                }
                tell.send(()).unwrap();
            };
            if n % 2 == 0 {
                line.run(Box::new(job));
            } else {
                line.hold(hit(&live, 0), Instant::now(), Box::new(move |_, _| job()));
            }
        }
        // With all threads stuck the line still leads: a lifetime ends on time.
        let (lift, lifted) = channel();
        let job = move || lift.send(()).unwrap();
        line.lift_at(Instant::now() + Duration::from_millis(5), Arc::clone(&live), Box::new(job));
        lifted.recv_timeout(PATIENCE).unwrap();
        *gate.0.lock() = true;
        gate.1.notify_all();
        for _ in 0..2 * MAX_WORKERS {
            told.recv_timeout(PATIENCE).unwrap();
        }
        assert!(nothing_held(&line, &live));
    }

    #[test]
    fn release_frees_cleared_operations_only() {
        let line = DelayLine::new().unwrap();
        let (cleared, kept) = (live(Delay::UntilCleared), live(Delay::UntilCleared));
        let first = hold(&line, hit(&cleared, 0));
        let second = hold(&line, hit(&kept, 0));
        // Fsync stays, but the operation is a write.
        cleared.reduce(Request::Fsync.methods());
        line.release();
        assert_eq!(outcome(&first), Outcome::Released);
        assert!(second.try_recv().is_err());
        assert_eq!(line.held(), 1);
        // One of its two names is enough to stay held.
        kept.reduce(MethodSet::from_iter(Request::Write.methods().iter().take(1)));
        line.release();
        assert!(second.try_recv().is_err());
        kept.reduce(MethodSet::EMPTY);
        line.release();
        assert_eq!(outcome(&second), Outcome::Released);
        assert!(nothing_held(&line, &cleared) && nothing_held(&line, &kept));
    }

    #[test]
    fn operation_that_comes_after_the_clear_is_not_held() {
        let line = DelayLine::new().unwrap();
        let live = live(Delay::UntilCleared);
        let late = hit(&live, 0);
        live.reduce(MethodSet::EMPTY);
        line.release();
        assert_eq!(hold(&line, late).try_recv().unwrap().0, Outcome::Released);
    }

    #[test]
    fn operation_of_a_killed_caller_is_freed() {
        let line = DelayLine::new().unwrap();
        let live = live(Delay::UntilCleared);
        let mut caller = Command::new("sleep").arg("600").spawn().unwrap();
        let own = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let killed = [caller.id(); 2].map(|tid| hold(&line, hit(&live, tid)));
        let others = [own, 0].map(|tid| hold(&line, hit(&live, tid)));
        caller.kill().unwrap();
        caller.wait().unwrap();
        let gone = Instant::now();
        for told in killed {
            assert_eq!(outcome(&told), Outcome::CallerKilled);
        }
        assert!(gone.elapsed() < Duration::from_secs(2), "{:?}", gone.elapsed());
        assert_eq!(line.held(), 2);
        assert!(line.shutdown());
        for told in others {
            assert_eq!(outcome(&told), Outcome::Released);
        }
        assert!(nothing_held(&line, &live));
    }

    #[test]
    fn shutdown_releases_all_and_holds_no_more() {
        let line = DelayLine::new().unwrap();
        let live = live(Delay::UntilCleared);
        let held: Vec<_> = (0..100).map(|_| hold(&line, hit(&live, 0))).collect();
        assert!(line.shutdown());
        for told in held {
            assert_eq!(told.try_recv().unwrap().0, Outcome::Released);
        }
        assert_eq!(hold(&line, hit(&live, 0)).try_recv().unwrap().0, Outcome::Released);
        let (tell, told) = channel();
        line.run(Box::new(move || tell.send(()).unwrap()));
        told.try_recv().unwrap();
        assert!(nothing_held(&line, &live));
    }

    #[test]
    fn shutdown_does_not_wait_for_ever() {
        let line = DelayLine::new().unwrap();
        let (free, stuck) = channel::<()>();
        line.run(Box::new(move || {
            let _ = stuck.recv();
        }));
        let begin = Instant::now();
        assert!(!line.shutdown());
        assert!(begin.elapsed() >= SHUTDOWN_BOUND);
        drop(free);
    }

    #[test]
    fn panic_in_a_job_harms_no_other() {
        let line = DelayLine::new().unwrap();
        let live = live(Delay::For(Duration::from_millis(1)));
        for _ in 0..2 * MIN_WORKERS {
            // Without the panic hook: a backtrace from it would take seconds on a busy machine.
            line.run(Box::new(|| resume_unwind(Box::new("on purpose"))));
            let job = Box::new(|_, _| resume_unwind(Box::new("on purpose")));
            line.hold(hit(&live, 0), Instant::now(), job);
        }
        assert_eq!(outcome(&hold(&line, hit(&live, 0))), Outcome::Due);
        assert!(line.shutdown());
        assert!(nothing_held(&line, &live));
    }

    #[test]
    fn lift_of_a_fault_that_is_gone_is_dropped() {
        let line = DelayLine::new().unwrap();
        let live = live(Delay::UntilCleared);
        let (tell, told) = channel::<()>();
        let lift = Box::new(move || tell.send(()).unwrap());
        line.lift_at(Instant::now() + Duration::from_secs(3600), Arc::clone(&live), lift);
        live.reduce(MethodSet::EMPTY);
        line.release();
        assert!(told.recv_timeout(PATIENCE).is_err(), "dropped, not run");
        assert!(line.line.queue.lock().waiting.is_empty());
    }

    #[test]
    fn any_delay_can_be_held() {
        let line = DelayLine::new().unwrap();
        let century = Duration::from_secs(100 * 365 * 86_400);
        for delay in [Duration::MAX, century, Duration::from_micros(i32::MAX as u64)] {
            let live = live(Delay::For(delay));
            let told = hold(&line, hit(&live, 0));
            assert_eq!(line.held(), 1);
            live.reduce(MethodSet::EMPTY);
            line.release();
            assert_eq!(outcome(&told), Outcome::Released);
        }
    }
}
