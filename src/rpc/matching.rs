//! The calls that tell what meets what, from both sides: the files that a pattern matches, the faults that
//! a path meets. What is there is found by who serves the mount; no path that a client names is opened. No
//! locks.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::client::Client;
use super::connection::{ClientError, arguments};
use super::handler::{Handler, Refusal};
use super::record::{Wire, record};
use super::records::ListedFault;
use super::search::{Failed, Found, Wanted, search};
use super::values::WirePath;
use super::wire::signed;
use crate::fault::words::visible;
use crate::fault::{Pattern, Reach};
use crate::sys::text_of;

/// Paths that are told of at once.
pub(super) const MOST: i64 = 1_000;

/// How long a call may look.
const PATIENCE: Duration = Duration::from_secs(3);

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
        /// Whether that was all; else there was too much, or it took too long.
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
        let until = Instant::now() + PATIENCE;
        let pattern = Pattern::new(pattern).map_err(|e| Refusal::Own(e.to_string()))?;
        let reach = self.reach()?;
        let missed = reach.missed_by(&pattern);
        let below = match below.0.as_os_str().is_empty() {
            true => reach.backing.clone(),
            false => self.place(&below.0)?,
        };
        let most = usize::try_from(most.clamp(0, MOST)).unwrap_or_default();
        let wanted = Wanted { pattern, below, most };
        let found = search((&self.looking, &self.config.files), wanted, until, waits);
        let Found { mut paths, matching, seen, visited } = found.map_err(|failed| {
            let backing = visible(&reach.backing.to_string_lossy());
            Refusal::Own(match failed {
                Failed::Error(error) => format!("cannot read {backing}: {}", text_of(&error)),
                Failed::Busy => format!(
                    "cannot read {backing}: an earlier look through it has not come to its end; ask again \
                     once it answers"
                ),
            })
        })?;
        paths.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let [matching, seen, left_out] = [matching, seen, visited.left_out].map(signed);
        let (whole, warnings) = (visited.whole, missed.into_iter().collect());
        Ok(Matched { paths, matching, seen, left_out, whole, warnings })
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
        let reach = self.reach()?;
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

    fn reach(&self) -> Result<&Reach, Refusal> {
        let reach = self.config.bounds.reach.as_ref();
        reach.ok_or_else(|| Refusal::Own("this server does not know what is mirrored".to_owned()))
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
        self.0.fetch_within(PATIENCE, "match_files", arguments(wanted))
    }

    /// The faults that requests on a path meet: one of the mount, or of the directory behind it.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if the path is not of that mount.
    pub fn match_path(&mut self, path: &Path) -> Result<Met, ClientError> {
        self.0.fetch("match_path", arguments([WirePath(path.to_owned()).value()]))
    }
}
