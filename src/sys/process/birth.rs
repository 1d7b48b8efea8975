//! Which of the processes of a number one is.

use std::fs;
use std::io;
use std::process;
use std::sync::LazyLock;

use rustix::fs::{fstat, fstatfs};
use rustix::process::{PidfdFlags, pidfd_open};

use super::number;

/// The type of the filesystem of descriptors of processes (linux/magic.h: `PID_FS_MAGIC`).
const PIDFS: i64 = 0x5049_4446;

/// Whether a descriptor of a process has an inode that no other process ever has (Linux 6.9).
static INODES_ARE_UNIQUE: LazyLock<bool> = LazyLock::new(|| {
    let own = number(process::id()).and_then(|own| pidfd_open(own, PidfdFlags::empty()).ok());
    own.is_some_and(|own| fstatfs(own).is_ok_and(|fs| i128::from(fs.f_type) == i128::from(PIDFS)))
});

/// What no other process of that number has. Before Linux 6.9 the time when it began, in clock ticks,
/// which its stat tells: there a process that executes a program may be waited for.
///
/// # Errors
/// There is no such process, or no descriptor to be had.
pub(super) fn of(pid: u32) -> io::Result<u64> {
    if !*INODES_ARE_UNIQUE {
        let stat = fs::read(format!("/proc/{pid}/task/{pid}/stat"))?;
        return began(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into());
    }
    let pid = number(pid).ok_or(io::ErrorKind::NotFound)?;
    Ok(fstat(pidfd_open(pid, PidfdFlags::empty())?)?.st_ino)
}

/// Field 22 of stat. The name, field 2, is in parentheses, and may have some itself.
fn began(stat: &[u8]) -> Option<u64> {
    let name = stat.iter().rposition(|byte| *byte == b')')?;
    let field = stat.get(name..)?.split(|byte| *byte == b' ').nth(20)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name_whatever_that_is() {
        let line = b"12 (a) R \xff(b)) D 1 12 12 0 -1 4195332 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n";
        assert_eq!(began(line), Some(4711));
        assert_eq!(began(b""), None);
    }
}
