//! Starts what serves a fresh mount: the session with the kernel, and control. No locks.

use std::io::{self, PipeReader, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use fuser::{Session, SessionACL};
use rustix::mount::MountFlags;

use super::config::RunConfig;
use super::control::Control;
use super::error::{StartError, strip};
use super::given::Given;
use super::health::health;
use super::mount;
use super::mounted::Mounted;
use super::running::Running;
use super::tracking;
use crate::fault::injections::Repairs;
use crate::fault::{Bounds, FaultTable, Reach};
use crate::fs::{Kernel, SlowFs};
use crate::log::Log;
use crate::mirror::Walked;
use crate::rpc::{Behind, Files, Health, MountInfo, Server, ServerConfig, Visited};
use crate::sys::descriptors::Shares;

/// Where the mount is, and what is behind it.
pub(super) struct Paths {
    /// Absolute and resolved.
    pub(super) mountpoint: PathBuf,
    /// Absolute, as typed.
    pub(super) base: PathBuf,
}

impl Paths {
    pub(super) fn reach(&self) -> Reach {
        Reach { backing: self.base.clone(), mountpoint: self.mountpoint.clone() }
    }
}

/// From here on requests are taken. With it comes who looks whether the mount answers.
///
/// # Errors
/// The kernel does not agree, or something is short; the mount goes then.
pub(super) fn start(
    fs: SlowFs,
    connection: OwnedFd,
    (config, log): (&RunConfig, &Log),
    (table, given): (&Arc<FaultTable>, &mut Given),
    control: Control,
    (paths, mounted): (&Paths, Mounted),
) -> Result<(Running, Arc<dyn Health>), StartError> {
    let other = |what| move |e: io::Error| StartError::Other(what, strip(&e));
    let (notifier, stats, survey) = (fs.notifier(), fs.stats(), Arc::new(fs.survey()));
    let health = health(paths.mountpoint.clone(), mounted.device(), fs.spared());
    let looking_at = Behind::new(Arc::clone(&health));
    let doors = (Arc::clone(&survey), fs.plug());
    let unsynced = tracking::unsynced_log(doors, config.tracking.as_ref());
    let repairer: Behind<dyn Repairs> = Behind::new(Arc::new(fs.repair()));
    let looking = Arc::clone(&survey);
    let files = Files::new(move |goes_on, visit| {
        let Walked { left_out, whole } = survey.walk(goes_on, visit)?;
        Ok(Visited { left_out, whole })
    });
    let files = files.counting(move |wanted| looking.cached(wanted));
    let session = agree(fs, connection, config)
        .map_err(other("agree with the kernel on the FUSE protocol"))?;
    let kernel = notifier.kernel();
    if let Some(reason) = notifier.passthrough_refusal(session.as_fd()) {
        return Err(StartError::Passthrough(reason));
    }
    let notices =
        session.as_fd().try_clone_to_owned().map_err(other("share the FUSE connection"))?;
    notifier.attach(table, notices).map_err(other("start a thread"))?;
    let (address, http) = (control.address(), control.http());
    let config = server_config(config, (paths, &control), kernel, log.lost());
    given.judge(table, &config.bounds)?;
    let config = ServerConfig { files, repairer, unsynced, health: looking_at, ..config };
    let (listeners, socket) = control.listeners();
    let control = Server::start(listeners, Arc::clone(table), stats, config)
        .map_err(other("serve Thrift clients"))?;
    let (session, ended) = begin(session)?;
    let mounted = Arc::new(mounted);
    let control = Some(control);
    let (companion, keeper, service) = (None, None, None);
    let run = Running {
        mounted,
        control,
        address,
        http,
        socket,
        session,
        ended,
        companion,
        keeper,
        service,
    };
    Ok((run, health))
}

/// The session with the kernel, which takes requests once it runs.
fn agree(fs: SlowFs, connection: OwnedFd, config: &RunConfig) -> io::Result<Session<SlowFs>> {
    let mut loops = fuser::Config::default();
    loops.n_threads = Some(config.fs.threads.max(1));
    // A queue per thread where the device may be opened again; an ordinary user may not everywhere.
    loops.clone_fd = mount::open_device().is_ok();
    let admitted = if config.mount.allow_root { SessionACL::RootAndOwner } else { SessionACL::All };
    Session::from_fd(fs, connection, admitted, loops)
}

/// Has a thread of its own take requests; the pipe is closed when that ends.
fn begin(session: Session<SlowFs>) -> Result<(JoinHandle<io::Result<()>>, PipeReader), StartError> {
    let (ended, ending) = pipe().map_err(|e| StartError::Other("make a pipe", strip(&e)))?;
    let run = move || {
        let _ending = ending;
        session.run()
    };
    let thread = thread::Builder::new().name("session".to_owned()).spawn(run);
    let thread = thread.map_err(|e| StartError::Other("start the session's thread", strip(&e)))?;
    Ok((thread, ended))
}

fn server_config(
    config: &RunConfig,
    (paths, control): (&Paths, &Control),
    kernel: Kernel,
    log_lines_lost: Arc<AtomicU64>,
) -> ServerConfig {
    ServerConfig {
        scale: config.scale,
        auto_delay: config.auto_delay.clone(),
        bounds: Bounds { keeps_entries: !kernel.drops_entries, ..config.bounds(paths.reach()) },
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
            listen: control.address(),
            socket: control.path().map(Path::to_owned),
            http: control.http(),
        },
        allow: config.ports.allow.clone(),
        // The longest idle one is closed, rather than that nothing can be opened any more.
        max_connections: usize::try_from(Shares::now().connections).unwrap_or(1),
        log_lines_lost,
        files: Files::default(),
        repairer: Behind::default(),
        unsynced: Behind::default(),
        health: Behind::default(),
    }
}
