//! What one thread is to the kernel: whom it acts for, its umask, its working directory.
//!
//! Invariant: every change is of the calling thread alone, and the guards, which cannot leave
//! their thread, undo it on drop. The daemon's own credentials are read once and never change
//! afterwards. No locks.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::sync::LazyLock;

use rustix::fs::Mode;
use rustix::process::Gid;
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

/// What the kernel takes from a thread whose fsuid leaves 0 and gives back when it returns
/// (`CAP_FS_SET`, capabilities(7) "Effect of user ID changes on capabilities").
const OF_FILES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::LINUX_IMMUTABLE)
    .union(CapabilitySet::MAC_OVERRIDE);

/// What an operation keeps that the kernel has already judged for the caller: the backing must not
/// judge again, without the caller's supplementary groups and capabilities.
const JUDGED: CapabilitySet =
    CapabilitySet::MKNOD.union(CapabilitySet::DAC_OVERRIDE).union(CapabilitySet::FSETID);

struct Daemon {
    uid: u32,
    gid: u32,
    groups: Vec<Gid>,
    caps: CapabilitySets,
}

static DAEMON: LazyLock<Daemon> = LazyLock::new(|| Daemon {
    uid: rustix::process::geteuid().as_raw(),
    gid: rustix::process::getegid().as_raw(),
    groups: rustix::process::getgroups().unwrap_or_default(),
    caps: rustix::thread::capabilities(None).unwrap_or(CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    }),
});

thread_local! {
    /// The umask of this thread, once it has its own.
    static UMASK: Cell<Option<u32>> = const { Cell::new(None) };
    /// Whether this thread stands in the directory `stand_in` names.
    static STANDS: Cell<bool> = const { Cell::new(false) };
}

/// The thread acts as somebody else until this is dropped.
#[must_use]
pub(crate) struct Acting {
    uid: bool,
    gid: bool,
    thread_bound: PhantomData<*const ()>,
}

impl Drop for Acting {
    fn drop(&mut self) {
        if self.uid {
            set_fsuid(DAEMON.uid);
        }
        if self.gid {
            set_fsgid(DAEMON.gid);
        }
    }
}

/// Files made by this thread belong to that user and group, with access as already judged by the
/// kernel that sent the request. Nothing changes for the daemon's own ids, nor in a daemon that
/// may not act for others (without `CAP_SETUID` and `CAP_SETGID`): its files are its own.
///
/// # Errors
/// Those of capset(2).
pub(crate) fn act_as(uid: u32, gid: u32) -> io::Result<Acting> {
    let acting = become_user(uid, gid);
    if acting.uid && DAEMON.uid == 0 {
        let caps = DAEMON.caps;
        let kept = caps.effective.difference(OF_FILES) | caps.effective.intersection(JUDGED);
        rustix::thread::set_capabilities(None, CapabilitySets { effective: kept, ..caps })?;
    }
    Ok(acting)
}

/// As [`act_as`], but the filesystem judges the access itself, by user and group alone.
pub(crate) fn act_unprivileged(uid: u32, gid: u32) -> Acting {
    become_user(uid, gid)
}

fn become_user(uid: u32, gid: u32) -> Acting {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    let may = DAEMON.caps.effective.contains(needed);
    let acting = Acting {
        uid: may && uid != DAEMON.uid,
        gid: may && gid != DAEMON.gid,
        thread_bound: PhantomData,
    };
    if acting.gid {
        set_fsgid(gid);
    }
    if acting.uid {
        set_fsuid(uid);
    }
    acting
}

fn set_fsuid(uid: u32) {
    // SAFETY: takes a number, touches no memory, acts on this thread alone (unlike glibc's setuid).
    unsafe { libc::syscall(libc::SYS_setfsuid, uid) };
}

fn set_fsgid(gid: u32) {
    // SAFETY: as in set_fsuid.
    unsafe { libc::syscall(libc::SYS_setfsgid, gid) };
}

/// The thread lacks `CAP_FSETID` until this is dropped.
#[must_use]
pub(crate) struct Plain {
    thread_bound: PhantomData<*const ()>,
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = rustix::thread::set_capabilities(None, DAEMON.caps);
    }
}

/// Takes `CAP_FSETID` from the thread, so that what it writes or truncates loses setuid and setgid
/// bits as it would for an ordinary user.
///
/// # Errors
/// Those of capset(2).
pub(crate) fn without_fsetid() -> io::Result<Plain> {
    let caps = DAEMON.caps;
    let effective = caps.effective.difference(CapabilitySet::FSETID);
    rustix::thread::set_capabilities(None, CapabilitySets { effective, ..caps })?;
    Ok(Plain { thread_bound: PhantomData })
}

