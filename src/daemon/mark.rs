//! How `slowfs umount` finds the daemon of a mount: by an empty file in memory whose name says which
//! filesystem its holder serves. /proc shows the name among the holder's descriptors, to root and to
//! the holder's own user, and the kernel takes it back when the process ends, however it ends.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, MemfdFlags, StatxFlags};
use rustix::path::Arg;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::mountinfo::{Device, MountLine};
use crate::sys::process::{self, look_at_each};

/// How long the search may take, of which hardly any is needed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Held by a daemon while it has its mount.
pub(super) struct Mark(#[allow(dead_code, reason = "it is there to be seen")] OwnedFd);

impl Mark {
    /// # Errors
    /// There are no descriptors left.
    pub(super) fn leave(device: Device) -> io::Result<Mark> {
        Ok(Mark(rustix::fs::memfd_create(name(device), MemfdFlags::CLOEXEC)?))
    }
}

/// What every mark looks like in /proc, up to the numbers of its filesystem.
const MARKS: &[u8] = b"/memfd:slowfs-serves-";

fn name((major, minor): Device) -> String {
    format!("slowfs-serves-{major}:{minor}")
}

/// A process that serves a mount.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its id.
    pub pid: i32,
    process: OwnedFd,
}

impl Server {
    /// This process, which stands for one that goes on.
    #[cfg(test)]
    pub(crate) fn own() -> Server {
        let own = rustix::process::getpid();
        let process = pidfd_open(own, PidfdFlags::empty()).unwrap();
        Server { pid: own.as_raw_nonzero().get(), process }
    }

    /// Has it end: it releases what is held, and detaches its mount.
    ///
    /// # Errors
    /// EPERM if it is another user's.
    pub(crate) fn end(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.process, Signal::TERM) {
            // It has ended already.
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => other.map_err(Into::into),
        }
    }

    /// Waits that long at most for its end, and says whether it has come.
    #[must_use]
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).unwrap_or_default();
            match poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) if ready > 0 => return true,
                Ok(_) | Err(rustix::io::Errno::INTR) if !left.is_zero() => {}
                _ => return false,
            }
        }
    }
}

/// The processes that serve the filesystem of that line: one, or a former one too that is about to end. None
/// is found of another user, nor in a pid namespace that cannot be seen.
///
/// A mark can be handed to any process, which need not even take it: so it counts only if the mount's owner
/// has made it, and runs its holder.
///
/// To look at a process that executes a program may take until that is done, which a held operation
/// can prevent: such a one is passed over, since it serves nothing.
#[must_use]
pub(crate) fn servers_of(line: &MountLine) -> Vec<Server> {
    servers_of_each(slice::from_ref(line)).remove(&line.device).unwrap_or_default()
}

/// The same of each line that has any, by one look, whose bound is for all of them. No two are of one
/// filesystem.
#[must_use]
pub(crate) fn servers_of_each(lines: &[MountLine]) -> HashMap<Device, Vec<Server>> {
    let wanted = lines.iter().filter_map(|line| Wanted::of(line.device, line.owner).ok());
    holders(wanted.collect())
}

fn holders(wanted: Vec<Wanted>) -> HashMap<Device, Vec<Server>> {
    let mut servers: HashMap<_, Vec<_>> = HashMap::new();
    if wanted.is_empty() {
        return servers;
    }
    for (device, server) in
        look_at_each(PATIENCE, move |pid| held(pid, &wanted)).seen.into_iter().flatten()
    {
        servers.entry(device).or_default().push(server);
    }
    servers
}

/// Which of these marks a process holds, and itself for each.
fn held(pid: u32, wanted: &[Wanted]) -> Vec<(Device, Server)> {
    let is_mark = |link: PathBuf| {
        fs::read_link(link).is_ok_and(|path| path.as_os_str().as_bytes().starts_with(MARKS))
    };
    // Hardly any process holds one, and many may be wanted.
    if !links(pid).any(is_mark) {
        return Vec::new();
    }
    wanted.iter().filter_map(|wanted| Some((wanted.device, server(pid, wanted)?))).collect()
}

