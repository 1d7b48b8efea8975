//! One run of slowfs: bind, mount, announce, serve, wait, release, unmount, in that order.
//!
//! A mount never outlives its control, nor control its mount: the port is bound before anything is
//! mounted, and either failing ends the start. Nothing here holds a lock.

use std::fs;
use std::io::{self, PipeReader, pipe};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use fuser::{Session, SessionACL};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;

use crate::fault::{DelayLine, Fault, FaultTable, Placement, ProbabilityScale};
use crate::fs::{FsOptions, Kernel, SlowFs};
use crate::log::Log;
use crate::mirror::{self, KeptTimes, Mirror};
use crate::ops::Obstacle;
use crate::rpc::{self, MountInfo, Server, ServerConfig};
use crate::sys::daemonize::Report;
use crate::sys::memory;

mod error;
mod fusermount;
mod held;
mod limits;
pub mod mark;
pub mod mount;
mod mounted;
pub mod mountinfo;
mod pid_file;
mod signals;

pub use error::StartError;
use error::strip;
use mount::{Fresh, MountOptions, Place};
use mounted::{Mounted, SETTLED};
use mountinfo::MountTable;
use pid_file::PidFile;
use signals::Signals;

/// How long the kernel may take to let go of the mount once it is detached.
const GRACE: Duration = Duration::from_secs(1);

/// How long it may take to detach it. A helper may have to run for that.
const DETACHING: Duration = Duration::from_secs(2);

/// When to look again at a mount table that could not be read, or does not show the mount.
const AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Everything one run needs to know.
#[derive(Debug)]
pub struct RunConfig {
    /// Where to mount.
    pub mountpoint: PathBuf,
    /// The directory to mirror, as the user typed it.
    pub backing: PathBuf,
    /// How the mount looks from outside.
    pub mount: MountOptions,
    /// How requests are served.
    pub fs: FsOptions,
    /// Where Thrift clients are served; None for nowhere.
    pub listen: Option<SocketAddr>,
    /// How charybdefs clients' probabilities are read.
    pub scale: ProbabilityScale,
    /// Makes the dice repeatable.
    pub seed: Option<u64>,
    /// Faults in force before the first operation.
    pub faults: Vec<(Fault, Placement)>,
    /// Bytes that held operations may keep in memory; what is more goes to a file.
    pub held_max: u64,
    /// The directory of that file; None: the one for temporary files.
    pub held_dir: Option<PathBuf>,
    /// Where to leave the daemon's pid while it runs.
    pub pid_file: Option<PathBuf>,
    /// Whether SIGHUP has the log reopened; else it ends the run.
    pub hangup_reopens: bool,
}

