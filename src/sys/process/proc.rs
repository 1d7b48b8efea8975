//! What /proc tells of a thread: the lines of status, the fields of stat (proc_pid_status(5),
//! proc_pid_stat(5)). Names of programs are bytes and need not be UTF-8.
//!
//! Invariant: no look waits for an operation of the one it looks at. A process that executes a program holds its
//! `exec_update_lock` while it closes files on its way (O_CLOEXEC), which a fault may hold; and stat
//! takes that lock (Linux 6.18.44), so that whoever reads it waits for the answer to that close.

use std::fs;
use std::io;
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

const SIGKILL: u64 = 1 << (9 - 1);

/// Of the kernel's `PF_` flags (linux/sched.h): on its way out.
const EXITING: u64 = 0x4;

/// Writing a core dump.
const DUMPING: u64 = 0x200;

/// /proc/.../status.
pub(super) struct Status(String);

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
        Status::read(&Status::path(pid, tid))
    }

    pub(super) fn path(pid: u32, tid: u32) -> String {
        format!("/proc/{pid}/task/{tid}/status")
    }

    fn read(path: &str) -> io::Result<Status> {
        Ok(Status::parse(&fs::read(path)?))
    }

    pub(super) fn parse(text: &[u8]) -> Status {
        Status(String::from_utf8_lossy(text).into_owned())
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
    }

    /// The process that the thread belongs to.
    pub(super) fn process(&self) -> Option<u32> {
        self.field("Tgid:")?.parse().ok()
    }

    /// Whether SIGKILL is among the signals pending for the thread or for its process.
    pub(super) fn killed(&self) -> bool {
        self.has_sigkill("SigPnd:") || self.process_killed()
    }

    /// Whether SIGKILL was sent to the process: to the end of its last thread it stays pending, which
    /// the one that exit(2) and execve(2) send to other threads does not.
    pub(super) fn process_killed(&self) -> bool {
        self.has_sigkill("ShdPnd:")
    }

    fn has_sigkill(&self, name: &str) -> bool {
        let mask = self.field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
        mask.is_some_and(|mask| mask & SIGKILL != 0)
    }

    /// Whether it is a thread of the kernel itself (Linux 6.8; before, nothing says so).
    pub(super) fn is_kernel(&self) -> bool {
        self.field("Kthread:") == Some("1")
    }

    fn state(&self) -> Option<&str> {
        self.field("State:")?.get(..1)
    }

    /// Whether it has ended, and only waits to be buried.
    pub(super) fn ended(&self) -> bool {
        matches!(self.state(), None | Some("Z" | "X"))
    }

    pub(super) fn runs(&self) -> bool {
        self.state() == Some("R")
    }

    /// Whether it is on its way out: it has given up its memory, which the kernel's threads never had,
    /// or its files.
    pub(super) fn exiting(&self) -> bool {
        let of_the_kernel = || match self.field("Kthread:") {
            Some(kernel) => kernel == "1",
            None => self.process() == Some(2) || self.field("PPid:") == Some("2"),
        };
        self.field("FDSize:") == Some("0") || self.field("VmSize:").is_none() && !of_the_kernel()
    }

    /// Whether a core of its process is being written.
    pub(super) fn dumping(&self) -> bool {
        self.field("CoreDumping:") == Some("1")
    }

    pub(super) fn groups(&self) -> Vec<u32> {
        let groups = self.field("Groups:").unwrap_or_default();
        groups.split_ascii_whitespace().filter_map(|group| group.parse().ok()).collect()
    }
}

/// What is asked of /proc/.../stat, which costs half as much as status, and may wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stat {
    state: u8,
    flags: u64,
    pending: u64,
}

impl Stat {
    /// Of a thread. In this directory the kernel does not add up those of the whole process.
    pub(super) fn of(pid: u32, tid: u32) -> io::Result<Stat> {
        Ok(Stat::parse(&fs::read(Stat::path(pid, tid))?))
    }

