//! What /proc tells of a thread: the lines of status (proc_pid_status(5)). Names of programs are bytes and
//! need not be UTF-8.
//!
//! Invariant: no look waits for an operation of the one it looks at. A process that executes a program
//! holds its `exec_update_lock` while it closes files on its way (O_CLOEXEC) and waits for its asynchronous
//! operations, all of which a fault may hold. stat, syscall and the links take that lock (Linux
//! 6.18.44), so that whoever reads them waits as long; status does not.

use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::process;
use std::sync::LazyLock;

/// Whether /proc numbers processes as this pid namespace does. If not (unshare(1) without
/// `--mount-proc`), a number that the kernel tells us is somebody else's there.
static NUMBERS_ARE_OURS: LazyLock<bool> = LazyLock::new(|| {
    let own = fs::read_link("/proc/self");
    let ours = own.as_ref().is_ok_and(|own| own.to_str() == Some(&process::id().to_string()));
    if !ours {
        tracing::warn!(
            "/proc is not that of this pid namespace: callers count as unknown, so kill faults skip them \
             and a killed one is held on; mount a proc filesystem (unshare --mount-proc)"
        );
    }
    ours
});

/// Whether /proc tells of the callers that the kernel names.
#[must_use]
pub(crate) fn numbers_are_ours() -> bool {
    *NUMBERS_ARE_OURS
}

/// Of a set of signals.
const SIGKILL: u64 = 1 << (9 - 1);

/// /proc/.../status.
#[derive(Debug)]
pub(super) struct Status {
    process: Option<u32>,
    parent: Option<u32>,
    /// Linux 6.8; before, nothing says so.
    kernel: Option<bool>,
    state: Option<u8>,
    has_files: bool,
    has_memory: bool,
    /// The signals pending for the thread.
    own: u64,
    /// Those pending for its process.
    shared: u64,
    dumping: bool,
    /// Real and effective, then others.
    users: String,
    groups: String,
}

impl Status {
    /// Of a thread by its number alone, which is one of this pid namespace.
    pub(super) fn of_thread(tid: u32) -> io::Result<Status> {
        if !*NUMBERS_ARE_OURS {
            return Err(io::ErrorKind::NotFound.into());
        }
        Status::read(&format!("/proc/{tid}/status"))
    }

    /// Of a thread of this process.
    pub(super) fn of(pid: u32, tid: u32) -> io::Result<Status> {
        Status::read(&path(pid, tid, "status"))
    }

    fn read(path: &str) -> io::Result<Status> {
        Ok(Status::parse(&read_whole(&fs::File::open(path)?)?))
    }

    /// Once more, through a descriptor of it that was kept.
    pub(super) fn again(mut kept: &fs::File) -> io::Result<Status> {
        kept.rewind()?;
        Ok(Status::parse(&read_whole(kept)?))
    }

    pub(super) fn parse(text: &[u8]) -> Status {
        let mut status = Status {
            process: None,
            parent: None,
            kernel: None,
            state: None,
            has_files: true,
            has_memory: false,
            own: 0,
            shared: 0,
            dumping: false,
            users: String::new(),
            groups: String::new(),
        };
        for line in String::from_utf8_lossy(text).lines() {
            if let Some((name, value)) = line.split_once(":\t") {
                status.take(name, value);
            }
        }
        status
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            "State" => self.state = value.as_bytes().first().copied(),
            "Tgid" => self.process = value.parse().ok(),
            "PPid" => self.parent = value.parse().ok(),
            "FDSize" => self.has_files = value != "0",
            "Uid" => value.clone_into(&mut self.users),
            "Groups" => self.groups = value.to_owned(),
            "Kthread" => self.kernel = Some(value == "1"),
            "VmSize" => self.has_memory = true,
            "CoreDumping" => self.dumping = value == "1",
            "SigPnd" => self.own = mask(value),
            "ShdPnd" => self.shared = mask(value),
            _ => {}
        }
    }

    /// The process that the thread belongs to.
    pub(super) fn process(&self) -> Option<u32> {
        self.process
    }

    /// The process that it is a child of.
    pub(super) fn parent(&self) -> Option<u32> {
        self.parent
    }

    /// Whether SIGKILL is among the signals pending for the thread or for its process.
    pub(super) fn killed(&self) -> bool {
        self.own & SIGKILL != 0 || self.process_killed()
    }

    /// Whether SIGKILL was sent to the process: to the end of its last thread it stays pending, which
    /// the one that exit(2) and execve(2) send to other threads does not.
    pub(super) fn process_killed(&self) -> bool {
        self.shared & SIGKILL != 0
    }

    /// Whether it is a thread of the kernel itself, as far as is known.
    pub(super) fn is_kernel(&self) -> bool {
        self.kernel == Some(true)
    }

    /// Whether it has ended, and only waits to be buried.
    pub(super) fn ended(&self) -> bool {
        matches!(self.state, None | Some(b'Z' | b'X'))
    }

    /// Whether each signal wakes it.
    pub(super) fn sleeps_lightly(&self) -> bool {
        self.state == Some(b'S')
    }

    pub(super) fn runs(&self) -> bool {
        self.state == Some(b'R')
    }

    /// Whether it is on its way out: it has given up its memory, which the kernel's threads never had,
    /// or its files.
    pub(super) fn exiting(&self) -> bool {
        let of_the_kernel =
            || self.kernel.unwrap_or(self.process == Some(2) || self.parent == Some(2));
        !self.has_files || !self.has_memory && !of_the_kernel()
    }

    /// Whether a core of its process is being written.
    pub(super) fn dumping(&self) -> bool {
        self.dumping
    }

    /// The user that it was started by and acts for, if that is one.
    pub(super) fn user(&self) -> Option<u32> {
        let mut users = self.users.split_ascii_whitespace();
        let (real, effective) = (users.next()?, users.next()?);
        if real == effective { real.parse().ok() } else { None }
    }

    pub(super) fn groups(&self) -> Vec<u32> {
        let groups = self.groups.split_ascii_whitespace();
        groups.filter_map(|group| group.parse().ok()).collect()
    }
}

