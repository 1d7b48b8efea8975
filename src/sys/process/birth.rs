//! Which of the processes of a number one is, without waiting for it: stat, which tells when a process
//! began, may wait for one that executes a program.
//!
//! Lock rule: what is known is not locked across a system call.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};

use super::number;
use crate::sys::descriptors::Shares;

/// The type of the filesystem of descriptors of processes (linux/magic.h: `PID_FS_MAGIC`).
const PIDFS: i64 = 0x5049_4446;

/// Whether a descriptor of a process has an inode that no other process ever has (Linux 6.9).
static INODES_ARE_UNIQUE: LazyLock<bool> = LazyLock::new(|| {
    let own = number(process::id()).and_then(|own| pidfd_open(own, PidfdFlags::empty()).ok());
    own.is_some_and(|own| fstatfs(own).is_ok_and(|fs| i128::from(fs.f_type) == i128::from(PIDFS)))
});

/// Those met before Linux 6.9.
static KEPT: LazyLock<Kept> =
    LazyLock::new(|| Kept::new(usize::try_from(Shares::now().births).unwrap_or(0)));

/// What no other process of that number has. Before Linux 6.9 a descriptor is kept for that of each
/// process that was asked for and has not ended; before 5.3, which has none, stat waits for nobody.
///
/// # Errors
/// There is no such process, or no descriptor to be had.
pub(super) fn of(pid: u32) -> io::Result<u64> {
    match *INODES_ARE_UNIQUE {
        true => Ok(fstat(open(pid)?)?.st_ino),
        false => KEPT.birth(pid).or_else(|error| match error.raw_os_error() {
            Some(libc::ENOSYS) => began(pid),
            _ => Err(error),
        }),
    }
}

/// When it began, in clock ticks.
fn began(pid: u32) -> io::Result<u64> {
    let stat = fs::read(format!("/proc/{pid}/task/{pid}/stat"))?;
    began_in(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Field 22 of stat. The name, field 2, is in parentheses, and may have some itself.
fn began_in(stat: &[u8]) -> Option<u64> {
    let name = stat.iter().rposition(|byte| *byte == b')')?;
    let field = stat.get(name..)?.split(|byte| *byte == b' ').nth(20)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = number(pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Processes told apart by their descriptors.
struct Kept {
    most: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    latest: u64,
    processes: HashMap<u32, (Arc<OwnedFd>, u64)>,
}

impl Kept {
    fn new(most: usize) -> Kept {
        Kept { most, known: Mutex::default() }
    }

    fn birth(&self, pid: u32) -> io::Result<u64> {
        // Opened first: if the known one is there still, it has that number now.
        let process = Arc::new(open(pid)?);
        let before = self.known.lock().processes.get(&pid).cloned();
        if let Some((known, birth)) = &before
            && is_there(known)
        {
            return Ok(*birth);
        }
        self.make_room();
        let gone = before.map(|(_, birth)| birth);
        let mut known = self.known.lock();
        if let Some((_, birth)) = known.processes.get(&pid)
            && Some(*birth) != gone
        {
            // Another thread has met it meanwhile.
            return Ok(*birth);
        }
        if known.processes.len() >= self.most {
            return Err(Errno::MFILE.into());
        }
        known.latest += 1;
        let birth = known.latest;
        known.processes.insert(pid, (process, birth));
        Ok(birth)
    }

    /// Forgets those that are gone, where there are many.
    fn make_room(&self) {
        let all: Vec<_> = {
            let known = self.known.lock();
            let full = known.processes.len() >= self.most;
            let all = known.processes.iter().filter(|_| full);
            all.map(|(pid, (process, birth))| (*pid, Arc::clone(process), *birth)).collect()
        };
        let gone: Vec<_> = all.into_iter().filter(|(_, process, _)| !is_there(process)).collect();
        let mut known = self.known.lock();
        for (pid, _, birth) in &gone {
            if known.processes.get(pid).is_some_and(|(_, known)| known == birth) {
                known.processes.remove(pid);
            }
        }
    }
}

/// Whether the process has its number: it runs, or waits to be buried.
fn is_there(process: &OwnedFd) -> bool {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and of no signal there is no information to be read.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), 0, none, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    fn bury(child: &mut Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn fields_are_counted_after_the_name_whatever_that_is() {
        let line = b"12 (a) R \xff(b)) D 1 12 12 0 -1 4195332 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n";
        assert_eq!(began_in(line), Some(4711));
        assert_eq!(began_in(b""), None);
        assert_eq!(began(process::id()).unwrap(), began(process::id()).unwrap());
    }

    #[test]
    fn a_process_keeps_its_birth_and_leaves_it_to_nobody() {
        let kept = Kept::new(2);
        let [mut first, mut second, mut third] = [sleeper(), sleeper(), sleeper()];
        let birth = kept.birth(first.id()).unwrap();
        assert_eq!(kept.birth(first.id()).unwrap(), birth);
        assert_ne!(kept.birth(second.id()).unwrap(), birth);
        assert_eq!(kept.birth(third.id()).unwrap_err().raw_os_error(), Some(libc::EMFILE));
        first.kill().unwrap();
        assert_eq!(kept.birth(first.id()).unwrap(), birth, "it waits to be buried");
        first.wait().unwrap();
        assert_eq!(kept.birth(first.id()).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        // As if it had been given the number of the first.
        let gone = kept.known.lock().processes.remove(&first.id()).unwrap();
        bury(&mut second);
        kept.known.lock().processes.insert(third.id(), gone);
        assert!(kept.birth(third.id()).unwrap() > birth);
        assert_eq!(kept.known.lock().processes.len(), 1, "the second is forgotten");
        bury(&mut third);
    }
}
