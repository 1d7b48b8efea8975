//! What many commands take: which mounts they ask, and on which paths. No locks.

use std::path::PathBuf;

use clap::Args;

use super::fleet::{Addresses, Origin};
use super::values::{parse_glob, parse_pattern};

/// Which mounts, and how to answer.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Target {
    /// Ask the mount at this mountpoint, or around this path. A path may also come before all other
    /// arguments. By default it asks --addr, else $SLOWFS_ADDR, else the mount around the working
    /// directory, else the only mount, else 127.0.0.1:9090
    #[arg(long, value_name = "PATH")]
    pub(super) mount: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) addr: Addresses,
    /// Print JSON, one object per line and address
    #[arg(long)]
    pub(super) json: bool,
    /// Where the addresses come from, if not from the command line
    #[arg(skip)]
    pub(super) origin: Origin,
}

/// Which paths.
#[derive(Args, Clone, Debug)]
pub(super) struct Paths {
    /// Only where the whole backing path matches
    #[arg(short, long, value_name = "REGEX", value_parser = parse_pattern)]
    regex: Option<String>,
    /// The same as a glob (see `slowfs help delay`)
    #[arg(long, value_name = "GLOB", value_parser = parse_glob, conflicts_with = "regex")]
    glob: Option<String>,
}

impl Paths {
    /// What they must match, if that is said.
    pub(super) fn pattern(&self) -> Option<&str> {
        self.regex.as_deref().or(self.glob.as_deref())
    }
}
