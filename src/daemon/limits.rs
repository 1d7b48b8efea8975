//! The limits that the daemon inherits from whoever starts it (setrlimit(2)): it lifts those that would
//! end or cripple it, and says which it cannot lift. No locks.
//!
//! Of the others: a core (CORE) is the administrator's choice; LOCKS and RSS mean nothing to Linux;
//! MEMLOCK, MSGQUEUE, NICE, RTPRIO and SIGPENDING limit what the daemon does not use.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A limit, and what it does to a mount.
struct Row {
    resource: Resource,
    name: &'static str,
    /// With so much nobody feels it.
    enough: u64,
    /// How much before the hard limit, which kills, a signal is to come; 0 where none does.
    notice: u64,
    harm: &'static str,
}

const ROWS: [Row; 7] = [
    Row {
        resource: Resource::Fsize,
        name: "file size (ulimit -f, bytes)",
        enough: u64::MAX,
        notice: 0,
        harm: "writes beyond it fail with EFBIG, whoever writes",
    },
    Row {
        resource: Resource::Cpu,
        name: "processor time (ulimit -t, seconds)",
        enough: u64::MAX,
        notice: 1,
        harm: "the daemon unmounts and ends when it is used up",
    },
    Row {
        resource: Resource::As,
        name: "address space (ulimit -v, bytes)",
        enough: 8 << 30,
        notice: 0,
        harm: "the daemon ends, and leaves a dead mount, when it needs more",
    },
    Row {
        resource: Resource::Data,
        name: "data (ulimit -d, bytes)",
        enough: 8 << 30,
        notice: 0,
        harm: "the daemon ends, and leaves a dead mount, when it needs more",
    },
    Row {
        resource: Resource::Stack,
        name: "stack (ulimit -s, bytes)",
        enough: 8 << 20,
        notice: 0,
        harm: "the daemon may end, and leave a dead mount, when it needs more",
    },
    Row {
        resource: Resource::Nproc,
        name: "processes of the user (ulimit -u)",
        enough: 1024,
        notice: 0,
        harm: "held operations may end late, and control connections be refused",
    },
    Row {
        resource: Resource::Rttime,
        name: "real-time processor time (ulimit -R, microseconds)",
        enough: u64::MAX,
        notice: 1_000_000,
        harm: "the daemon unmounts and ends when it is used up under a real-time policy",
    },
];

/// Lifts what limits the daemon, as far as it may.
pub(super) fn lift() {
    for row in &ROWS {
        let Some(limit) = below(row) else { continue };
        // Without CAP_SYS_RESOURCE only up to what is allowed at most.
        let hard = limit.maximum.map(|hard| hard.saturating_sub(row.notice).max(1));
        let most = Rlimit { current: hard, maximum: limit.maximum };
        let all = Rlimit { current: None, maximum: None };
        let _ = setrlimit(row.resource, all).or_else(|_| setrlimit(row.resource, most));
        if let Some(Rlimit { current: Some(left), .. }) = below(row) {
            let Row { name, harm, .. } = row;
            tracing::warn!(
                "the limit of {name} stays at {left}: {harm}; raise it or start as root"
            );
        }
    }
}

/// The limits that would stay for a daemon that may lift none beyond what is allowed at most, and what each
/// does to it, a clause each.
#[must_use]
pub(crate) fn that_would_stay() -> Vec<String> {
    let stays = |row: &&Row| {
        let most = getrlimit(row.resource).maximum;
        most.is_some_and(|most| most.saturating_sub(row.notice) < row.enough)
    };
    let told = |row: &Row| {
        let most = getrlimit(row.resource).maximum.unwrap_or_default();
        format!("{} is {most} at most: {}", row.name, row.harm)
    };
    ROWS.iter().filter(stays).map(told).collect()
}

/// How many descriptors a daemon may come to have, as [`lift_descriptors`] raises them; `beyond` whether it
/// may raise the limit that it is allowed at most.
#[must_use]
pub(crate) fn most_descriptors(beyond: bool) -> u64 {
    let allowed = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let system = system_descriptors().unwrap_or(allowed);
    if beyond { allowed.max(system) } else { allowed }
}

/// What the kernel lets one process have.
fn system_descriptors() -> Option<u64> {
    fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok()
}

/// The limit, if it may be felt.
fn below(row: &Row) -> Option<Rlimit> {
    let limit = getrlimit(row.resource);
    limit.current.is_some_and(|current| current < row.enough).then_some(limit)
}

/// Lifts the limit of descriptors: each file that a caller has open costs one, and the more there may
/// be, the fewer the mirror reopens.
pub(super) fn lift_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.max(system_descriptors());
    let to = |most| setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    if let Err(error) = to(most).or_else(|_| to(limit.maximum)) {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
}
