//! Many operations at one moment: their jobs take as many threads as they block, not as they are.

use std::sync::mpsc::channel;

use super::tests::{PATIENCE, delayed, hit, hold_hit, live, outcome};
use super::*;
use crate::fault::live::Live;
use crate::fault::testing;
use crate::ops::{Call, MethodSet};

const CROWD: usize = 2_000;

/// A dozen on an idle machine; on a busy one a thread may take long to come and find others' jobs. One for
/// each job would be twice as many.
const FEW: usize = CROWD / 2;

/// Holds a crowd that arrived at one moment, has `free` free it, and waits for all; the line's threads.
fn threads_for(live: &Arc<Live>, free: impl FnOnce(&DelayLine)) -> usize {
    let line = DelayLine::new().unwrap();
    let (tell, told) = channel();
    let arrived = Instant::now();
    for _ in 0..CROWD {
        let tell = tell.clone();
        line.hold(hit(live, 0), arrived, true, Box::new(move |_, _| tell.send(()).unwrap()));
    }
    free(&line);
    for _ in 0..CROWD {
        told.recv_timeout(PATIENCE).unwrap();
    }
    let [_, own] = line.load();
    own.threads
}

#[test]
fn quick_jobs_that_are_released_at_once_share_few_threads() {
    let live = live("hang");
    let threads = threads_for(&live, |line| {
        live.reduce(MethodSet::EMPTY);
        assert_eq!(line.release(), CROWD);
    });
    assert!(threads < FEW, "{threads}");
}

#[test]
fn quick_jobs_that_are_due_at_once_share_few_threads() {
    let threads = threads_for(&delayed(Duration::from_millis(500)), |_| {});
    assert!(threads < FEW, "{threads}");
}

#[test]
fn what_only_answers_waits_for_nobody_who_blocks() {
    const MOST: usize = 4;
    let line = DelayLine::limited(MOST).unwrap();
    let (open, opened) = channel::<()>();
    let opened = Arc::new(Mutex::new(opened));
    let delay = Duration::from_millis(50);
    let (live, arrived) = (delayed(delay), Instant::now());
    for _ in 0..4 * MOST {
        let opened = Arc::clone(&opened);
        let job = Box::new(move |_: Hit, _: Outcome| opened.lock().recv().unwrap_or_default());
        line.hold(hit(&live, 0), arrived, true, job);
    }
    // Due after them, and seen with them.
    let (lift, lifted) = channel();
    let due = Instant::now() + delay;
    let job = Box::new(move || lift.send(Instant::now()).unwrap());
    line.lift_at(due, live.left(), job);
    let queue = line.line.queue.lock();
    std::thread::sleep(2 * delay);
    drop(queue);
    assert!(lifted.recv_timeout(PATIENCE).unwrap() >= due);
    drop(open);
}

#[test]
fn who_is_awake_does_what_is_due_before_the_leader_comes() {
    let line = DelayLine::limited(workers::MIN_WORKERS).unwrap();
    let delay = Duration::from_millis(1);
    let live = delayed(delay);
    // One thread works, and the other leads.
    let (begun, began) = channel();
    let (go_on, goes_on) = channel::<()>();
    let job = move |_: Hit, _| {
        begun.send(()).unwrap();
        goes_on.recv().unwrap_or_default();
    };
    line.hold(hit(&live, 0), Instant::now(), true, Box::new(job));
    began.recv_timeout(PATIENCE).unwrap();
    // Which is busy itself now.
    let (busy, is_busy) = channel();
    let (open, opened) = channel::<()>();
    let lift = move || {
        busy.send(()).unwrap();
        opened.recv().unwrap_or_default();
    };
    line.lift_at(Instant::now(), live.left(), Box::new(lift));
    is_busy.recv_timeout(PATIENCE).unwrap();
    // It arrived so long ago that it is due.
    let arrived = Instant::now().checked_sub(2 * delay).unwrap();
    let late = testing::request(Call::Write, 0).arrived_at(arrived);
    let due = hold_hit(&line, testing::strike_on(&[&live], &late).unwrap(), arrived);
    drop(go_on);
    assert_eq!(outcome(&due), Outcome::Due);
    drop(open);
}
