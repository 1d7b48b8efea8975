//! The kernel's limits on how long a FUSE server may take for a request. It would abort a mount whose requests
//! are held longer. No locks.

use std::fs;

/// The first is for servers that ask for no limit at INIT, as this one; the second is the most that any may
/// ask for.
const SETTINGS: [&str; 2] = ["default_request_timeout", "max_request_timeout"];

/// Those that are set, in seconds.
#[must_use]
pub(crate) fn request_timeouts() -> Vec<(&'static str, u64)> {
    let seconds = |name: &str| -> Option<u64> {
        fs::read_to_string(format!("/proc/sys/fs/fuse/{name}")).ok()?.trim().parse().ok()
    };
    let set = |name| Some((name, seconds(name).filter(|seconds| *seconds > 0)?));
    SETTINGS.into_iter().filter_map(set).collect()
}