/// Reads a short file in two calls. Its length is not asked for, which /proc does not know.
fn read_whole(file: &fs::File) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(4096);
    file.take(u64::MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// A file of a thread of this process.
pub(super) fn path(pid: u32, tid: u32, name: &str) -> String {
    format!("/proc/{pid}/task/{tid}/{name}")
}

/// The name of the program that a process runs, as ps(1) shows it; whatever it is, on one line.
pub(super) fn command(pid: u32) -> io::Result<String> {
    let comm = fs::read(format!("/proc/{pid}/comm"))?;
    Ok(comm.strip_suffix(b"\n").unwrap_or(&comm).escape_ascii().to_string())
}

/// A set of signals, in hexadecimal.
fn mask(value: &str) -> u64 {
    u64::from_str_radix(value, 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        Status::parse(text.as_bytes())
    }

    #[test]
    fn pending_masks_are_read_from_either_line() {
        let pending = |own: &str, shared: &str| {
            status(&format!(
                "Name:\tx\nTgid:\t12\nSigPnd:\t{own}\nShdPnd:\t{shared}\nSigBlk:\tff\n"
            ))
        };
        let (none, kill) = ("0000000000000000", "0000000000000100");
        assert!(pending(kill, none).killed() && !pending(kill, none).process_killed());
        assert!(pending(none, kill).killed() && pending(none, kill).process_killed());
        assert!(!pending(none, "fffffffffffffeff").killed());
        assert!(!status("").killed());
        assert_eq!(pending(none, none).process(), Some(12));
        assert!(!pending(none, none).is_kernel() && pending(none, none).groups().is_empty());
        assert_eq!(status("Groups:\t0 4 4000000000 \n").groups(), [0, 4, 4_000_000_000]);
        assert_eq!(status("Uid:\t1000\t1000\t0\t0\n").user(), Some(1000));
        assert_eq!(status("Uid:\t1000\t0\t0\t0\n").user(), None);
        assert_eq!(status("").user(), None);
    }

    #[test]
    fn who_is_on_its_way_out_has_neither_memory_nor_files() {
        let status_in = |state: &str, lines: &str| {
            status(&format!("Name:\tx: y\nState:\t{state}\nTgid:\t12\nPPid:\t1\n{lines}"))
        };
        let alive = status_in("D (disk sleep)", "FDSize:\t64\nVmSize:\t 9 kB\nCoreDumping:\t0\n");
        assert!(!alive.exiting() && !alive.dumping() && !alive.ended() && !alive.runs());
        assert!(!alive.sleeps_lightly());
        assert!(status_in("S (sleeping)", "").sleeps_lightly());
        assert!(
            status_in("R (running)", "FDSize:\t64\nVmSize:\t 9 kB\nCoreDumping:\t1\n").dumping()
        );
        assert!(status_in("R (running)", "FDSize:\t64\n").exiting());
        assert!(status_in("R (running)", "FDSize:\t64\n").runs());
        assert!(status_in("S (sleeping)", "FDSize:\t0\nVmSize:\t 9 kB\n").exiting());
        assert!(!status_in("S (sleeping)", "FDSize:\t64\nKthread:\t1\n").exiting());
        assert!(status_in("Z (zombie)", "FDSize:\t0\n").ended());
        assert!(!status("State:\tS (sleeping)\nTgid:\t2\nFDSize:\t64\n").exiting());
        assert!(status("").ended());
    }

    #[test]
    fn a_name_may_be_anything() {
        let own = Status::parse(b"Name:\tR \xff(b): Tgid:\nState:\tS (sleeping)\nTgid:\t7\n");
        assert_eq!(own.process(), Some(7));
        assert!(!own.ended());
    }
}
