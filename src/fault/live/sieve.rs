//! What a fault lets by before it counts, and where its reads are decided.

use super::*;
use crate::fault::kinds::sketches::sketch;
use crate::fault::operation::{Caller, Span};
use crate::fault::testing::{fault, request};
use crate::ops::Call;

const MS: Duration = Duration::from_millis(1);

fn live(fault: Fault) -> Live {
    Live::new(FaultId(1), Arc::new(fault), 1)
}

/// A request that arrives so long after the fault was set.
fn aged(live: &Live, call: Call, age: Duration) -> Operation<'static> {
    request(call, 0).arrived_at(live.since + age)
}

fn matched(live: &Live) -> (u64, u64) {
    (live.tally().matched, live.skipped())
}

#[test]
fn filters_and_phases_let_by_without_counting() {
    let live = live(fault("error EIO -m write --uid 7 --starts 1s --on-for 10ms --off-for 20ms"));
    let by = |uid, age: u32| {
        let caller = Caller { tid: 0, uid, gid: 0 };
        let at = live.since + age * MS;
        live.strike(&Operation::new(Call::Write, caller, 7).arrived_at(at)).is_some()
    };
    let hits: Vec<bool> = [999, 1000, 1009, 1010, 1029, 1030].map(|age| by(7, age)).into();
    assert_eq!(hits, [false, true, true, false, false, true]);
    assert!(!by(8, 1000));
    assert_eq!(matched(&live), (3, 0));
}

#[test]
fn what_arrives_while_it_is_off_spends_nothing() {
    let line = "error EIO -m write --after 1 --nth 2 --count 2 --on-for 10ms --off-for 20ms";
    let live = live(fault(line));
    let hits = |ages: &[u32]| -> Vec<bool> {
        ages.iter().map(|age| live.strike(&aged(&live, Call::Write, *age * MS)).is_some()).collect()
    };
    let of_first_rounds = hits(&[0, 10, 11, 29, 1, 12, 30, 13, 31]);
    assert_eq!(of_first_rounds, [false, false, false, false, false, false, true, false, false]);
    assert_eq!(hits(&[25, 60, 61]), [false, true, false]);
    assert_eq!(matched(&live), (5, 0));
}

#[test]
fn a_delay_grows_from_its_start_also_while_it_is_off() {
    let line = "delay 10ms -m write --starts 1s --on-for 1s --off-for 1s --ramp x1..x5/4s";
    let live = live(fault(line));
    let held = |ms| {
        let op = aged(&live, Call::Write, ms * MS);
        let mut plan = Plan::default();
        live.plan(&op, &live.strike(&op)?, &mut plan);
        match plan.before {
            Hold::Until(due) => Some(due.duration_since(op.arrived()).as_millis()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        [1_000, 1_500, 2_500, 3_500, 5_000, 9_000].map(held),
        [Some(10), Some(15), None, Some(35), Some(50), Some(50)]
    );
    for (delay, held) in [("10ms --when after", 20 * MS), ("x4,max=5ms", 10 * MS)] {
        let after = self::live(fault(&format!("delay {delay} -m write --ramp x2..x2/1s")));
        let op = aged(&after, Call::Write, MS);
        let mut plan = Plan::default();
        after.plan(&op, &after.strike(&op).unwrap(), &mut plan);
        assert_eq!((plan.before, plan.after.wait(Some(3 * MS))), (Hold::No, held), "{delay}");
    }
}

#[test]
fn what_it_cannot_act_on_is_skipped_and_counts_as_no_match() {
    let (fault, _) = sketch("failing-sync", Call::Fdatasync.methods());
    let fault = fault.with_chance(Chance { after: 1, ..Chance::default() }).unwrap();
    let live = live(fault);
    // Skipped ones do not use up what may pass first.
    let hits = [Call::Write, Call::Write, Call::Fsync, Call::Write, Call::Fsync]
        .map(|call| live.strike(&request(call, 0)).is_some());
    assert_eq!(hits, [false, false, false, false, true]);
    assert_eq!(matched(&live), (2, 3));
}

#[test]
fn a_hang_lets_go_at_the_end_of_its_phase_and_does_no_more() {
    let live = live(fault("hang --and 'error EIO' -m write --on-for 10ms --off-for 1s"));
    let op = aged(&live, Call::Write, 4 * MS);
    let strike = live.strike(&op).unwrap();
    let mut plan = Plan::default();
    live.plan(&op, &strike, &mut plan);
    assert_eq!(plan.before, Hold::Until(live.since + 10 * MS));
    assert_eq!(plan.errno(), None);
    // A delay is over when it is over, and what comes then comes.
    let live = self::live(fault("delay 1ms --and 'error EIO' -m write --on-for 1s --off-for 1s"));
    let op = aged(&live, Call::Write, 4 * MS);
    let mut plan = Plan::default();
    live.plan(&op, &live.strike(&op).unwrap(), &mut plan);
    assert_eq!(plan.before, Hold::Until(op.arrived() + MS));
    assert!(plan.errno().is_some());
}

#[test]
fn reads_are_decided_where_the_fault_looks_at_them() {
    let reads = Call::Read.methods();
    let read = || {
        let mut op = request(Call::Read, 0);
        op.span = Some(Span { offset: 0, len: 4096 });
        op
    };
    let (mut paged, mut announced) = (read(), read());
    (paged.is_paged, announced.is_paged, announced.is_announced) = (true, true, true);
    let getattr = request(Call::GetattrHandle, 0);
    let past_cache = read();
    // By call: at the GETATTR before, or unannounced. By bytes: past the cache. As a disk: on arrival.
    for (fault, expected, hidden, opens) in [
        (fault("error EIO -m read"), [true, false, true, true], true, true),
        (fault("error EIO -m read --range 0..1"), [false, false, false, true], false, true),
        (sketch("bad-spot", reads).0, [true, true, false, true], false, false),
    ] {
        let live = live(fault);
        let decided = [&paged, &announced, &getattr, &past_cache]
            .map(|op| live.reads().decided_at(op, reads) == reads);
        assert_eq!(decided, expected, "{:?}", live.fault);
        assert_eq!(live.reads().hidden_by_caches(reads) == reads, hidden, "{:?}", live.fault);
        assert_eq!(live.reads().opens_past_cache(), opens, "{:?}", live.fault);
    }
}

#[test]
fn requests_of_processes_that_cannot_be_seen_are_told() {
    let own = std::process::id();
    let by_pid = live(fault(&format!("error EIO -m write --pid {own}")));
    let kernel = || {
        let mut op = request(Call::Write, 0);
        op.writeback = true;
        op
    };
    let seen = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
    assert!(by_pid.strike(&request(Call::Write, seen)).is_some());
    assert!(by_pid.strike(&kernel()).is_none());
    assert_eq!(by_pid.unseen(), 0);
    assert!(by_pid.strike(&request(Call::Write, 0)).is_none());
    assert_eq!((by_pid.unseen(), by_pid.tally().matched), (1, 1));
    let by_uid = live(fault("error EIO -m write --uid 0"));
    assert!(by_uid.strike(&request(Call::Write, 0)).is_some());
    assert_eq!(by_uid.unseen(), 0);
}
