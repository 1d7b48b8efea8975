//! What a run tells in its log once its mount answers.

use std::fs;
use std::path::Path;

use super::config::RunConfig;
use super::running::Running;

/// Who serves what, where, and what of it may surprise.
pub(super) fn announce(config: &RunConfig, run: &Running, base: &Path) {
    tracing::info!("{} mirrors {}", run.mounted.mountpoint().display(), base.display());
    match run.address {
        Some(address) => {
            tracing::info!("Thrift clients are served on {address}");
            if !address.ip().is_loopback() {
                tracing::warn!("anybody who reaches {address} can inject faults");
            }
        }
        None => tracing::info!("Thrift clients are not served (--listen none)"),
    }
    if let Some(socket) = &run.socket {
        tracing::info!("the control socket is {}", socket.path().display());
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
