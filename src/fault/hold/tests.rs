//! The delay line as its users see it.

use std::panic::resume_unwind;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use super::alarm::Alarm;
use super::workers::MIN_WORKERS;
use super::*;
use crate::fault::live::Live;
use crate::fault::words::Plain;
use crate::fault::{Fault, FaultId, testing};
use crate::ops::{Call, MethodSet};

/// How long a test waits for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn live(words: &str) -> Arc<Live> {
    let fault = testing::fault(&format!("{words} -m all"));
    Arc::new(Live::new(FaultId(1), Arc::new(fault), 0))
}

pub(super) fn delayed(delay: Duration) -> Arc<Live> {
    let fault = Fault::on(MethodSet::ALL).unwrap();
    let fault = Plain { delay: Some(delay), ..Plain::default() }.done_by(fault).unwrap();
    Arc::new(Live::new(FaultId(1), Arc::new(fault), 0))
}

pub(super) fn hit(live: &Arc<Live>, caller: u32) -> Hit {
    testing::strike(live, Call::Write, caller).unwrap()
}

/// Holds an operation; what comes out is its outcome, and how long after its arrival.
fn hold(line: &DelayLine, live: &Arc<Live>, caller: u32) -> Receiver<(Outcome, Duration)> {
    let arrived = Instant::now();
    hold_hit(line, hit(live, caller), arrived)
}

pub(super) fn hold_hit(
    line: &DelayLine,
    hit: Hit,
    arrived: Instant,
) -> Receiver<(Outcome, Duration)> {
    let (tell, told) = channel();
    let job = move |_: Hit, outcome| tell.send((outcome, arrived.elapsed())).unwrap();
    line.hold(hit, arrived, false, Box::new(job));
    told
}

pub(super) fn outcome(told: &Receiver<(Outcome, Duration)>) -> Outcome {
    told.recv_timeout(PATIENCE).unwrap().0
}

pub(super) fn nothing_held(line: &DelayLine, live: &Live) -> bool {
    line.held() == 0 && live.held() == 0
}

