//! What a power cut would take back, as it is told, and who remembers it. No locks.

use std::time::Duration;

use serde::Serialize;

use super::record::record;
use super::values::WirePath;

/// For how long a cut stays prepared that is made at once.
const STAYS: Duration = Duration::from_secs(30);

record! {
    /// Bytes of a file.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct UnsyncedRange = "UnsyncedRange" {
        /// Where they begin.
        1: offset: i64,
        /// How many they are.
        2: len: i64,
    }
}

record! {
    /// A file whose content is not durable.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct UnsyncedFile = "UnsyncedFile" {
        /// Its path in the backing, by the name used last.
        1: path: WirePath,
        /// Bytes that may be others after a cut.
        2: bytes: i64,
        /// Where they are: the first of these ranges.
        3: ranges: Vec<UnsyncedRange>,
        /// How many other sizes it may have.
        4: sizes: i64,
        /// How old the oldest of it is, nanoseconds.
        5: age_ns: i64,
        /// How many of these bytes no sync stores any more, as one has failed or was none: unless they are
        /// written again.
        6: lost: i64,
    }
}

record! {
    /// An entry of a directory that is not durable.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct UnsyncedName = "UnsyncedName" {
        /// Its path in the backing.
        1: path: WirePath,
        /// `made`, `removed` or `replaced`.
        2: what: String,
    }
}

record! {
    /// What a power cut could take back now.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Unsynced = "Unsynced" {
        /// Files, those first of which something is oldest.
        1: files: Vec<UnsyncedFile>,
        /// Entries of directories, in the order in which they were changed.
        2: names: Vec<UnsyncedName>,
        /// How many more files and names there are.
        3: left_out: i64,
        /// Entries of the log.
        4: entries: i64,
        /// What it takes to remember them, bytes.
        5: remembered: i64,
        /// Entries that counted as written back, for their age or for want of room.
        6: written_back: i64,
        /// How old the oldest entry is, nanoseconds.
        7: age_ns: i64,
        /// What was changed behind the mount, and counts as durable.
        8: foreign: Vec<WirePath>,
        /// How often the power was cut since the mount began.
        9: cuts: i64,
        /// Whether it is off.
        10: off: bool,
    }
}

record! {
    /// An image of what a disk could hold.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct PowerCut = "PowerCut" {
        /// Where it is.
        1: image: WirePath,
        /// What was kept of what is not durable, as it was asked for.
        2: keep: String,
        /// Bytes that were written at once or not at all.
        3: unit: i64,
        /// What the dice were seeded with, a number of 64 bits.
        4: seed: String,
        /// Entries that the log had.
        5: entries: i64,
        /// Changes of names, attributes and sizes that the image lacks.
        6: dropped: i64,
        /// Files whose content is not the one behind the mount.
        7: reverted: i64,
        /// Files, directories and all else in it.
        8: made: i64,
        /// Bytes that had to be copied.
        9: copied: i64,
        /// Where it says what was dropped, and of which files what.
        10: manifest: WirePath,
    }
}

record! {
    /// A moment that was noted, just before a request.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct UnsyncedMoment = "UnsyncedMoment" {
        /// Its number, from 1.
        1: n: i64,
        /// The request: `fsync`, `rename` and so on.
        2: before: String,
        /// What it is about, in the backing.
        3: path: WirePath,
        /// What a rename makes of it.
        4: to: Option<WirePath>,
        /// Entries that the log had taken in since the mount.
        5: entries: i64,
        /// How much of its output the program had written, bytes.
        6: output: i64,
        /// Whether it cannot be gone back to any more.
        7: lost: bool,
        /// Why not: what has happened after it.
        8: why: Option<String>,
    }
}

record! {
    /// A cut of the power in place.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct PowerLoss = "PowerLoss" {
        /// What was kept of what was not durable, as it was asked for.
        1: keep: String,
        /// Bytes that were written at once or not at all.
        2: unit: i64,
        /// What the dice were seeded with, a number of 64 bits.
        3: seed: String,
        /// Entries that the log had.
        4: entries: i64,
        /// Changes of names, attributes and sizes that are undone.
        5: dropped: i64,
        /// Files whose content is another now.
        6: reverted: i64,
        /// Processes that got SIGKILL.
        7: killed: Vec<i64>,
        /// Whether the power stays off.
        8: off: bool,
        /// How often it was cut since the mount began.
        9: cuts: i64,
    }
}

/// How the power is cut in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutNow {
    /// That of `power_prepare`.
    pub ticket: i64,
    /// `none`, `all`, `prefix:N` or `random`; empty is none.
    pub keep: String,
    /// Bytes that are written at once or not at all; 0 is 512.
    pub unit: i64,
    /// What to seed the dice with, a number of 64 bits; empty is by chance.
    pub seed: String,
    /// Whether it stays off.
    pub stay_off: bool,
    /// Whether every process that has files of the mount open or mapped gets SIGKILL.
    pub kill: bool,
    /// The process id of who asks, which does not; 0 if that is none here.
    pub client: i64,
}

