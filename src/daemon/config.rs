//! What one run is told: where to mount, what, and how.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustix::mount::MountFlags;
use rustix::process::Pid;

use super::supervision::Supervision;
use crate::fault::words::EffectWords;
use crate::fault::{Bounds, Fault, Placement, ProbabilityScale, Reach};
use crate::fs::FsOptions;
use crate::ops::Obstacle;
use crate::rpc::Allow;
use crate::unsynced::{Act, Order};

/// Everything one run needs to know.
#[derive(Debug)]
pub(crate) struct RunConfig {
    /// Where to mount.
    pub mountpoint: PathBuf,
    /// The directory to mirror, as the user typed it.
    pub backing: PathBuf,
    /// How the mount looks from outside.
    pub mount: MountOptions,
    /// How requests are served.
    pub fs: FsOptions,
    /// The ports where clients are served.
    pub ports: PortsConfig,
    /// How charybdefs clients' probabilities are read.
    pub scale: ProbabilityScale,
    /// The device that their auto_delay asks for.
    pub auto_delay: Option<EffectWords>,
    /// Makes the dice repeatable.
    pub seed: Option<u64>,
    /// Where the faults are kept from one run to the next.
    pub state: Option<PathBuf>,
    /// Faults of a file, in force before the first operation.
    pub listed: Vec<Fault>,
    /// Those in force then, too, one after another.
    pub faults: Vec<(Fault, Placement)>,
    /// Bytes that held operations may keep in memory; what is more goes to a file.
    pub held_max: u64,
    /// The directory of that file; None: the one for temporary files.
    pub held_dir: Option<PathBuf>,
    /// What is remembered of what is not durable, if it is.
    pub tracking: Option<TrackingConfig>,
    /// Where to leave the daemon's pid while it runs.
    pub pid_file: Option<PathBuf>,
    /// Where to leave the control address while it runs.
    pub addr_file: Option<PathBuf>,
    /// The process with which the run ends.
    pub end_with: Option<Pid>,
    /// Who is told how the run goes, if a service manager started it.
    pub supervision: Option<Supervision>,
    /// Whether SIGHUP has the log reopened; else it ends the run.
    pub hangup_reopens: bool,
}

/// Which ports there are, and who may reach them.
#[derive(Clone, Debug)]
pub(crate) struct PortsConfig {
    /// Where Thrift clients are served; None for nowhere.
    pub listen: Option<SocketAddr>,
    /// Where HTTP is served; None for nowhere.
    pub http: Option<HttpConfig>,
    /// From where they may be reached.
    pub allow: Allow,
}

/// Where HTTP is served, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct HttpConfig {
    /// Where.
    pub listen: SocketAddr,
    /// The name that it was given by, if it was one.
    pub name: Option<String>,
    /// The file with the token of those who may ask.
    pub token: PathBuf,
}

/// How what is not durable is remembered.
#[derive(Clone, Debug)]
pub(crate) struct TrackingConfig {
    /// What syncs promise.
    pub order: Order,
    /// Bytes that it may take; beyond them the oldest counts as written back.
    pub most: u64,
    /// The directory of the file for what is more than may be in memory; None: the one for temporary files.
    pub dir: Option<PathBuf>,
    /// What is older counts as written back.
    pub age: Duration,
    /// Where images are made.
    pub images: Option<PathBuf>,
    /// Just before which requests moments are noted, to be gone back to.
    pub moments: Vec<Act>,
    /// The file in which the output of the program goes that they are of.
    pub output: Option<PathBuf>,
}

impl RunConfig {
    /// What faults cannot do on such a mount there.
    pub(super) fn bounds(&self, reach: Reach) -> Bounds {
        let mut obstacles = vec![Obstacle::KernelKeepsLocks, Obstacle::NoBlockDevice];
        if self.mount.default_permissions {
            obstacles.push(Obstacle::KernelChecksAccess);
        }
        let except = self.fs.passthrough_except.as_ref();
        let passthrough_except = except.map(|pattern| pattern.as_str().to_owned());
        Bounds {
            obstacles,
            passthrough_except,
            reach: Some(reach),
            keeps_entries: false,
            keeps_sizes: self.fs.writeback_cache,
            tracks: self.tracking.is_some(),
        }
    }
}

/// How the mount looks from outside.
#[derive(Clone, Debug)]
pub(crate) struct MountOptions {
    /// What /proc/mounts shows as source; the backing directory unless told.
    pub source: Option<OsString>,
    /// The part after `fuse.` in the type.
    pub subtype: String,
    /// Whether users other than the mounting one may enter.
    pub allow_other: bool,
    /// Whether root may enter beside the mounting user; nobody else may then.
    pub allow_root: bool,
    /// Whether the kernel checks permissions itself.
    pub default_permissions: bool,
    /// Flags of mount(2).
    pub flags: MountFlags,
}

impl Default for MountOptions {
    fn default() -> Self {
        MountOptions {
            source: None,
            subtype: "slowfs".to_owned(),
            allow_other: rustix::process::geteuid().is_root(),
            allow_root: false,
            default_permissions: true,
            flags: MountFlags::NODEV | MountFlags::NOSUID,
        }
    }
}

impl MountOptions {
    /// Whether the kernel must let other users pass; with `allow_root` the session sorts them.
    pub(super) fn others_pass(&self) -> bool {
        match self.allow_root {
            true => !rustix::process::geteuid().is_root(),
            false => self.allow_other,
        }
    }
}
