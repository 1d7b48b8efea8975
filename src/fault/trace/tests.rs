//! What a reader is told, and what is dropped.

use super::*;

const READER: Origin = Origin::Local { pid: 1, uid: 0, gid: 0, connection: 1 };
const OTHER: Origin = Origin::Local { pid: 1, uid: 0, gid: 0, connection: 2 };

fn all() -> Wanted {
    Wanted { methods: MethodSet::ALL, pattern: Pattern::any(), fired: false }
}

fn named(path: &str) -> Event {
    Event { path: Some(path.into()), ..Event::default() }
}

/// Of a request that arrived while this trace goes on.
fn push(tracing: Tracing<'_>, path: &str) {
    let wanted = tracing.wanted().unwrap();
    tracing.push(named(path), &wanted);
}

fn seqs(fetched: &Fetched) -> Vec<u64> {
    fetched.events.iter().map(|event| event.seq).collect()
}

#[test]
fn events_come_in_order_and_once() {
    let (trace, mask) = (Trace::default(), MaskWord::default());
    let tracing = Tracing::new(&trace, &mask);
    tracing.push(named("before"), &Arc::new(all()));
    tracing.start(READER, all()).unwrap();
    (0..5).for_each(|n| push(tracing, &n.to_string()));
    assert_eq!(seqs(&tracing.fetch(READER, 0, 2).unwrap()), [1, 2]);
    // Not taken note of: the same again.
    assert_eq!(seqs(&tracing.fetch(READER, 0, 2).unwrap()), [1, 2]);
    assert_eq!(seqs(&tracing.fetch(READER, 2, 10).unwrap()), [3, 4, 5]);
    assert!(tracing.fetch(READER, 5, 10).unwrap().events.is_empty());
}

#[test]
fn what_nobody_fetches_is_dropped_and_counted() {
    let (trace, mask) = (Trace::default(), MaskWord::default());
    let tracing = Tracing::new(&trace, &mask);
    tracing.start(READER, all()).unwrap();
    let (path, pushed) = ("x".repeat(64 << 10), 1_000);
    (0..pushed).for_each(|_| push(tracing, &path));
    let (mut after, mut got) = (0, 0);
    let dropped = loop {
        let fetched = tracing.fetch(READER, after, 1_000).unwrap();
        let Some(last) = fetched.events.last() else { break fetched.dropped };
        assert_eq!(fetched.events[0].seq, (after + 1).max(fetched.dropped + 1));
        after = last.seq;
        got += fetched.events.len() as u64;
    };
    assert_eq!(got + dropped, pushed);
    assert!(got as usize * path.len() <= ROOM && got > 200, "{got}");
}

#[test]
fn what_was_fetched_is_not_dropped() {
    let (trace, mask) = (Trace::default(), MaskWord::default());
    let tracing = Tracing::new(&trace, &mask);
    tracing.start(READER, all()).unwrap();
    let path = "x".repeat(64 << 10);
    (0..100).for_each(|_| push(tracing, &path));
    let last = *seqs(&tracing.fetch(READER, 0, 10).unwrap()).last().unwrap();
    (0..1_000).for_each(|_| push(tracing, &path));
    let fetched = tracing.fetch(READER, last, 10).unwrap();
    assert_eq!(fetched.events[0].seq, last + fetched.dropped + 1);
}

#[test]
fn one_reads_at_a_time_and_only_then_is_anything_traced() {
    let (trace, mask) = (Trace::default(), MaskWord::default());
    let tracing = Tracing::new(&trace, &mask);
    assert!(mask.load().is_empty() && tracing.wanted().is_none());
    tracing.start(READER, all()).unwrap();
    assert!(mask.load().traces() && tracing.wanted().is_some());
    assert_eq!(tracing.start(OTHER, all()), Err(InUse(READER)));
    assert!(tracing.fetch(OTHER, 0, 1).is_none() && !tracing.stop(OTHER));
    assert!(tracing.stop(READER) && mask.load().is_empty());
    assert!(tracing.fetch(READER, 0, 1).is_none());
}

#[test]
fn what_arrived_for_one_reader_is_told_to_no_other() {
    let (trace, mask) = (Trace::default(), MaskWord::default());
    let tracing = Tracing::new(&trace, &mask);
    tracing.start(READER, all()).unwrap();
    let wanted = tracing.wanted().unwrap();
    tracing.stop(READER);
    tracing.start(OTHER, all()).unwrap();
    tracing.push(named("path"), &wanted);
    assert!(tracing.fetch(OTHER, 0, 1).unwrap().events.is_empty());
}

#[test]
fn a_reader_that_fetches_nothing_is_left_behind() {
    let (trace, mask) = (Trace::default(), MaskWord::default());
    let tracing = Tracing::new(&trace, &mask);
    tracing.start(READER, all()).unwrap();
    let long_ago = Instant::now().checked_sub(PATIENCE + Duration::from_secs(1)).unwrap();
    trace.0.lock().tape.as_mut().unwrap().fetched = long_ago;
    assert!(tracing.fetch(READER, 0, 1).is_none());
    assert!(tracing.wanted().is_none() && mask.load().is_empty());
    tracing.start(OTHER, all()).unwrap();
}

#[test]
fn moments_are_those_of_the_clock_that_all_can_read() {
    let read = || {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    };
    let before = read();
    let at = monotonic_ns(Instant::now());
    // Their pair was read a moment apart.
    assert!((before - 1_000_000..=read() + 1_000_000).contains(&at));
    let later = Instant::now();
    let time = Duration::from_nanos(12_345);
    assert_eq!(monotonic_ns(later + time) - monotonic_ns(later), 12_345);
}

#[test]
fn the_end_is_told_with_the_last_that_came() {
    let (trace, mask) = (Trace::default(), MaskWord::default());
    let tracing = Tracing::new(&trace, &mask);
    tracing.start(READER, all()).unwrap();
    let wanted = tracing.wanted().unwrap();
    (0..3).for_each(|n| push(tracing, &n.to_string()));
    assert!(!tracing.fetch(READER, 0, 9).unwrap().ended);
    tracing.close();
    assert!(mask.load().is_empty() && tracing.last_fetched().is_some());
    // It arrived before, and is answered now.
    tracing.push(named("late"), &wanted);
    let first = tracing.fetch(READER, 0, 2).unwrap();
    assert!(seqs(&first) == [1, 2] && !first.ended);
    let last = tracing.fetch(READER, 2, 9).unwrap();
    assert!(seqs(&last) == [3, 4] && last.ended);
    assert!(tracing.stop(READER) && tracing.last_fetched().is_none());
}

#[test]
fn a_reader_that_comes_while_the_mount_ends_is_told_so_and_traces_nothing() {
    let (trace, mask) = (Trace::default(), MaskWord::default());
    let tracing = Tracing::new(&trace, &mask);
    tracing.close();
    tracing.start(READER, all()).unwrap();
    assert!(mask.load().is_empty());
    assert!(tracing.fetch(READER, 0, 9).unwrap().ended);
    // So is one that begins again.
    tracing.start(READER, all()).unwrap();
    assert!(tracing.fetch(READER, 0, 9).unwrap().ended && mask.load().is_empty());
}
