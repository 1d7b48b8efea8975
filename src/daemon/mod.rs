//! One run of slowfs: bind, mount, announce, serve, wait, release, unmount, in that order.
//!
//! A mount never outlives its control, nor control its mount: the port is bound before anything is
//! mounted, and either failing ends the start. Nothing here holds a lock.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::parent_id;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;

use crate::fault::{DelayLine, FaultTable};
use crate::fs::SlowFs;
use crate::log::Log;
use crate::mirror::{KeptTimes, Mirror};
use crate::sys::daemonize::Report;
use crate::sys::memory;

mod announce;
pub(crate) mod around;
pub(crate) mod beneath;
mod companion;
mod config;
mod control;
mod error;
mod fusermount;
mod given;
mod health;
mod held;
pub(crate) mod limits;
pub(crate) mod mark;
pub(crate) mod mount;
mod mounted;
pub(crate) mod mountinfo;
mod mountpoint;
pub(crate) mod offer;
mod own_file;
mod running;
mod service;
mod signals;
pub(crate) mod socket;
mod start;
mod state;
mod strangers;
mod supervision;
pub(crate) mod timeouts;
mod token;
mod tracking;

pub(crate) use announce::Ready;
pub(crate) use config::{HttpConfig, MountOptions, PortsConfig, RunConfig, TrackingConfig};
pub(crate) use error::StartError;
pub(crate) use supervision::Supervision;

use announce::announce;
use beneath::Hidden;
use companion::Companion;
use control::Control;
use error::strip;
use given::Given;
use mount::Fresh;
use mounted::Mounted;
use mountinfo::MountTable;
use mountpoint::Mountpoint;
use own_file::OwnFiles;
use running::Running;
use service::Service;
use signals::Signals;
use start::{Paths, start};

/// Runs until a signal, an unmount from outside, the end of the connection or of the process with which it ends. Who waits for the mount is
/// told once it answers. A `report` that is
/// still there afterwards has told nobody anything.
///
/// # Errors
/// The run could not start; nothing is mounted and nothing listens then.
pub(crate) fn run(
    mut config: RunConfig,
    log: &Log,
    report: &mut Option<Report>,
    tell: impl FnOnce(&Ready),
) -> Result<(), StartError> {
    let other = |what| move |e: io::Error| StartError::Other(what, strip(&e));
    let stop =
        Signals::block(config.hangup_reopens.then_some(log)).map_err(other("wait for signals"))?;
    let companion = |pid| Companion::of(pid).map_err(|e| StartError::Companion(pid, strip(&e)));
    let companion = config.end_with.map(companion).transpose()?;
    limits::lift_descriptors();
    limits::lift();
    memory::keep_little();
    let base = std::path::absolute(&config.backing)
        .map_err(|e| StartError::Backing(config.backing.clone(), strip(&e)))?;
    let mountpoint = mount::prepare(&config.mountpoint)?;
    log.keep_off(&mountpoint.path);
    let root = open_backing(&config, &base, &mountpoint)?;
    refuse_own_inside(&mountpoint.path, &base)?;
    let mirrored = beneath::inode(&root);
    let mut control = Control::bind(&config, &mountpoint.path)?;

    let line = DelayLine::new().map_err(other("start the delay line"))?;
    let table = FaultTable::new(Arc::clone(&line), config.seed);
    let paths = Paths { mountpoint: mountpoint.path.clone(), base };
    let bounds = config.bounds(paths.reach());
    let mut given = Given::take(&config, &paths.mountpoint)?;
    given.set(&table, &mut config, &bounds)?;
    let fs = filesystem(root, &config, &paths, (&table, &line))?;

    let files = OwnFiles::take(&config)?;
    let (connection, mounted) = mount_own(&mountpoint, &paths.base, &config)?;
    let (device, hidden) = (mounted.device(), Hidden::of(&mountpoint.dir, mirrored));
    line.serves(device);
    drop(mountpoint);
    control.publish()?;
    let begun = (&table, &mut given);
    let spared = fs.spared();
    let (run, health) = start(fs, connection, (&config, log), begun, control, (&paths, mounted))?;
    let keeper = given.left().map(|left| left.keep(&table, (device, spared))).transpose();
    let keeper = keeper.map_err(other("start a thread"))?;
    let run = Running { companion, keeper, ..run };
    let ready = Ready::of(&run, &paths.base);
    files.fill(ready.pid, &ready.address())?;
    announce(&config, &ready);
    // The command that waits for this daemon stands where it was typed, and ends.
    let waiting = report.as_ref().map(|_| parent_id());
    tell(&ready);
    let supervision = config.supervision.as_ref();
    let service = supervision.and_then(|of| Service::begin(of, ready.status(), health));
    let run = Running { service, ..run };
    // A look at every process takes its time; the terminal of a daemon is there until its command ends.
    hidden.warn(&ready.mountpoint, device, waiting.as_slice());
    if let Some(report) = report.take() {
        release(report, log);
    }
    run.serve(&stop, &table, &line)
}

