//! Many operations at one moment: their jobs take as many threads as they block, not as they are.

use std::sync::mpsc::channel;

use super::tests::{PATIENCE, delayed, hit, live};
use super::*;
use crate::fault::live::Live;
use crate::ops::MethodSet;

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
