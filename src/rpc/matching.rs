//! The calls that tell what meets what, from both sides: the files that a pattern matches, the faults that
//! a path meets. What is there is found by who serves the mount; no path that a client names is opened. No
//! locks.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::client::Client;
use super::connection::{ClientError, arguments};
use super::handler::{Handler, Refusal};
use super::record::{Wire, record};
use super::records::ListedFault;
use super::values::WirePath;
use super::wire::{os_text, signed};
use crate::fault::words::visible;
use crate::fault::{Pattern, Reach};

/// Paths that are told of at once, and the bytes that they may have together.
const MOST: i64 = 1_000;
const MOST_BYTES: usize = 1 << 20;

/// How much is looked at for one call, and how long.
const MOST_SEEN: u64 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(3);

/// After so many it is asked whether somebody still waits, and how late it is.
const STEP: u64 = 1_024;

record! {
    /// The files and directories that a pattern matches now.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Matched = "Matched" {
        /// Those of them that were found first, as many as were asked for, sorted.
        1: paths: Vec<WirePath>,
        /// How many match.
        2: matching: i64,
        /// How many were looked at.
        3: seen: i64,
        /// Directories that were not looked into: others are mounted there, or they cannot be read.
        4: left_out: i64,
        /// Whether that was all; else there were too many.
        5: whole: bool,
        /// That the pattern never matches here, with what may be meant.
        6: warnings: Vec<String>,
    }
}

record! {
    /// What a path meets.
    #[derive(Clone, Debug, Default, PartialEq, Serialize)]
    pub struct Met = "Met" {
        /// The path in the backing, which is what patterns match.
        1: path: WirePath,
        /// The faults that requests on it meet, in the order in which they are consulted.
        2: faults: Vec<ListedFault>,
        /// How many others are in force.
        3: others: i64,
    }
}

impl Handler {
    /// Looks through what is there, for as long as somebody waits.
    pub(super) fn match_files(
        &self,
        pattern: &str,
        (below, most): (&WirePath, i64),
        waits: &dyn Fn() -> bool,
    ) -> Result<Matched, Refusal> {
        let pattern = Pattern::new(pattern).map_err(|e| Refusal::Own(e.to_string()))?;
        let missed = self.reach().missed_by(&pattern);
        let below = match below.0.as_os_str().is_empty() {
            true => self.reach().backing,
            false => self.place(&below.0)?,
        };
        let most = usize::try_from(most.clamp(0, MOST)).unwrap_or_default();
        let began = Instant::now();
        let found = Matched { whole: true, ..Matched::default() };
        let mut search =
            Search { pattern, below: &below, most, waits, began, visited: 0, bytes: 0, found };
        let walked = self.config.files.walk(&mut |path| search.visit(path));
        let left_out = walked.map_err(|error| {
            let backing = visible(&self.config.mount.backing.to_string_lossy());
            Refusal::Own(format!("cannot read {backing}: {}", os_text(&error)))
        })?;
        let Search { mut found, .. } = search;
        found.left_out = signed(left_out);
        found.warnings.extend(missed);
        found.paths.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }

    /// The faults that requests on a path meet, found as requests find them.
    pub(super) fn match_path(&self, path: &WirePath) -> Result<Met, Refusal> {
        let path = self.place(&path.0)?;
        let meeting = self.table.meeting(path.as_os_str().as_bytes());
        let others = self.table.list().len().saturating_sub(meeting.len());
        let faults = meeting.into_iter().map(|fault| self.listed_here(fault)).collect();
        Ok(Met { path: WirePath(path), faults, others: i64::try_from(others).unwrap_or(i64::MAX) })
    }

    /// A path of the mount, or of what is behind it, as the faults' patterns see it.
    fn place(&self, path: &Path) -> Result<PathBuf, Refusal> {
        let reach = self.reach();
        reach.place(path).ok_or_else(|| {
            let shown = |path: &Path| visible(&path.to_string_lossy());
            Refusal::Own(format!(
                "{} lies neither below {} nor below {}, which is mirrored there",
                shown(path),
                shown(&reach.mountpoint),
                shown(&reach.backing)
            ))
        })
    }