/// Lets the command that started this daemon end.
fn release(report: Report, log: &Log) {
    // Standard error is the terminal's until then.
    log.flush();
    if let Err(error) = report.ready() {
        tracing::warn!("the command that started this daemon is gone: {error}");
    }
}

/// What serves requests: the mirror, and what is kept beside it.
fn filesystem(
    root: OwnedFd,
    config: &RunConfig,
    paths: &Paths,
    (table, line): (&Arc<FaultTable>, &Arc<DelayLine>),
) -> Result<SlowFs, StartError> {
    let Paths { mountpoint, base } = paths;
    let mirror = Mirror::new(root, base);
    let mirror = mirror.map_err(|e| StartError::Other("open the mirror", strip(&e)))?;
    let mirror = mirror.keeping(kept_times(config.mount.flags));
    let mirror = mirror.written_back(config.fs.writeback_cache);
    let keep = Arc::new(held::keep(config, mountpoint)?);
    let unsynced = config.tracking.as_ref().map(|of| tracking::begin(of, mountpoint, base));
    let tree = (mirror, unsynced.transpose()?);
    Ok(SlowFs::new(tree, Arc::clone(table), Arc::clone(line), keep, config.fs.clone()))
}

/// The kernel leaves times of access to us: these flags of the mount are ours to honour.
fn kept_times(flags: MountFlags) -> KeptTimes {
    match flags {
        flags if flags.contains(MountFlags::NOATIME) => KeptTimes::All,
        flags if flags.contains(MountFlags::NODIRATIME) => KeptTimes::Directories,
        _ => KeptTimes::None,
    }
}

/// Mounts; whatever fails from here on, the mount goes.
fn mount_own(
    mountpoint: &Mountpoint,
    base: &Path,
    config: &RunConfig,
) -> Result<(OwnedFd, Mounted), StartError> {
    let table = MountTable::open().map_err(StartError::Mountinfo)?;
    let Fresh { connection, root, identity } = mount::mount(mountpoint, base, &config.mount)?;
    let mounted = Mounted::new(&mountpoint.path, identity, connection.as_fd(), table);
    let mounted = mounted.map_err(|e| {
        if let Some(root) = &root {
            let _ = mount::detach(root.as_fd(), &mountpoint.path);
        }
        StartError::Other("keep hold of the mount", strip(&e))
    })?;
    // The directory may have been moved away, or another mount have come beneath or on top.
    if mounted.is_at(&config.mountpoint) && mounted.lies_on(mountpoint) {
        return Ok((connection, mounted));
    }
    Err(StartError::Replaced(config.mountpoint.clone()))
}

/// A mountpoint below the mirrored directory would make the mirror ask itself.
fn refuse_own_inside(mountpoint: &Path, base: &Path) -> Result<(), StartError> {
    let backing =
        fs::canonicalize(base).map_err(|e| StartError::Backing(base.to_owned(), strip(&e)))?;
    if mountpoint != backing && mountpoint.starts_with(&backing) {
        return Err(StartError::Inside(mountpoint.to_owned(), backing));
    }
    Ok(())
}

/// The backing directory as a descriptor that stays valid when something is mounted over its path.
/// A mountpoint that mirrors itself is the very directory that will be mounted on.
fn open_backing(
    config: &RunConfig,
    base: &Path,
    mountpoint: &Mountpoint,
) -> Result<OwnedFd, StartError> {
    let failed = |e: rustix::io::Errno| StartError::Backing(base.to_owned(), strip(&e.into()));
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = if config.backing == config.mountpoint {
        rustix::io::fcntl_dupfd_cloexec(&mountpoint.dir, 0)
    } else {
        rustix::fs::open(base, flags | OFlags::PATH, Mode::empty())
    };
    let root = root.map_err(failed)?;
    rustix::fs::openat(&root, ".", flags | OFlags::RDONLY, Mode::empty()).map_err(failed)?;
    Ok(root)
}
