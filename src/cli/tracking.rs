//! What is typed about what a power cut would take back: the options of `slowfs mount`, and which image.
//! No locks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::values::parse_time;
use crate::daemon::TrackingConfig;
use crate::fault::{CutWords, Keeping, Unit, words};
use crate::rpc::{ns, signed};
use crate::unsynced::{Act, Order};

/// What `slowfs mount` remembers.
#[derive(Args, Clone, Debug)]
pub(super) struct Tracking {
    /// Remember what is not durable, for `slowfs unsynced` and `slowfs power-cut`. Syncs promise what Linux
    /// filesystems keep, or only what POSIX promises
    #[arg(
        long,
        value_name = "linux|posix",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "linux",
        conflicts_with = "passthrough_except"
    )]
    track_unsynced: Option<Promise>,
    /// How much to remember. Beyond it the oldest changes become durable. What exceeds 64 MiB goes to a
    /// file [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = words::bytes, requires = "track_unsynced")]
    unsynced_max: Option<u64>,
    /// The directory of this file, which has no name [default: $TMPDIR, or /tmp]
    #[arg(long, value_name = "DIR", requires = "track_unsynced")]
    unsynced_dir: Option<PathBuf>,
    /// Older changes become durable, as a kernel writes them back [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "track_unsynced")]
    unsynced_age: Option<Duration>,
    /// Where `slowfs power-cut --to` builds its images: outside of the mirrored directory, and best on the
    /// same filesystem, which may share unchanged data
    #[arg(long, value_name = "DIR", requires = "track_unsynced")]
    images: Option<PathBuf>,
    /// Note the moments just before these methods, for `slowfs crash-test`. What is remembered grows until the end
    #[arg(long, value_name = "METHOD,...", value_delimiter = ',', requires = "track_unsynced")]
    unsynced_moments: Vec<Act>,
    /// Note at each moment the length of this file: a program's output
    #[arg(long, value_name = "FILE", requires = "unsynced_moments")]
    unsynced_output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Promise(Order);

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Order::Linux => "linux",
            Order::Posix => "posix",
        })
    }
}

impl FromStr for Promise {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "linux" => Ok(Promise(Order::Linux)),
            "posix" => Ok(Promise(Order::Posix)),
            _ => Err("one of linux, posix"),
        }
    }
}

impl Tracking {
    /// What of it a run needs to know, if something is remembered.
    ///
    /// # Errors
    /// A path cannot be made absolute.
    pub(super) fn config(
        &self,
        absolute: impl Fn(&Path) -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Option<TrackingConfig>> {
        let Some(Promise(order)) = self.track_unsynced else { return Ok(None) };
        Ok(Some(TrackingConfig {
            order,
            most: self.unsynced_max.unwrap_or(1 << 30),
            dir: self.unsynced_dir.as_deref().map(&absolute).transpose()?,
            age: self.unsynced_age.unwrap_or(Duration::from_secs(30)),
            images: self.images.as_deref().map(&absolute).transpose()?,
            moments: self.unsynced_moments.clone(),
            output: self.unsynced_output.as_deref().map(&absolute).transpose()?,
        }))
    }
}

/// Which image.
#[derive(Args, Clone, Debug)]
pub(super) struct CutArgs {
    /// Build an image of this name below the directory of `slowfs mount --images`; the mount goes on
    #[arg(long, value_name = "NAME", required_unless_present_any = ["now", "stay_off"])]
    pub(super) to: Option<String>,
    /// Cut the power in place: waiting operations fail, open files are cut off, and what was not durable is
    /// gone. Several mounts are cut at one moment, or none
    #[arg(long, conflicts_with = "to")]
    pub(super) now: bool,
    /// Leave the power off: everything fails with EIO until `slowfs power-on` or `slowfs clear`
    #[arg(long, requires = "now")]
    pub(super) stay_off: bool,
    /// First send SIGKILL to every process that has files of the mount open or mapped
    #[arg(long, requires = "now")]
    pub(super) kill: bool,
    /// What to keep of what is not durable: nothing, everything, the first N entries of the log, or a random
    /// choice that a disk could have
    #[arg(long, value_name = "none|all|prefix:N|random", default_value = "none")]
    pub(super) keep: Keeping,
    /// How many bytes are written as a whole or not at all: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value_t)]
    pub(super) unit: Unit,
    /// Make the dice repeatable: the same N on the same log makes the same image
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Refuse an image that would make requests wait longer. An image that shares its data with the files
    /// takes almost no time
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_time)]
    pub(super) max_stall: Duration,
}

impl CutArgs {
    /// As a step of a scenario.
    pub(super) fn words(&self) -> CutWords {
        let CutArgs { to, keep, unit, seed, max_stall, stay_off, kill, .. } = self.clone();
        CutWords {
            to,
            keep: keep.to_string(),
            unit: signed(unit.bytes()),
            seed: seed.map(|seed| seed.to_string()),
            max_stall_ns: ns(max_stall).max(1),
            stay_off,
            kill,
        }
    }
}
