//! What a run tells in its log once its mount answers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::config::RunConfig;
use super::running::Running;
use super::timeouts::request_timeouts;
use crate::fault::words::visible;
use crate::rpc::Allow;

/// A mount that answers.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Absolute and resolved.
    pub(crate) mountpoint: PathBuf,
    /// Absolute, as typed.
    pub(crate) backing: PathBuf,
    /// Of the daemon.
    pub(crate) pid: u32,
    /// Where clients are served over TCP.
    pub(crate) listen: Option<SocketAddr>,
    /// Where HTTP is served over TCP.
    pub(crate) http: Option<SocketAddr>,
    /// The control socket.
    pub(crate) socket: Option<PathBuf>,
}

impl Ready {
    pub(super) fn of(run: &Running, base: &Path) -> Ready {
        Ready {
            mountpoint: run.mounted.mountpoint().to_owned(),
            backing: base.to_owned(),
            pid: std::process::id(),
            listen: run.address,
            http: run.http,
            socket: run.socket.as_ref().map(|socket| socket.path().to_owned()),
        }
    }

    /// One line for a service manager, as it takes it.
    pub(super) fn status(&self) -> String {
        let (mountpoint, backing) = (self.mountpoint.display(), self.backing.display());
        let told = format!("{mountpoint} mirrors {backing}; control: {}", self.address());
        format!("STATUS={}", visible(&told))
    }

    /// The address that every client of this machine can be given: the port, or else the socket.
    pub(super) fn address(&self) -> String {
        let socket = || self.socket.as_ref().map(|path| path.display().to_string());
        let port = self.listen.map(|address| address.to_string());
        port.or_else(socket).unwrap_or_default()
    }
}

/// Who serves what, where, and what of it may surprise.
pub(super) fn announce(config: &RunConfig, ready: &Ready) {
    tracing::info!("{} mirrors {}", ready.mountpoint.display(), ready.backing.display());
    announce_ports(ready, &config.ports.allow);
    if let Some(socket) = &ready.socket {
        tracing::info!("the control socket is {}", socket.display());
    }
    if config.mount.allow_other && !config.mount.default_permissions {
        tracing::warn!("no_default_permissions with allow_other: every user may do anything here");
    }
    for (name, seconds) in request_timeouts() {
        tracing::warn!(
            "fs.fuse.{name} is {seconds}: the kernel aborts this mount when a fault holds an operation that \
             long; set it to 0"
        );
    }
}

fn announce_ports(ready: &Ready, allow: &Allow) {
    let is_far = |address: SocketAddr| !address.ip().is_loopback();
    match ready.listen {
        Some(address) => {
            tracing::info!("Thrift clients are served on {address}");
            if is_far(address) && allow.is_everybody() {
                tracing::warn!(
                    "anybody who reaches {address} can inject faults (--allow NETWORK leaves others out)"
                );
            }
        }
        None => tracing::info!("Thrift clients are not served (--listen none)"),
    }
    if let Some(address) = ready.http {
        tracing::info!("HTTP is served on {address}, to clients that have the token");
        if is_far(address) {
            tracing::warn!(
                "the traffic with {address} is not encrypted: whoever reads it has the token"
            );
        }
    }
    if !allow.is_everybody() {
        tracing::info!("the ports serve only clients from {allow} (--allow)");
    }
}