/// The thread is in the groups of somebody else until this is dropped.
#[must_use]
pub(crate) struct Grouped {
    groups: bool,
    _gid: Acting,
    _plain: Plain,
}

impl Drop for Grouped {
    fn drop(&mut self) {
        if self.groups {
            let _ = rustix::thread::set_thread_groups(&DAEMON.groups);
        }
    }
}

/// Puts the thread into that group and those supplementary ones, no others, and takes `CAP_FSETID`
/// from it, so that the backing judges by them whether setuid and setgid bits stay. A daemon that may
/// not choose its groups keeps its own.
///
/// # Errors
/// Those of capset(2).
pub(crate) fn in_groups(gid: u32, groups: &[u32]) -> io::Result<Grouped> {
    let (gid, plain) = (become_user(DAEMON.uid, gid), without_fsetid()?);
    let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
    let may = DAEMON.caps.effective.contains(CapabilitySet::SETGID);
    let groups = may && rustix::thread::set_thread_groups(&groups).is_ok();
    Ok(Grouped { groups, _gid: gid, _plain: plain })
}

/// Sets the umask of this thread alone, for good.
///
/// # Errors
/// Those of unshare(2), at the first call of a thread.
pub(crate) fn set_umask(mask: u32) -> io::Result<()> {
    own_fs_state()?;
    if UMASK.get() != Some(mask) {
        rustix::process::umask(Mode::from_raw_mode(mask & 0o777));
        UMASK.set(Some(mask));
    }
    Ok(())
}

/// Moves this thread alone into a directory, the same one in every call of the process.
///
/// # Errors
/// Those of unshare(2) and fchdir(2), at the first call of a thread.
pub(crate) fn stand_in(dir: BorrowedFd<'_>) -> io::Result<()> {
    if !STANDS.get() {
        own_fs_state()?;
        rustix::process::fchdir(dir)?;
        STANDS.set(true);
    }
    Ok(())
}

/// Gives the thread its own umask and working directory, once.
fn own_fs_state() -> io::Result<()> {
    thread_local!(static OWN: Cell<bool> = const { Cell::new(false) });
    if !OWN.get() {
        // SAFETY: CLONE_FS shares no memory and no descriptors; only cwd, root and umask part.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }?;
        OWN.set(true);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn require_root() {
        assert_eq!(DAEMON.uid, 0, "this test must run as root");
    }

    #[test]
    fn files_belong_to_whom_the_thread_acts_for() {
        require_root();
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        {
            let _acting = act_as(1234, 4321).unwrap();
            std::fs::write(dir.path().join("theirs"), b"")
                .expect("judged access is not judged again");
        }
        std::fs::write(dir.path().join("mine"), b"").unwrap();
        let theirs = dir.path().join("theirs").metadata().unwrap();
        assert_eq!((theirs.uid(), theirs.gid()), (1234, 4321));
        let mine = dir.path().join("mine").metadata().unwrap();
        assert_eq!((mine.uid(), mine.gid()), (0, 0));
    }

    #[test]
    fn capabilities_are_whole_again_after_acting() {
        require_root();
        let before = rustix::thread::capabilities(None).unwrap();
        drop(act_as(1234, 4321).unwrap());
        drop(without_fsetid().unwrap());
        drop(act_unprivileged(1234, 4321));
        drop(in_groups(4321, &[77]).unwrap());
        assert_eq!(rustix::thread::capabilities(None).unwrap(), before);
    }

    #[test]
    fn groups_are_taken_and_given_back() {
        require_root();
        let groups = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let lines =
                status.lines().filter(|l| l.starts_with("Gid:") || l.starts_with("Groups:"));
            lines.map(|l| l.trim().to_owned()).collect::<Vec<_>>()
        };
        let before = groups();
        let grouped = in_groups(4321, &[77, 78]).unwrap();
        assert_eq!(groups(), ["Gid:\t0\t0\t0\t4321", "Groups:\t77 78"]);
        drop(grouped);
        assert_eq!(groups(), before);
    }

    #[test]
    fn umask_is_the_threads_own() {
        let mine = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            status.lines().find(|l| l.starts_with("Umask:")).unwrap().to_owned()
        };
        let before = mine();
        std::thread::spawn(move || {
            set_umask(0o123).unwrap();
            assert_eq!(mine(), "Umask:\t0123");
        })
        .join()
        .unwrap();
        assert_eq!(mine(), before);
    }
}
