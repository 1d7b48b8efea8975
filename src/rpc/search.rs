//! A look through what is below the mount, in a thread of its own: a backing that is slow, or never answers,
//! keeps neither who asked nor the thread of that connection.
//!
//! Invariant: there is one such thread at a time, be it one that was given up, so that what hangs takes one
//! and no more. Lock rule: what was found is locked for memory work only.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::files::{Files, Visited};
use super::values::WirePath;
use crate::fault::Pattern;

/// Stack of a thread that looks at patterns: what [`Pattern`] needs, whose engines recurse, and as much
/// again. An overflow would end the daemon. It is address space only, until used.
pub(super) const STACK: usize = 2 * 1024 * 1024;

/// The bytes that the paths which are told may have together.
const MOST_BYTES: usize = 1 << 20;

/// How much is looked at for one call.
const MOST_SEEN: u64 = 1_000_000;

/// After so long it is asked whether somebody still waits.
const PAUSE: Duration = Duration::from_millis(20);

/// What is looked for.
pub(super) struct Wanted {
    pub(super) pattern: Pattern,
    /// Only there.
    pub(super) below: PathBuf,
    /// So many paths are told at most.
    pub(super) most: usize,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) paths: Vec<WirePath>,
    pub(super) matching: u64,
    pub(super) seen: u64,
    pub(super) visited: Visited,
}

/// Why nothing was looked at.
pub(super) enum Failed {
    /// One that was asked for before has not come to its end.
    Busy,
    /// No thread starts, or the root cannot be read.
    Error(io::Error),
}

/// The only place for one who looks.
#[derive(Debug, Default)]
pub(super) struct Place(Arc<AtomicBool>);

/// Whose it is. Dropping it gives it back.
struct Taken(Arc<AtomicBool>);