#[test]
fn delay_is_never_short_and_not_much_longer() {
    let line = DelayLine::new().unwrap();
    for micros in [1, 50, 100, 1_000, 10_000, 50_000] {
        let delay = Duration::from_micros(micros);
        let live = delayed(delay);
        let lateness = (0..10)
            .map(|_| {
                let told = hold(&line, &live, 0);
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
fn one_delay_after_the_other_takes_one_thread() {
    let line = DelayLine::new().unwrap();
    let live = delayed(Duration::from_millis(1));
    let (tell, told) = channel();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let deadline = Instant::now() + PATIENCE;
        while !line.line.queue.lock().leading {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        let tell = tell.clone();
        let job = move |_: Hit, _| tell.send(std::thread::current().id()).unwrap();
        line.hold(hit(&live, 0), Instant::now(), false, Box::new(job));
        seen.push(told.recv_timeout(PATIENCE).unwrap());
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "no other was woken to wait for what there is not");
}

#[test]
fn how_late_it_wakes_is_seen() {
    let line = DelayLine::new().unwrap();
    let live = delayed(Duration::from_millis(1));
    let deadline = Instant::now() + PATIENCE;
    while line.line.queue.lock().alarm == Alarm::default() {
        assert!(Instant::now() < deadline);
        outcome(&hold(&line, &live, 0));
    }
}

#[test]
fn delays_run_beside_each_other() {
    let line = DelayLine::new().unwrap();
    let live = delayed(Duration::from_millis(100));
    let begin = Instant::now();
    let held: Vec<_> = (0..1000).map(|_| hold(&line, &live, 0)).collect();
    for told in held {
        assert_eq!(outcome(&told), Outcome::Due);
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    assert!(nothing_held(&line, &live));
}

#[test]
fn slow_job_does_not_delay_the_next() {
    let line = DelayLine::new().unwrap();
    let live = delayed(Duration::from_millis(1));
    let (free, stuck) = channel::<()>();
    let stuck = Arc::new(Mutex::new(stuck));
    for _ in 0..10 {
        let stuck = Arc::clone(&stuck);
        let job = move |_: Hit, _| {
            let _ = stuck.lock().recv();
        };
        line.hold(hit(&live, 0), Instant::now(), false, Box::new(job));
    }
    for _ in 0..10 {
        assert_eq!(outcome(&hold(&line, &live, 0)), Outcome::Due);
    }
    drop(free);
}

/// What lets jobs end that wait for it.
#[derive(Default)]
struct Latch(Mutex<bool>, Condvar);

impl Latch {
    fn wait(&self) {
        let mut open = self.0.lock();
        while !*open {
            self.1.wait(&mut open);
        }
    }

    fn open(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }
}

#[test]
fn what_is_due_does_not_wait_behind_other_work() {
    let line = DelayLine::new().unwrap();
    let latch: Arc<Latch> = Arc::default();
    for _ in 0..200 {
        let latch = Arc::clone(&latch);
        line.run(Box::new(move || latch.wait()));
    }
    let delay = Duration::from_millis(10);
    let (finite, endless) = (delayed(delay), live("hang"));
    let released = hold(&line, &endless, 0);
    let (outcome, took) = hold(&line, &finite, 0).recv_timeout(PATIENCE).unwrap();
    assert_eq!(outcome, Outcome::Due);
    assert!(took >= delay);
    endless.reduce(MethodSet::EMPTY);
    line.release();
    assert_eq!(self::outcome(&released), Outcome::Released);
    latch.open();
}

#[test]
fn beyond_the_limit_jobs_wait_and_what_only_answers_does_not() {
    const MOST: usize = 8;
    let line = DelayLine::limited(MOST).unwrap();
    let live = delayed(Duration::from_millis(1));
    let (tell, told) = channel();
    let latch: Arc<Latch> = Arc::default();
    for n in 0..4 * MOST {
        let (tell, latch) = (tell.clone(), Arc::clone(&latch));
        let job = move || {
            latch.wait();
            tell.send(()).unwrap();
        };
        if n % 2 == 0 {
            line.run(Box::new(job));
        } else {
            line.hold(hit(&live, 0), Instant::now(), false, Box::new(move |_, _| job()));
        }
    }
    // With all threads stuck the line still leads: a lifetime ends on time, an errno is answered,
    // and the caller that is gone is let go.
    let (lift, lifted) = channel();
    let job = move || lift.send(()).unwrap();
    line.lift_at(Instant::now() + Duration::from_millis(5), live.left(), Box::new(job));
    lifted.recv_timeout(PATIENCE).unwrap();
    let failing = self::live("delay 1ms --and 'error EIO'");
    assert_eq!(outcome(&hold(&line, &failing, 0)), Outcome::Due);
    let endless = self::live("hang");
    let mut caller = Command::new("sleep").arg("600").spawn().unwrap();
    let killed = hold(&line, &endless, caller.id());
    // Not waited for yet: what is left of it shows how it ended.
    caller.kill().unwrap();
    assert_eq!(outcome(&killed), Outcome::CallerKilled);
    caller.wait().unwrap();
    assert!(told.try_recv().is_err());
    latch.open();
    for _ in 0..4 * MOST {
        told.recv_timeout(PATIENCE).unwrap();
    }
    assert!(nothing_held(&line, &live));
}

#[test]
fn release_frees_cleared_operations_only() {
    let line = DelayLine::new().unwrap();
    let (cleared, kept) = (live("hang"), live("hang"));
    let first = hold(&line, &cleared, 0);
    let second = hold(&line, &kept, 0);
    // Fsync stays, but the operation is a write.
    cleared.reduce(Call::Fsync.methods());
    line.release();
    assert_eq!(outcome(&first), Outcome::Released);
    assert!(second.try_recv().is_err());
    assert_eq!(line.held(), 1);
    // One of its two names is enough to stay held.
    kept.reduce(MethodSet::from_iter(Call::Write.methods().iter().take(1)));
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
    let live = live("hang");
    let late = hit(&live, 0);
    live.reduce(MethodSet::EMPTY);
    line.release();
    assert_eq!(hold_hit(&line, late, Instant::now()).try_recv().unwrap().0, Outcome::Released);
}

#[test]
fn operation_of_a_killed_caller_is_freed() {
    let line = DelayLine::new().unwrap();
    let live = live("hang");
    let mut caller = Command::new("sleep").arg("600").spawn().unwrap();
    let own = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
    let killed = [caller.id(); 2].map(|tid| hold(&line, &live, tid));
    let others = [own, 0, u32::MAX].map(|tid| hold(&line, &live, tid));
    caller.kill().unwrap();
    let gone = Instant::now();
    for told in killed {
        assert_eq!(outcome(&told), Outcome::CallerKilled);
    }
    assert!(gone.elapsed() < Duration::from_secs(2), "{:?}", gone.elapsed());
    // One that comes later is not held at all.
    assert_eq!(hold(&line, &live, caller.id()).try_recv().unwrap().0, Outcome::CallerKilled);
    // A close is not either, however short: thousands may follow.
    let close = testing::strike(&delayed(BRIEF), Call::Flush, caller.id()).unwrap();
    let told = hold_hit(&line, close, Instant::now());
    assert_eq!(told.try_recv().unwrap().0, Outcome::CallerKilled);
    caller.wait().unwrap();
    assert_eq!(line.held(), 3);
    assert!(line.shutdown());
    for told in others {
        assert_eq!(outcome(&told), Outcome::Released);
    }
    assert!(nothing_held(&line, &live));
}

/// A thread of this process that waits until its sender is dropped.
fn thread_of_ours() -> (u32, std::sync::mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let (tell, told) = channel();
    let (end, ended) = channel::<()>();
    let thread = std::thread::spawn(move || {
        tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let _ = ended.recv();
    });
    (u32::try_from(told.recv().unwrap()).unwrap(), end, thread)
}

#[test]
fn operation_of_a_thread_that_ends_waits_on_while_its_process_lives() {
    let line = DelayLine::new().unwrap();
    let (hanging, delayed) = (live("hang"), delayed(Duration::from_secs(1)));
    let (tid, end, thread) = thread_of_ours();
    let hung = hold(&line, &hanging, tid);
    let late = hold(&line, &delayed, tid);
    drop(end);
    thread.join().unwrap();
    let (outcome, took) = late.recv_timeout(PATIENCE).unwrap();
    assert_eq!(outcome, Outcome::Due);
    assert!(took >= Duration::from_secs(1), "{took:?}");
    assert!(hung.try_recv().is_err());
    hanging.reduce(MethodSet::EMPTY);
    line.release();
    assert_eq!(hung.recv_timeout(PATIENCE).unwrap().0, Outcome::Released);
}

#[test]
fn operation_of_a_process_that_is_gone_is_let_go() {
    let line = DelayLine::new().unwrap();
    let live = live("hang");
    let mut caller = Command::new("sleep").arg("600").spawn().unwrap();
    let told = hold(&line, &live, caller.id());
    // Both before the next look, so that nothing shows how it ended.
    caller.kill().unwrap();
    caller.wait().unwrap();
    let (outcome, took) = told.recv_timeout(PATIENCE).unwrap();
    // A busy machine may have looked in between.
    match outcome {
        Outcome::LetGo => {
            assert!(took >= Duration::from_millis(200), "{took:?}");
            assert_eq!(live.let_go.load(Ordering::Relaxed), 1);
        }
        outcome => assert_eq!(outcome, Outcome::CallerKilled),
    }
    assert!(nothing_held(&line, &live));
}

#[test]
fn shutdown_releases_all_and_holds_no_more() {
    let line = DelayLine::new().unwrap();
    let live = live("hang");
    let held: Vec<_> = (0..100).map(|_| hold(&line, &live, 0)).collect();
    assert!(line.shutdown());
    for told in held {
        assert_eq!(told.try_recv().unwrap().0, Outcome::Released);
    }
    assert_eq!(hold(&line, &live, 0).try_recv().unwrap().0, Outcome::Released);
    let (tell, told) = channel();
    line.run(Box::new(move || tell.send(()).unwrap()));
    told.recv_timeout(PATIENCE).unwrap();
    assert!(nothing_held(&line, &live));
}

#[test]
fn shutdown_does_not_wait_for_ever() {
    let line = DelayLine::new().unwrap();
    let live = live("hang");
    let latch: Arc<Latch> = Arc::default();
    let stuck = Arc::clone(&latch);
    line.hold(hit(&live, 0), Instant::now(), false, Box::new(move |_, _| stuck.wait()));
    let begin = Instant::now();
    assert!(!line.shutdown());
    assert!(begin.elapsed() >= SHUTDOWN_BOUND);
    latch.open();
}

#[test]
fn panic_in_a_job_harms_no_other() {
    let line = DelayLine::new().unwrap();
    let live = delayed(Duration::from_millis(1));
    for _ in 0..2 * MIN_WORKERS {
        // Without the panic hook: a backtrace from it would take seconds on a busy machine.
        line.run(Box::new(|| resume_unwind(Box::new("on purpose"))));
        let job = Box::new(|_, _| resume_unwind(Box::new("on purpose")));
        line.hold(hit(&live, 0), Instant::now(), false, job);
    }
    assert_eq!(outcome(&hold(&line, &live, 0)), Outcome::Due);
    assert!(line.shutdown());
    assert!(nothing_held(&line, &live));
}

#[test]
fn lift_of_a_fault_that_is_gone_is_dropped() {
    let clear = |live: Arc<Live>| live.reduce(MethodSet::EMPTY);
    for go in [clear, drop] {
        let line = DelayLine::new().unwrap();
        let live = live("hang");
        let (tell, told) = channel::<()>();
        let lift = Box::new(move || tell.send(()).unwrap());
        line.lift_at(Instant::now() + Duration::from_secs(3600), live.left(), lift);
        assert_eq!(Arc::strong_count(&live), 1, "it keeps no fault");
        go(live);
        line.release();
        assert!(told.recv_timeout(PATIENCE).is_err(), "dropped, not run");
        assert!(line.line.queue.lock().waiting.is_empty());
    }
}

#[test]
fn any_delay_can_be_held() {
    let line = DelayLine::new().unwrap();
    let century = Duration::from_secs(100 * 365 * 86_400);
    for delay in [Duration::MAX, century, Duration::from_micros(i32::MAX as u64)] {
        let live = delayed(delay);
        let told = hold(&line, &live, 0);
        assert_eq!(line.held(), 1);
        live.reduce(MethodSet::EMPTY);
        line.release();
        assert_eq!(outcome(&told), Outcome::Released);
    }
}