    fn reach(&self) -> Reach {
        let mount = &self.config.mount;
        Reach { backing: mount.backing.clone(), mountpoint: mount.mountpoint.clone() }
    }
}

/// One look through what is there.
struct Search<'a> {
    pattern: Pattern,
    below: &'a Path,
    most: usize,
    waits: &'a dyn Fn() -> bool,
    began: Instant,
    visited: u64,
    /// Of the paths that are told.
    bytes: usize,
    found: Matched,
}

impl Search<'_> {
    fn visit(&mut self, path: &[u8]) -> ControlFlow<(), bool> {
        self.visited += 1;
        let is_late = || self.began.elapsed() >= PATIENCE || !(self.waits)();
        if self.visited > MOST_SEEN || self.visited.is_multiple_of(STEP) && is_late() {
            self.found.whole = false;
            return ControlFlow::Break(());
        }
        let place = Path::new(OsStr::from_bytes(path));
        if !place.starts_with(self.below) {
            return ControlFlow::Continue(self.below.starts_with(place));
        }
        self.found.seen += 1;
        if self.pattern.matches(path) {
            self.found.matching += 1;
            self.bytes += path.len();
            if self.found.paths.len() < self.most && self.bytes <= MOST_BYTES {
                self.found.paths.push(WirePath::of(path));
            }
        }
        ControlFlow::Continue(true)
    }
}

impl Client {
    /// The files and directories below that path (empty: all) which the pattern matches now: how many, and
    /// the paths of some, `most` and 1,000 at most.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if that is no pattern, or the path is not of that mount.
    pub fn match_files(
        &mut self,
        pattern: &str,
        below: &Path,
        most: i64,
    ) -> Result<Matched, ClientError> {
        let wanted = [pattern.to_owned().value(), WirePath(below.to_owned()).value(), most.value()];
        self.0.fetch("match_files", arguments(wanted))
    }

    /// The faults that requests on a path meet: one of the mount, or of the directory behind it.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if the path is not of that mount.
    pub fn match_path(&mut self, path: &Path) -> Result<Met, ClientError> {
        self.0.fetch("match_path", arguments([WirePath(path.to_owned()).value()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search<'a>(below: &'a Path, waits: &'a dyn Fn() -> bool) -> Search<'a> {
        let found = Matched { whole: true, ..Matched::default() };
        let (pattern, began) = (Pattern::new(".*a").unwrap(), Instant::now());
        Search { pattern, below, most: 2, waits, began, visited: 0, bytes: 0, found }
    }

    #[test]
    fn only_the_way_and_what_is_below_is_looked_into() {
        let mut search = search(Path::new("/d/b"), &|| true);
        let mut enters = |path: &str| search.visit(path.as_bytes()) == ControlFlow::Continue(true);
        assert!(enters("/d") && enters("/d/b") && enters("/d/b/a") && enters("/d/b/aa"));
        assert!(!enters("/d/a") && !enters("/d/ba") && enters("/d/b/aaa"));
        let Matched { paths, matching, seen, whole, .. } = search.found;
        assert_eq!((paths.len(), matching, seen, whole), (2, 3, 4, true));
    }

    #[test]
    fn a_search_ends_when_nobody_waits_or_too_much_is_there() {
        let mut gone = search(Path::new("/"), &|| false);
        let visited = (1..).find(|_| gone.visit(b"/x").is_break());
        assert_eq!((visited, gone.found.whole), (Some(STEP), false));
        let mut endless = search(Path::new("/"), &|| true);
        endless.visited = MOST_SEEN - 1;
        assert!(endless.visit(b"/x").is_continue() && endless.visit(b"/x").is_break());
        assert!(!endless.found.whole);
    }
}