impl Place {
    fn take(&self) -> Option<Taken> {
        let is_free = !self.0.swap(true, Ordering::AcqRel);
        is_free.then(|| Taken(Arc::clone(&self.0)))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Looks through the files until then, or for as long as somebody waits.
///
/// # Errors
/// Nothing was looked at.
pub(super) fn search(
    (place, files): (&Place, &Files),
    wanted: Wanted,
    until: Instant,
    waits: &dyn Fn() -> bool,
) -> Result<Found, Failed> {
    let goes_on = || Instant::now() < until && waits();
    let taken = loop {
        match place.take() {
            Some(taken) => break taken,
            None if !goes_on() => return Err(Failed::Busy),
            None => thread::sleep(PAUSE),
        }
    };
    let (found, given_up) =
        (Arc::new(Mutex::new(Found::default())), Arc::new(AtomicBool::new(false)));
    let (tell, told) = channel();
    let mut search = Search { wanted, found: Arc::clone(&found), visited: 0, bytes: 0 };
    let (files, is_over) = (files.clone(), Arc::clone(&given_up));
    let work = move || {
        let walked =
            files.walk(&|| !is_over.load(Ordering::Relaxed), &mut |path| search.visit(path));
        // Before the next one can come.
        drop(taken);
        let _ = tell.send(walked);
    };
    let spawned = thread::Builder::new().name("slowfs-match".into()).stack_size(STACK).spawn(work);
    spawned.map_err(Failed::Error)?;
    let visited = loop {
        match told.recv_timeout(PAUSE.min(until.saturating_duration_since(Instant::now()))) {
            Ok(walked) => break walked.map_err(Failed::Error)?,
            Err(RecvTimeoutError::Timeout) if goes_on() => {}
            Err(_) => break Visited::default(),
        }
    };
    given_up.store(true, Ordering::Relaxed);
    let found = std::mem::take(&mut *found.lock());
    Ok(Found { visited, ..found })
}

struct Search {
    wanted: Wanted,
    found: Arc<Mutex<Found>>,
    visited: u64,
    /// Of the paths that are told.
    bytes: usize,
}

impl Search {
    fn visit(&mut self, path: &[u8]) -> ControlFlow<(), bool> {
        if self.visited == MOST_SEEN {
            return ControlFlow::Break(());
        }
        self.visited += 1;
        let Wanted { pattern, below, most } = &self.wanted;
        let place = Path::new(OsStr::from_bytes(path));
        if !place.starts_with(below) {
            return ControlFlow::Continue(below.starts_with(place));
        }
        let is_match = pattern.matches(path);
        let mut found = self.found.lock();
        found.seen += 1;
        if is_match {
            found.matching += 1;
            self.bytes += path.len();
            if found.paths.len() < *most && self.bytes <= MOST_BYTES {
                found.paths.push(WirePath::of(path));
            }
        }
        ControlFlow::Continue(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn wanted(below: &str) -> Wanted {
        Wanted { pattern: Pattern::new(".*a").unwrap(), below: below.into(), most: 2 }
    }

    fn of(files: &Files, within: Duration, waits: &dyn Fn() -> bool) -> Found {
        let place = Place::default();
        let until = Instant::now() + within;
        search((&place, files), wanted("/"), until, waits).ok().unwrap()
    }

    #[test]
    fn only_the_way_and_what_is_below_is_looked_into() {
        let found = Arc::new(Mutex::default());
        let mut search =
            Search { wanted: wanted("/d/b"), found: Arc::clone(&found), visited: 0, bytes: 0 };
        let mut enters = |path: &str| search.visit(path.as_bytes()) == ControlFlow::Continue(true);
        assert!(enters("/d") && enters("/d/b") && enters("/d/b/a") && enters("/d/b/aa"));
        assert!(!enters("/d/a") && !enters("/d/ba") && enters("/d/b/aaa"));
        let Found { paths, matching, seen, .. } = std::mem::take(&mut *found.lock());
        assert_eq!((paths.len(), matching, seen), (2, 3, 4));
    }

    #[test]
    fn a_search_ends_when_too_much_is_there() {
        let endless = Files::new(|_, visit| {
            let mut walked = Visited::default();
            while visit(b"/a").is_continue() {
                walked.left_out += 1;
            }
            Ok(walked)
        });
        let found = of(&endless, LONG, &|| true);
        assert_eq!((found.seen, found.visited.left_out), (MOST_SEEN, MOST_SEEN));
        assert!(!found.visited.whole && found.paths.len() == 2);
    }

    /// Directories without a name in them, say.
    #[test]
    fn a_search_ends_in_time_and_when_nobody_waits_though_nothing_is_found() {
        let (end, ended) = channel();
        let empty = Files::new(move |goes_on, _| {
            while goes_on() {
                thread::sleep(Duration::from_millis(1));
            }
            end.send(()).unwrap();
            Ok(Visited::default())
        });
        assert!(!of(&empty, Duration::ZERO, &|| true).visited.whole);
        ended.recv_timeout(LONG).unwrap();
        assert!(!of(&empty, LONG, &|| false).visited.whole);
        ended.recv_timeout(LONG).unwrap();
    }

    #[test]
    fn what_hangs_is_given_up_and_takes_one_thread() {
        let (open, opened) = channel::<()>();
        let (enter, entered) = channel();
        let opened = Mutex::new(opened);
        let hanging = Files::new(move |_, visit| {
            let _ = visit(b"/a");
            enter.send(()).unwrap();
            let _ = opened.lock().recv();
            let _ = visit(b"/aa");
            Ok(Visited { left_out: 0, whole: true })
        });
        let place = Place::default();
        let ask = || search((&place, &hanging), wanted("/"), Instant::now(), &|| true);
        let found = ask().ok().unwrap();
        assert!(!found.visited.whole, "{found:?}");
        entered.recv_timeout(LONG).unwrap();
        for _ in 0..3 {
            assert!(matches!(ask(), Err(Failed::Busy)));
        }
        assert!(entered.try_recv().is_err(), "another thread looks");
        drop(open);
        let later = || search((&place, &hanging), wanted("/"), Instant::now() + LONG, &|| true);
        let found = later().ok().unwrap();
        assert_eq!((found.seen, found.visited.whole), (2, true));
    }
}