/// The image that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Its name, below the mount's directory for images.
    pub name: String,
    /// `none`, `all`, `prefix:N` or `random`; empty is none.
    pub keep: String,
    /// Bytes that are written at once or not at all; 0 is 512.
    pub unit: i64,
    /// What to seed the dice with, a number of 64 bits; empty is by chance.
    pub seed: String,
    /// Nanoseconds that what changes something may have to wait for it; 0 is 2 s.
    pub max_stall_ns: i64,
}

/// Who remembers what is not durable.
pub trait UnsyncedLog: Send + Sync {
    /// What that is.
    fn unsynced(&self) -> Unsynced;

    /// All that is there is durable now: how many entries that concerned.
    fn checkpoint(&self) -> i64;

    /// The moments that were noted after so many, at most so many.
    fn moments(&self, after: i64, most: i64) -> Vec<UnsyncedMoment>;

    /// Looks at what a cut asks for, and at the name of its image, if it is given one.
    ///
    /// # Errors
    /// Why that cannot be, in one line.
    fn allows(&self, cut: &Cut) -> Result<(), String>;

    /// Builds an image of now, or of the moment of that number, if it is not 0.
    ///
    /// # Errors
    /// Why not, in one line.
    fn cut(&self, cut: &Cut, moment: i64) -> Result<PowerCut, String>;

    /// Has what is under way end, and what comes wait, for that long: a ticket to cut the power within it.
    ///
    /// # Errors
    /// Why it cannot be cut now, in one line.
    fn prepare(&self, stays: Duration) -> Result<i64, String>;

    /// All goes on as if no cut had been prepared; false if it does so already.
    fn abort(&self, ticket: i64) -> bool;

    /// Cuts the power in place.
    ///
    /// # Errors
    /// Why it is not done, or not as it should, in one line.
    fn commit(&self, cut: &CutNow) -> Result<PowerLoss, String>;

    /// Cuts the power in place, of this mount alone and at once: what is asked for is looked at before requests
    /// wait. The ticket is of no account.
    ///
    /// # Errors
    /// Why it is not done, or not as it should, in one line.
    fn cut_now(&self, cut: &CutNow) -> Result<PowerLoss, String> {
        let CutNow { keep, seed, unit, .. } = cut.clone();
        self.allows(&Cut { keep, seed, unit, ..Cut::default() })?;
        let ticket = self.prepare(STAYS)?;
        let done = self.commit(&CutNow { ticket, ..cut.clone() });
        if done.is_err() {
            self.abort(ticket);
        }
        done
    }

    /// Has the power on again; whether it was off.
    ///
    /// # Errors
    /// It is being cut; in one line.
    fn power_on(&self) -> Result<bool, String>;
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// What was called, by a log that refuses at that call.
    struct Refusing(&'static str, Mutex<Vec<&'static str>>);

    impl Refusing {
        fn called<T: Default>(&self, call: &'static str) -> Result<T, String> {
            self.1.lock().push(call);
            if self.0 == call { Err(call.to_owned()) } else { Ok(T::default()) }
        }
    }

    impl UnsyncedLog for Refusing {
        fn unsynced(&self) -> Unsynced {
            Unsynced::default()
        }

        fn checkpoint(&self) -> i64 {
            0
        }

        fn moments(&self, _: i64, _: i64) -> Vec<UnsyncedMoment> {
            Vec::new()
        }

        fn allows(&self, _: &Cut) -> Result<(), String> {
            self.called("allows")
        }

        fn cut(&self, _: &Cut, _: i64) -> Result<PowerCut, String> {
            self.called("cut")
        }

        fn prepare(&self, _: Duration) -> Result<i64, String> {
            self.called("prepare")
        }

        fn abort(&self, _: i64) -> bool {
            self.called::<()>("abort").is_ok()
        }

        fn commit(&self, _: &CutNow) -> Result<PowerLoss, String> {
            self.called("commit")
        }

        fn power_on(&self) -> Result<bool, String> {
            self.called("power_on")
        }
    }

    #[test]
    fn requests_wait_for_no_cut_that_cannot_be_and_for_none_that_is_not_made() {
        for (at, calls) in [
            ("allows", &["allows"][..]),
            ("prepare", &["allows", "prepare"]),
            ("commit", &["allows", "prepare", "commit", "abort"]),
            ("nothing", &["allows", "prepare", "commit"]),
        ] {
            let log = Refusing(at, Mutex::default());
            assert_eq!(log.cut_now(&CutNow::default()).is_err(), at != "nothing");
            assert_eq!(*log.1.lock(), calls, "refused at {at}");
        }
    }
}