/// Runs until a signal, an unmount from outside or the end of the connection. A `report` that is
/// still there afterwards has told nobody anything.
///
/// # Errors
/// The run could not start; nothing is mounted and nothing listens then.
pub fn run(
    mut config: RunConfig,
    log: &Log,
    report: &mut Option<Report>,
) -> Result<(), StartError> {
    let other = |what| move |e: io::Error| StartError::Other(what, strip(&e));
    let stop =
        Signals::block(config.hangup_reopens.then_some(log)).map_err(other("wait for signals"))?;
    limits::lift_descriptors();
    limits::lift();
    memory::keep_little();
    let base = std::path::absolute(&config.backing)
        .map_err(|e| StartError::Backing(config.backing.clone(), strip(&e)))?;
    let place = mount::prepare(&config.mountpoint)?;
    let root = open_backing(&config, &base, &place)?;
    refuse_own_inside(&place.path, &base)?;
    let listener = config.listen.map(rpc::bind).transpose().map_err(StartError::Listen)?;

    let line = DelayLine::new().map_err(other("start the delay line"))?;
    let table = FaultTable::new(Arc::clone(&line), config.seed);
    for (fault, placement) in std::mem::take(&mut config.faults) {
        table.put(fault, placement)?;
    }
    let mirror = Mirror::new(root, &base).map_err(other("open the mirror"))?;
    let mirror = mirror.keeping(kept_times(config.mount.flags));
    let keep = Arc::new(held::keep(&config, &place.path)?);
    let fs = SlowFs::new(mirror, Arc::clone(&table), Arc::clone(&line), keep, config.fs.clone());

    let pid_file = config.pid_file.as_deref().map(PidFile::create).transpose()?;
    let (connection, mounted) = mount_own(&place, &base, &config)?;
    line.serves(mounted.device());
    let paths = Paths { mountpoint: place.path.clone(), base };
    drop(place);
    let run = start(fs, connection, (&config, log), &table, listener, (&paths, mounted))?;
    if let Some(file) = &pid_file {
        file.fill()?;
    }
    announce(&config, &run, &paths.base);
    if let Some(report) = report.take() {
        // Standard error is the terminal's until then.
        log.flush();
        if let Err(error) = report.ready() {
            tracing::warn!("the command that started this daemon is gone: {error}");
        }
    }
    run.serve(&stop, &table, &line)
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
    place: &Place,
    base: &Path,
    config: &RunConfig,
) -> Result<(OwnedFd, Mounted), StartError> {
    let table = MountTable::open().map_err(StartError::Mountinfo)?;
    let Fresh { connection, root, identity } = mount::mount(place, base, &config.mount)?;
    let mounted = Mounted::new(&place.path, identity, connection.as_fd(), table);
    let mounted = mounted.map_err(|e| {
        if let Some(root) = &root {
            let _ = mount::detach(root.as_fd(), &place.path);
        }
        StartError::Other("keep hold of the mount", strip(&e))
    })?;
    // The directory may have been moved away, or another mount have come beneath or on top.
    if mounted.is_at(&config.mountpoint) && mounted.lies_on(place) {
        return Ok((connection, mounted));
    }
    Err(StartError::Replaced(config.mountpoint.clone()))
}

/// Where the mount is, and what is behind it.
struct Paths {
    /// Absolute and resolved.
    mountpoint: PathBuf,
    /// Absolute, as typed.
    base: PathBuf,
}

/// What runs while the mount is up.
struct Running {
    mounted: Arc<Mounted>,
    control: Option<Server>,
    session: JoinHandle<io::Result<()>>,
    /// Closed at the other side when the session's thread ends.
    ended: PipeReader,
}

fn start(
    fs: SlowFs,
    connection: OwnedFd,
    (config, log): (&RunConfig, &Log),
    table: &Arc<FaultTable>,
    listener: Option<TcpListener>,
    (paths, mounted): (&Paths, Mounted),
) -> Result<Running, StartError> {
    let other = |what| move |e: io::Error| StartError::Other(what, strip(&e));
    let (watcher, stats) = (fs.watcher(), fs.stats());
    let mut loops = fuser::Config::default();
    loops.n_threads = Some(config.fs.threads.max(1));
    // A queue per thread where the device may be opened again; an ordinary user may not everywhere.
    loops.clone_fd = mount::open_device().is_ok();
    let admitted = if config.mount.allow_root { SessionACL::RootAndOwner } else { SessionACL::All };
    let session = Session::from_fd(fs, connection, admitted, loops)
        .map_err(other("agree with the kernel on the FUSE protocol"))?;
    let kernel = watcher.kernel();
    if let Some(reason) = watcher.passthrough_refusal(session.as_fd()) {
        return Err(StartError::Passthrough(reason));
    }
    let notices =
        session.as_fd().try_clone_to_owned().map_err(other("share the FUSE connection"))?;
    watcher.attach(table, notices).map_err(other("start a thread"))?;
    let server = server_config(config, paths, kernel, log.lost());
    let control = listener
        .map(|listener| Server::start(listener, Arc::clone(table), stats, server))
        .transpose()
        .map_err(other("serve Thrift clients"))?;
    let (ended, ending) = pipe().map_err(other("make a pipe"))?;
    let session = thread::Builder::new()
        .name("session".to_owned())
        .spawn(move || {
            let _ending = ending;
            session.run()
        })
        .map_err(other("start the session's thread"))?;
    Ok(Running { mounted: Arc::new(mounted), control, session, ended })
}