/// What /proc shows of each descriptor of a process.
fn links(pid: u32) -> impl Iterator<Item = PathBuf> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.map(|descriptor| descriptor.path())
}

/// A mark as it must be.
struct Wanted {
    /// The filesystem that it tells of.
    device: Device,
    /// What /proc shows of it.
    link: OsString,
    /// Who must have made it, and run its holder.
    owner: u32,
    /// Where the kernel has files in memory that have no path, and nobody else has any.
    memory: Device,
}

impl Wanted {
    fn of(device: Device, owner: u32) -> io::Result<Wanted> {
        let other = rustix::fs::memfd_create("slowfs-looks", MemfdFlags::CLOEXEC)?;
        let link = format!("/memfd:{} (deleted)", name(device)).into();
        Ok(Wanted { device, link, owner, memory: seen(other, c"", AtFlags::EMPTY_PATH)?.0 })
    }

    fn is_held_by(&self, pid: u32) -> bool {
        process::user_of(pid) == Some(self.owner) && links(pid).any(|link| self.is_at(&link))
    }

    fn is_at(&self, link: &Path) -> bool {
        let is_named_so = fs::read_link(link).is_ok_and(|path| path.as_os_str() == self.link);
        let quiet = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        is_named_so && seen(CWD, link, quiet).is_ok_and(|it| it == (self.memory, self.owner))
    }
}

/// The filesystem of a file, and whose it is.
fn seen(at: impl AsFd, path: impl Arg, flags: AtFlags) -> rustix::io::Result<(Device, u32)> {
    let seen = rustix::fs::statx(at, path, flags, StatxFlags::UID)?;
    Ok(((seen.stx_dev_major, seen.stx_dev_minor), seen.stx_uid))
}

fn server(pid: u32, wanted: &Wanted) -> Option<Server> {
    if !wanted.is_held_by(pid) {
        return None;
    }
    let number = i32::try_from(pid).ok()?;
    let process = pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()?;
    // The number may have gone to another process in between.
    wanted.is_held_by(pid).then_some(Server { pid: number, process })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Gid, Uid, fchown};

    fn found(device: Device, owner: u32) -> Vec<Server> {
        let mut servers = holders(vec![Wanted::of(device, owner).unwrap()]);
        servers.remove(&device).unwrap_or_default()
    }

    fn own() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn a_mark_is_found_while_it_is_held() {
        let device = (0, u32::MAX);
        assert!(found(device, own()).is_empty());
        let mark = Mark::leave(device).unwrap();
        let servers = found(device, own());
        assert_eq!(servers.len(), 1);
        assert_eq!(servers[0].pid.unsigned_abs(), std::process::id());
        assert!(!servers[0].ends_within(Duration::from_millis(1)));
        drop(mark);
        assert!(found(device, own()).is_empty());
    }

    #[test]
    fn one_look_finds_the_servers_of_several() {
        let devices = [1, 2, 3].map(|n| (1, u32::MAX - n));
        let _marks = [devices[0], devices[1]].map(|device| Mark::leave(device).unwrap());
        let found = holders(devices.map(|device| Wanted::of(device, own()).unwrap()).into());
        assert_eq!(found.len(), 2);
        for device in &devices[..2] {
            assert_eq!(found[device].len(), 1);
            assert_eq!(found[device][0].pid.unsigned_abs(), std::process::id());
        }
    }

    #[test]
    fn a_mark_counts_only_if_the_owner_of_the_mount_has_made_it_and_holds_it() {
        let device = (0, u32::MAX - 1);
        let mark = Mark::leave(device).unwrap();
        assert!(found(device, own() + 1).is_empty(), "its holder is another user's");
        fchown(&mark.0, Some(Uid::from_raw(own() + 1)), Some(Gid::ROOT)).unwrap();
        assert!(found(device, own()).is_empty(), "another user has made it");
        drop(mark);
        // A file of that name that somebody's filesystem has.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let _file = fs::File::create(&file).unwrap();
        let wanted = Wanted::of(device, own()).unwrap();
        let wanted = Wanted { link: file.canonicalize().unwrap().into(), ..wanted };
        assert!(!wanted.is_held_by(std::process::id()), "it is no file in memory");
    }
}
