//! Operations that several faults hold at once.

use std::sync::mpsc::channel;

use super::tests::{PATIENCE, delayed, hit, hold_hit, live, nothing_held, outcome};
use super::*;
use crate::fault::FaultId;
use crate::fault::firing::Firing;
use crate::fault::kinds::sketches::sketch;
use crate::fault::live::Live;
use crate::fault::plan::Hold;
use crate::fault::testing::{self, strike_all};
use crate::ops::{Call, MethodSet};

const DELAY: Duration = Duration::from_millis(200);

#[test]
fn what_was_cleared_before_it_came_holds_nothing() {
    let line = DelayLine::new().unwrap();
    let (delay, hang) = (delayed(DELAY), live("hang"));
    let arrived = Instant::now();
    let hit = strike_all(&[&delay, &hang], Call::Write, 0).unwrap();
    hang.reduce(MethodSet::EMPTY);
    line.release();
    let told = hold_hit(&line, hit, arrived);
    let (outcome, took) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(outcome, Outcome::Due);
    assert!(took >= DELAY, "{took:?}");
    assert!(nothing_held(&line, &delay) && nothing_held(&line, &hang));
}

#[test]
fn each_method_is_the_business_of_the_fault_that_it_matched() {
    let line = DelayLine::new().unwrap();
    let (read, write) = (live("hang"), live("hang"));
    // A copy reads of one file, which the first matched, and writes to another.
    let op = testing::request(Call::CopyFrom, 0);
    let firing = |live: &Arc<Live>, call: Call| {
        let strike = live.strike(&op).unwrap();
        (Firing::new(live, Some(&strike), call.methods()), strike)
    };
    let (from, to) = (firing(&read, Call::CopyFrom), firing(&write, Call::CopyTo));
    let mut hit = Hit::new(from.0, &op);
    hit.fire(&op, &from.1);
    hit.add(to.0);
    hit.fire(&op, &to.1);
    let told = hold_hit(&line, hit, Instant::now());
    // The first keeps a method of the operation, but not one that it matched.
    read.reduce(Call::CopyTo.methods().minus(Call::CopyFrom.methods()));
    line.release();
    assert_eq!(read.held(), 0);
    assert_eq!(write.held(), 1);
    write.reduce(Call::CopyFrom.methods().minus(Call::CopyTo.methods()));
    line.release();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().0, Outcome::Released);
    assert!(nothing_held(&line, &read) && nothing_held(&line, &write));
}

#[test]
fn what_lost_a_holder_is_looked_at_once() {
    let line = DelayLine::new().unwrap();
    let (one, other) = (live("hang"), live("hang"));
    let hit = strike_all(&[&one, &other], Call::Write, 0).unwrap();
    let told = hold_hit(&line, hit, Instant::now());
    one.reduce(MethodSet::EMPTY);
    line.release();
    let place = || line.line.queue.lock().waiting.keys().next().map(|(_, serial)| *serial);
    let before = place();
    line.release();
    assert_eq!(place(), before, "it stays where it is");
    assert_eq!((one.held(), other.held()), (0, 1));
    other.reduce(MethodSet::EMPTY);
    line.release();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().0, Outcome::Released);
}

/// Holds an operation of a process that is gone; what comes out is its errno.
fn hold_for_nobody(line: &DelayLine, lives: &[&Arc<Live>]) -> (Outcome, Option<i32>) {
    let mut caller = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let hit = strike_all(lives, Call::Write, caller.id()).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let job = move |hit: Hit, outcome| {
        tell.send((outcome, hit.errno().map(crate::fault::Errno::raw))).unwrap();
    };
    line.hold(hit, Instant::now(), false, Box::new(job));
    caller.kill().unwrap();
    caller.wait().unwrap();
    told.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn who_is_let_go_is_answered_by_what_stands() {
    let line = DelayLine::new().unwrap();
    let (full, _) = sketch("filled", MethodSet::ALL);
    let full = Arc::new(Live::new(FaultId(2), Arc::new(full), 0));
    let failing = live("delay 1h --and 'error EIO'");
    for _ in 0..20 {
        let (outcome, errno) = hold_for_nobody(&line, &[&full, &failing]);
        let (alone, own) = hold_for_nobody(&line, &[&failing]);
        // A busy machine may have looked before it was gone.
        if [outcome, alone] == [Outcome::LetGo; 2] {
            assert_eq!((errno, own), (Some(libc::ENOSPC), None));
            assert_eq!((failing.let_go(), full.let_go()), (failing.let_go().max(1), 0));
            return;
        }
    }
    panic!("each was seen being killed");
}

#[test]
fn a_held_answer_waits_from_when_it_has_run_and_goes_with_its_fault() {
    let line = DelayLine::new().unwrap();
    let late = live("delay 200ms --when after");
    let answer = |caller| {
        let mut hit = hit(&late, caller);
        assert_eq!(hit.hold(), Hold::No);
        hit.has_run(None);
        assert_eq!(hit.hold(), Hold::for_time(hit.ran().unwrap(), DELAY));
        hit
    };
    let (outcome, took) =
        hold_hit(&line, answer(0), Instant::now()).recv_timeout(PATIENCE).unwrap();
    assert_eq!(outcome, Outcome::Due);
    assert!(took >= DELAY, "{took:?}");
    let mut caller = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let tid = caller.id();
    caller.kill().unwrap();
    assert_eq!(
        hold_hit(&line, answer(tid), Instant::now()).recv_timeout(PATIENCE).unwrap().0,
        Outcome::CallerKilled
    );
    caller.wait().unwrap();
    let told = hold_hit(&line, answer(0), Instant::now());
    late.reduce(MethodSet::EMPTY);
    line.release();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().0, Outcome::Released);
    assert!(nothing_held(&line, &late));
}

#[test]
fn what_others_ask_still_holds_when_one_is_cleared() {
    let line = DelayLine::new().unwrap();
    let (slow, hanging) = (live("delay 300ms"), live("hang"));
    let told =
        hold_hit(&line, strike_all(&[&slow, &hanging], Call::Write, 0).unwrap(), Instant::now());
    assert_eq!((line.held(), slow.held(), hanging.held()), (1, 1, 1));
    hanging.reduce(MethodSet::EMPTY);
    line.release();
    assert!(told.try_recv().is_err(), "the other still holds it");
    assert_eq!(outcome(&told), Outcome::Due);
    assert!(nothing_held(&line, &slow) && nothing_held(&line, &hanging));
    let (slow, hanging) = (live("delay 300ms"), live("hang"));
    let told =
        hold_hit(&line, strike_all(&[&slow, &hanging], Call::Write, 0).unwrap(), Instant::now());
    slow.reduce(MethodSet::EMPTY);
    line.release();
    assert!(told.recv_timeout(Duration::from_millis(400)).is_err(), "the hang holds it for ever");
    hanging.reduce(MethodSet::EMPTY);
    line.release();
    assert_eq!(outcome(&told), Outcome::Released);
}

#[test]
fn what_was_cleared_asks_nothing_when_the_rest_is_due() {
    let line = DelayLine::new().unwrap();
    let (failing, slow) = (live("hang --and 'error EIO'"), live("delay 100ms"));
    let (tell, told) = channel();
    let job = move |hit: Hit, outcome| tell.send((outcome, hit.errno())).unwrap();
    let hit = strike_all(&[&failing, &slow], Call::Write, 0).unwrap();
    line.hold(hit, Instant::now(), false, Box::new(job));
    failing.reduce(MethodSet::EMPTY);
    line.release();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), (Outcome::Due, None));
}
