//! What the calling user may: capabilities, limits, and what /proc shows.

use rustix::thread::{CapabilitySet, capabilities as capabilities_of};

use super::finding::Finding;
use super::scene::Scene;
use crate::daemon::limits::{most_descriptors, that_would_stay};
use crate::sys::process::numbers_are_ours;

/// So many files may a database have open, and more.
const ENOUGH_DESCRIPTORS: u64 = 4096;

/// What root's daemon uses: the capability, its name, and what fails without.
const USED: [(CapabilitySet, &str, &str); 12] = [
    (CapabilitySet::SYS_ADMIN, "sys_admin", "nothing can be mounted"),
    (CapabilitySet::CHOWN, "chown", "chown and creating as another user fail"),
    (CapabilitySet::DAC_OVERRIDE, "dac_override", "files of other users fail with EACCES"),
    (CapabilitySet::DAC_READ_SEARCH, "dac_read_search", "files of other users fail with EACCES"),
    (CapabilitySet::FOWNER, "fowner", "chmod and utimes of others' files fail"),
    (CapabilitySet::FSETID, "fsetid", "setgid is lost"),
    (CapabilitySet::SETUID, "setuid", "files are created as root"),
    (CapabilitySet::SETGID, "setgid", "files are created with root's group"),
    (CapabilitySet::MKNOD, "mknod", "devices cannot be made"),
    (CapabilitySet::KILL, "kill", "kill faults spare other users"),
    (CapabilitySet::SYS_PTRACE, "sys_ptrace", "less is seen of callers"),
    (CapabilitySet::SYS_RESOURCE, "sys_resource", "limits stay as they are"),
];

/// So many of these, the last ones, a mount can do without.
const NICE: usize = 2;

pub(super) fn capabilities(scene: &Scene) -> Finding {
    if !scene.is_root {
        return Finding::ok("those of an ordinary user", "mounts serve files with your rights");
    }
    of(capabilities_of(None).map_or(CapabilitySet::empty(), |sets| sets.effective))
}

fn of(effective: CapabilitySet) -> Finding {
    let missing: Vec<_> =
        USED.iter().enumerate().filter(|(_, (one, ..))| !effective.contains(*one)).collect();
    if missing.is_empty() {
        return Finding::ok("all that a mount uses", "it acts for every user as the kernel would");
    }
    let names: Vec<_> = missing.iter().map(|(_, (_, name, _))| *name).collect();
    let mut harms: Vec<_> = missing.iter().map(|(_, (.., harm))| *harm).collect();
    harms.dedup();
    let needed = missing.iter().any(|(place, _)| *place < USED.len() - NICE);
    let finding = if needed { Finding::to_do } else { Finding::note };
    finding(
        format!("without {}", names.join(", ")),
        harms.join("; "),
        format!("start a container with `--cap-add {}`", names.join(",")),
    )
}

pub(super) fn processes(_: &Scene) -> Finding {
    if numbers_are_ours() {
        return Finding::ok("it is of this pid namespace", "callers are known");
    }
    Finding::to_do(
        "it is not of this pid namespace, or not there",
        "callers are unknown: kill faults skip them, and a killed one is held on",
        "mount a proc filesystem, as `unshare --mount-proc` does",
    )
}

pub(super) fn descriptors(_: &Scene) -> Finding {
    let most = most_descriptors(may_lift());
    let is = format!("{most} at most");
    if most >= ENOUGH_DESCRIPTORS {
        return Finding::ok(is, "a mount may have nearly as many files open");
    }
    Finding::to_do(
        is,
        "with so many files open on a mount further opens fail with ENFILE",
        "raise the hard limit: `ulimit -Hn 1048576` as root, LimitNOFILE= of a unit, --ulimit of a container",
    )
}

pub(super) fn limits(_: &Scene) -> Finding {
    let staying = if may_lift() { Vec::new() } else { that_would_stay() };
    if staying.is_empty() {
        return Finding::ok("none is in the way", "a mount is not ended or crippled by one");
    }
    Finding::to_do(
        format!("{} cannot be lifted", super::scene::counted(staying.len(), "limit")),
        staying.join("; "),
        "raise what is allowed at most (`ulimit -H`), or mount as root",
    )
}

/// Whether limits can be lifted beyond what is allowed at most.
fn may_lift() -> bool {
    capabilities_of(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn what_is_missing_is_needed_or_not() {
        let all = USED.iter().fold(CapabilitySet::empty(), |all, (one, ..)| all | *one);
        assert_eq!(of(all).verdict, Verdict::Ok);
        let nice = of(all - CapabilitySet::SYS_RESOURCE);
        assert_eq!((nice.verdict, nice.is.as_str()), (Verdict::Note, "without sys_resource"));
        let needed = of(all - CapabilitySet::SYS_ADMIN - CapabilitySet::SYS_PTRACE);
        assert_eq!(needed.verdict, Verdict::ToDo);
        assert_eq!(needed.todo.unwrap(), "start a container with `--cap-add sys_admin,sys_ptrace`");
    }
}
