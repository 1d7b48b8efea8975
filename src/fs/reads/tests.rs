//! The readers by themselves, without FUSE.

use std::sync::Arc;

use super::*;
use crate::fault::{DelayLine, FaultTable, Gate, Memo, Placement, Subject, operation, words};

const ONE: Ino = Ino(1);
const OTHER: Ino = Ino(2);

/// What is read, by no name.
struct Unnamed;

impl Subject for Unnamed {
    fn methods(&self) -> MethodSet {
        Call::Read.methods()
    }

    fn memo(&self) -> Option<&Memo> {
        None
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(b"");
    }
}

/// A fault that fails reads, and what it does to one.
fn failing() -> (Arc<FaultTable>, Hit) {
    let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
    let (words, _) = words::line("error EIO -m read").unwrap();
    table.put(words.fault().unwrap(), Placement::Add).unwrap();
    let view = Operation::new(Call::Read, operation::Caller::default(), ONE.0);
    let hit = Gate::new(Arc::clone(&table)).decide(&[&Unnamed], &view).expect("it fires");
    (table, hit)
}

#[test]
fn a_span_holds_what_lies_within_it() {
    let all = Span { offset: 4096, len: 8192 };
    for (offset, len, held) in
        [(4096, 8192, true), (8192, 4096, true), (0, 4096, false), (8192, 8192, false)]
    {
        assert_eq!(all.holds(Span { offset, len }), held, "{offset} {len}");
    }
    assert!(!all.holds(Span { offset: u64::MAX, len: u64::MAX }));
}

#[test]
fn announcements_are_of_one_thread_and_inode() {
    let readers = Readers::default();
    readers.announce(7, ONE, false);
    assert!(readers.is_announced(7, ONE) && !readers.is_announced(7, OTHER));
    assert!(!readers.is_announced(8, ONE));
    readers.announce(7, OTHER, false);
    assert!(!readers.is_announced(7, ONE), "a thread reads one file at a time");
    readers.forget();
    assert!(!readers.is_announced(7, OTHER));
}

#[test]
fn a_ring_announces_a_read_that_waits_twice() {
    let readers = Readers::default();
    assert!(readers.announce(7, ONE, true), "found in the cache");
    assert!(readers.announce(7, ONE, true));
    readers.reads(7);
    readers.reads(7);
    assert!(!readers.announce(7, ONE, true), "goes on");
    assert!(readers.announce(7, ONE, true));
    readers.reads(7);
    assert!(readers.announce(7, OTHER, true), "another file");
    assert!(readers.announce(7, ONE, false));
    readers.reads(7);
    assert!(readers.announce(7, ONE, false), "by no ring");
}

#[test]
fn what_may_be_a_write_announces_no_read_but_goes_on_with_one() {
    let readers = Readers::default();
    readers.doubt(7, ONE);
    assert!(!readers.is_announced(7, ONE));
    assert!(readers.announce(7, ONE, true));
    readers.reads(7);
    readers.doubt(7, ONE);
    assert!(readers.is_announced(7, ONE), "the read that was begun");
    readers.doubt(7, ONE);
    assert!(!readers.is_announced(7, ONE), "another one, or a write");
}

#[test]
fn a_read_that_failed_is_repeated_while_its_fault_is_set() {
    let (readers, (table, hit)) = (Readers::default(), failing());
    let span = Span { offset: 0, len: 8192 };
    let failed = || Failed {
        ino: ONE,
        span,
        hit: hit.repeat().unwrap(),
        until: Instant::now() + Duration::from_secs(20),
        left: 1,
    };
    readers.fail(7, failed());
    let page = Span { offset: 4096, len: 4096 };
    assert!(readers.repeated(7, OTHER, page).is_none() && readers.repeated(8, ONE, page).is_none());
    let again = readers.repeated(7, ONE, page).unwrap();
    assert!(again.is_repeated() && again.errno().is_some());
    assert!(readers.repeated(7, ONE, page).is_none(), "once");
    readers.fail(7, failed());
    table.clear_all();
    assert!(readers.repeated(7, ONE, page).is_none());
    readers.fail(7, failed());
    readers.forget();
    assert!(!readers.pending());
}

/// On a busy machine all of them together take long.
#[test]
fn each_repetition_has_as_long_as_the_first() {
    let (readers, (_table, hit)) = (Readers::default(), failing());
    let (hit, span) = (hit.repeat().unwrap(), Span { offset: 0, len: 8192 });
    let until = Instant::now() + SOON / 2;
    readers.fail(7, Failed { ino: ONE, span, hit, until, left: 3 });
    assert!(readers.repeated(7, ONE, span).is_some());
    assert!(readers.readers.lock()[&7].failed[0].until >= until + SOON / 2);
}

#[test]
fn readers_beyond_the_limit_are_forgotten_not_kept() {
    let readers = Readers::default();
    (1..=MOST_THREADS as u32 + 1).for_each(|tid| {
        readers.announce(tid, ONE, false);
    });
    assert!(readers.readers.lock().len() <= MOST_THREADS);
    assert!(readers.is_announced(MOST_THREADS as u32 + 1, ONE));
}
