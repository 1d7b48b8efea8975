//! What is otherwise with `--writeback-cache`: the kernel keeps what is written and writes it back later.
//!
//! Of every regular file that it knows, the kernel then keeps the size and the times of modification
//! and change by itself, takes none that it is told, and tells what it has by SETATTR. So the backing
//! may be behind: its content, and where it ends. What is asked of the backing itself (holes, copies,
//! reads past the page cache) waits until all of the file is written back. No locks.

use std::io;
use std::ops::Range;
use std::time::Duration;

use super::Core;
use super::op::Op;
use crate::mirror::{Attr, Buffer, Caller, Changes, Fh, Ino};
use crate::ops::Call;
use crate::sys::syscall;

/// How long the kernel may trust attributes that no fault concerns.
const TTL: Duration = Duration::from_secs(1);

/// The same of regular files in this mode, where only time reaches all of it: a read(2) asks for nothing
/// but the size, which is the kernel's own whatever is invalidated, and the kernel is told times all
/// along, by replies that it takes in also after an invalidation.
const KEPT_TTL: Duration = Duration::from_millis(100);

/// By when that is over, on a busy machine too.
pub(super) const KEPT_TTL_OVER: Duration = Duration::from_millis(200);

/// How long to look for who asks, who always waits for the answer: on a busy machine perhaps not soon,
/// and a read that is not seen misses its fault.
const PATIENCE: Duration = Duration::from_millis(200);

/// All of a file.
const ALL: Range<u64> = 0..u64::MAX;

impl Core {
    /// How long the kernel may trust these attributes, unless a fault concerns them.
    pub(super) fn ttl(&self, attr: &Attr) -> Duration {
        let kept = self.options.writeback_cache && attr.mode & libc::S_IFMT == libc::S_IFREG;
        if kept { KEPT_TTL } else { TTL }
    }

    /// Whether the pages of a file can be filled and written back by this handle of it: not if it
    /// cannot read, nor if it writes to the end whatever it is told.
    pub(super) fn cannot_page(&self, fh: Fh) -> bool {
        self.options.writeback_cache
            && !self.tree.handle(fh).is_ok_and(|handle| handle.reads_and_writes_in_place())
    }

    /// Has the backing catch up with what was written. Waits for the WRITEs, held or not: not for a
    /// thread that these need.
    pub(super) fn catch_up(&self, ino: Ino) {
        if self.options.writeback_cache {
            self.outdate_pages(ino, &ALL);
        }
    }

    /// Reads past the page cache. Before what the kernel has yet to write back the backing may end,
    /// where the file does not.
    pub(super) fn read_past_cache(
        &self,
        (ino, fh): (Ino, Fh),
        (offset, size): (u64, u32),
        buf: &mut Buffer,
    ) -> io::Result<()> {
        self.tree.read(fh, offset, size, buf)?;
        if self.options.writeback_cache && buf.len() < size as usize {
            self.catch_up(ino);
            self.tree.read(fh, offset, size, buf)?;
        }
        Ok(())
    }

    /// Whether a SETATTR tells the times that the kernel keeps, which nobody has set: when it writes a
    /// file back, and after a name of it was changed. utimensat(2) of the time of modification alone
    /// looks the same, but comes without a handle.
    pub(super) fn tells_times(&self, op: &Op, changes: &Changes, by_handle: bool) -> bool {
        let asked = || self.gate.armed(Call::SetattrTimes.methods()) && sets_times(op.caller.tid);
        changes.only_tells() && (by_handle || !asked())
    }

    /// Passes on such times, where the backing takes them. An ordinary user's daemon may write files of
    /// others, rename and remove them, but not set their times; nor may anybody those of a file that
    /// is only appended to. The kernel would keep that error for the next fsync(2) or close(2).
    pub(super) fn told_times(
        &self,
        caller: &Caller,
        (ino, fh): (Ino, Option<Fh>),
        set: impl FnOnce() -> io::Result<Attr>,
    ) -> io::Result<Attr> {
        match set() {
            Err(error)
                if error.raw_os_error() == Some(libc::EPERM)
                    && (fh.is_some() || !sets_times(caller.tid)) =>
            {
                self.tree.getattr(ino, fh)
            }
            set => set,
        }
    }

    /// Whether a GETATTR with handle may go before a write, which looks for setuid and setgid bits
    /// then and fails if that does. Only a handle that writes has such. Whoever cannot be told from a
    /// writer meets faults on reads at the READs that it sends.
    pub(super) fn may_precede_write(&self, op: &Op, ino: Ino) -> bool {
        let handle = op.fh.and_then(|fh| self.tree.handle(fh).ok());
        if !self.options.writeback_cache
            || !matches!(op.call, Call::GetattrHandle)
            || handle.is_some_and(|handle| !handle.writes())
        {
            return false;
        }
        let tid = op.caller.tid;
        match syscall::waited_in(tid, PATIENCE) {
            Some(call) if call.is_read() || call.is_seek() => false,
            Some(call) if call.is_write() => true,
            _ => {
                self.readers.doubt(tid, ino);
                true
            }
        }
    }
}

/// Whether the thread waits in a call that sets times, as far as can be seen.
fn sets_times(tid: u32) -> bool {
    syscall::waited_in(tid, PATIENCE).is_some_and(|call| call.sets_times())
}
