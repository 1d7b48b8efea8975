//! Many operations at one moment: their jobs take as many threads as they block, not as they are.

use std::sync::mpsc::channel;

use super::tests::{PATIENCE, delayed, hit, live};
use super::*;
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