fn server_config(
    config: &RunConfig,
    paths: &Paths,
    kernel: Kernel,
    log_lines_lost: Arc<AtomicU64>,
) -> ServerConfig {
    let except = config.fs.passthrough_except.as_ref();
    ServerConfig {
        scale: config.scale,
        obstacles: obstacles(&config.mount),
        mount: MountInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mountpoint: paths.mountpoint.clone(),
            backing: paths.base.clone(),
            pid: std::process::id(),
            started: SystemTime::now(),
            threads: config.fs.threads,
            direct_io: config.fs.direct_io,
            read_only: config.mount.flags.contains(MountFlags::RDONLY),
            seeded: config.seed.is_some(),
            stats: config.fs.time_all,
            fuse_protocol: kernel.protocol,
            capabilities: kernel.capabilities,
            passthrough_except: except.map(|pattern| pattern.as_str().to_owned()),
        },
        // The longest idle one is closed, rather than that nothing can be opened any more.
        max_connections: (mirror::descriptors_left_to_others() / 2).min(256),
        log_lines_lost,
    }
}

fn obstacles(options: &MountOptions) -> Vec<Obstacle> {
    let mut found = vec![Obstacle::KernelKeepsLocks, Obstacle::NoBlockDevice];
    if options.default_permissions {
        found.push(Obstacle::KernelChecksAccess);
    }
    found
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
fn open_backing(config: &RunConfig, base: &Path, place: &Place) -> Result<OwnedFd, StartError> {
    let failed = |e: rustix::io::Errno| StartError::Backing(base.to_owned(), strip(&e.into()));
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = if config.backing == config.mountpoint {
        rustix::io::fcntl_dupfd_cloexec(&place.dir, 0)
    } else {
        rustix::fs::open(base, flags | OFlags::PATH, Mode::empty())
    };
    let root = root.map_err(failed)?;
    rustix::fs::openat(&root, ".", flags | OFlags::RDONLY, Mode::empty()).map_err(failed)?;
    Ok(root)
}

fn announce(config: &RunConfig, run: &Running, base: &Path) {
    tracing::info!("{} mirrors {}", run.mounted.place().display(), base.display());
    match &run.control {
        Some(server) => {
            let address = server.local_addr();
            tracing::info!("Thrift clients are served on {address}");
            if !address.ip().is_loopback() {
                tracing::warn!("anybody who reaches {address} can inject faults");
            }
        }
        None => tracing::info!("Thrift clients are not served (--listen none)"),
    }
    if config.mount.allow_other && !config.mount.default_permissions {
        tracing::warn!("no_default_permissions with allow_other: every user may do anything here");
    }
    warn_of_request_timeouts();
}

/// The kernel would abort a mount whose requests are held longer than these (the first for servers
/// that ask for no limit at INIT, as this one; the second is the most that any may ask for).
fn warn_of_request_timeouts() {
    for name in ["default_request_timeout", "max_request_timeout"] {
        let value = fs::read_to_string(format!("/proc/sys/fs/fuse/{name}")).unwrap_or_default();
        if value.trim().parse().is_ok_and(|seconds: u64| seconds > 0) {
            tracing::warn!(
                "fs.fuse.{name} is {}: the kernel aborts this mount when a fault holds an \
                 operation that long; set it to 0",
                value.trim()
            );
        }
    }
}

/// Why a run ends.
enum Ending {
    Signal(i32),
    /// Somebody unmounted it lazily: open files may still use it.
    Unmounted,
    /// The kernel closed the connection.
    Disconnected,
}

/// What the mount table shows of the mount.
#[derive(Clone, Copy)]
enum View {
    Seen,
    /// Not, since then.
    Unseen(Instant),
    /// It cannot be read.
    Blind,
}

impl Running {
    fn serve(
        mut self,
        stop: &Signals<'_>,
        table: &FaultTable,
        line: &DelayLine,
    ) -> Result<(), StartError> {
        let ending = self.wait(stop);
        if let Some(server) = self.control.take() {
            server.stop();
        }
        table.clear_all();
        if !line.shutdown() {
            tracing::warn!("released operations still wait for the backing directory");
        }
        let mountpoint = self.mounted.place().to_owned();
        if let Ending::Unmounted = ending {
            tracing::info!("{} was unmounted", mountpoint.display());
        }
        let detached = self.detach().map_err(StartError::Left);
        match (&detached, &ending) {
            (Err(error), _) => tracing::error!("{error}"),
            (_, Ending::Signal(signal)) => {
                tracing::info!("signal {signal}: unmounted {}", mountpoint.display())
            }
            (_, Ending::Disconnected) => {
                tracing::info!("the kernel closed {}", mountpoint.display())
            }
            (_, Ending::Unmounted) => {}
        }
        let limit = (!matches!(ending, Ending::Unmounted)).then_some(GRACE);
        if !self.wait_for_end(stop, limit) {
            // Open files, or a backing that does not answer: their callers are freed with an error.
            if let Err(error) = self.mounted.abort() {
                tracing::debug!("the connection ends with this process: {error}");
            }
            return detached;
        }
        let session = self.session.join();
        let session = session.unwrap_or_else(|_| Err(io::Error::other("its thread panicked")));
        let session = session.map_err(|e| StartError::Session(mountpoint, strip(&e)));
        session.inspect_err(|error| tracing::error!("{error}")).and(detached)
    }

    /// Detaches the mount; the way to it may lead through a filesystem that does not answer.
    fn detach(&self) -> io::Result<()> {
        let (tell, told) = mpsc::channel();
        let mounted = Arc::clone(&self.mounted);
        let detaching = thread::Builder::new()
            .name("detach".to_owned())
            .spawn(move || tell.send(mounted.detach()));
        if detaching.is_err() {
            return self.mounted.detach();
        }
        told.recv_timeout(DETACHING).unwrap_or_else(|_| {
            let place = self.mounted.place().display();
            Err(io::Error::other(format!(
                "{place}: the filesystem that it lies in does not answer"
            )))
        })
    }

    fn wait(&self, stop: &Signals<'_>) -> Ending {
        let mut view = View::Seen;
        loop {
            view = self.look(view);
            if let View::Unseen(since) = view
                && since.elapsed() >= SETTLED
            {
                return Ending::Unmounted;
            }
            let changes = self.mounted.changes();
            let mut fds = [
                PollFd::new(stop, PollFlags::IN),
                PollFd::new(&self.ended, PollFlags::IN),
                PollFd::new(&changes, PollFlags::PRI),
            ];
            let again = (!matches!(view, View::Seen)).then_some(&AGAIN);
            if poll(&mut fds, again).is_err_and(|e| e != rustix::io::Errno::INTR) {
                // Memory is short: the next one may succeed.
                thread::sleep(SETTLED);
            }
            if let Some(signal) = stop.take() {
                return Ending::Signal(signal);
            }
            if has_ended(&self.ended).unwrap_or(false) {
                return match view {
                    View::Unseen(_) => Ending::Unmounted,
                    _ => Ending::Disconnected,
                };
            }
        }
    }

    /// What the mount table shows now, after it has shown that.
    fn look(&self, before: View) -> View {
        match (self.mounted.is_visible(), before) {
            (Ok(true), _) => View::Seen,
            (Ok(false), View::Unseen(since)) => View::Unseen(since),
            (Ok(false), _) => View::Unseen(Instant::now()),
            (Err(error), View::Seen | View::Unseen(_)) => {
                tracing::warn!("cannot read the mount table: {error}; it is tried again");
                View::Blind
            }
            (Err(_), View::Blind) => View::Blind,
        }
    }

    /// Waits until the session's thread is gone, and says whether it is; without a limit a signal
    /// ends the wait, too.
    fn wait_for_end(&self, stop: &Signals<'_>, within: Option<Duration>) -> bool {
        let deadline = within.map(|w| Instant::now() + w);
        loop {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|l| Timespec::try_from(l).ok());
            let mut fds =
                [PollFd::new(&self.ended, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            let watched = if within.is_some() { 1 } else { 2 };
            let waited = poll(fds.get_mut(..watched).unwrap_or_default(), timeout.as_ref());
            if has_ended(&self.ended).unwrap_or(false) {
                return true;
            }
            let over = left.is_some_and(|l| l.is_zero()) || waited.is_err();
            if over || within.is_none() && stop.take().is_some() {
                return false;
            }
        }
    }
}

fn has_ended(ended: &PipeReader) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut fds, Some(&now))? > 0)
}