    pub(super) fn path(pid: u32, tid: u32) -> String {
        format!("/proc/{pid}/task/{tid}/stat")
    }

    pub(super) fn parse(line: &[u8]) -> Stat {
        // The name is in parentheses, and may have some itself.
        let name = line.iter().rposition(|byte| *byte == b')').map_or(0, |end| end + 1);
        let fields = line.get(name..).unwrap_or_default().split(|byte| *byte == b' ').skip(1);
        let mut stat = Stat::default();
        // Numbered as in proc_pid_stat(5).
        for (number, field) in (3..=31).zip(fields) {
            let value = || std::str::from_utf8(field).ok()?.parse().ok();
            match number {
                3 => stat.state = field.first().copied().unwrap_or_default(),
                9 => stat.flags = value().unwrap_or_default(),
                31 => stat.pending = value().unwrap_or_default(),
                _ => {}
            }
        }
        stat
    }

    /// Whether it has ended, and only waits to be buried.
    pub(super) fn ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | 0)
    }

    pub(super) fn exiting(&self) -> bool {
        self.flags & EXITING != 0
    }

    pub(super) fn dumping(&self) -> bool {
        self.flags & DUMPING != 0
    }

    /// Whether a SIGKILL is pending for the thread itself.
    pub(super) fn killed(&self) -> bool {
        self.pending & SIGKILL != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_masks_are_read_from_either_line() {
        let status = |own: &str, shared: &str| {
            Status(format!("Name:\tx\nTgid:\t12\nSigPnd:\t{own}\nShdPnd:\t{shared}\nSigBlk:\tff\n"))
        };
        let (none, kill) = ("0000000000000000", "0000000000000100");
        assert!(status(kill, none).killed() && !status(kill, none).process_killed());
        assert!(status(none, kill).killed() && status(none, kill).process_killed());
        assert!(!status(none, "fffffffffffffeff").killed());
        assert!(!Status(String::new()).killed());
        assert_eq!(status(none, none).process(), Some(12));
        assert!(!status(none, none).is_kernel() && status(none, none).groups().is_empty());
    }

    #[test]
    fn fields_are_counted_after_the_name_whatever_that_is() {
        let line = b"12 (a) R \xff(b)) D 1 12 12 0 -1 4195332 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0 \
                     18446744073709551615 0 0 0 0 0 256 0 0 0 0 0 0 17 0 0 0 0 0 0\n";
        let stat = Stat::parse(line);
        assert!(stat.killed() && stat.exiting() && !stat.dumping() && !stat.ended());
        let nothing = Stat::parse(b"");
        assert!(nothing.ended() && !nothing.killed());
    }

    #[test]
    fn who_is_on_its_way_out_has_neither_memory_nor_files() {
        let status = |state: &str, lines: &str| {
            Status(format!("Name:\tx\nState:\t{state}\nTgid:\t12\nPPid:\t1\n{lines}"))
        };
        let alive = status("D (disk sleep)", "FDSize:\t64\nVmSize:\t 9 kB\nCoreDumping:\t0\n");
        assert!(!alive.exiting() && !alive.dumping() && !alive.ended() && !alive.runs());
        assert!(status("R (running)", "FDSize:\t64\nVmSize:\t 9 kB\nCoreDumping:\t1\n").dumping());
        assert!(status("R (running)", "FDSize:\t64\n").exiting());
        assert!(status("R (running)", "FDSize:\t64\n").runs());
        assert!(status("S (sleeping)", "FDSize:\t0\nVmSize:\t 9 kB\n").exiting());
        assert!(!status("S (sleeping)", "FDSize:\t64\nKthread:\t1\n").exiting());
        assert!(status("Z (zombie)", "FDSize:\t0\n").ended());
        let kthreadd = Status("State:\tS (sleeping)\nTgid:\t2\nFDSize:\t64\n".into());
        assert!(!kthreadd.exiting());
        assert!(Status(String::new()).ended());
    }
}
