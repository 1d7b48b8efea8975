//! All that a fault may know of one request: as it arrived, and once it has run. No locks.

use std::cell::{Cell, OnceCell};
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::ops::Call;
use crate::sys::process::{self, Process};

/// Who asked for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The thread; 0 if it is in a pid namespace that cannot be seen, or is the kernel itself.
    pub tid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// A range of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub len: u64,
}

impl Span {
    /// The first byte after it.
    #[must_use]
    pub fn end(self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    /// Whether the other lies within it.
    #[must_use]
    pub fn holds(self, other: Span) -> bool {
        self.offset <= other.offset && other.end() <= self.end()
    }
}

/// One request, as a fault sees it. Built only once something is armed.
pub struct Operation<'a> {
    /// What the kernel sent: the row of the table of methods.
    pub call: Call,
    /// Who asked.
    pub caller: Caller,
    /// The inode it is about, or the directory of the name it is about.
    pub inode: u64,
    /// The open file, if it came with one.
    pub handle: Option<u64>,
    /// What it reads, writes or allocates; of a copy what it writes.
    pub span: Option<Span>,
    /// Of a copy what it reads: the inode, and the bytes of it.
    pub source: Option<(u64, Span)>,
    /// What it writes.
    pub data: &'a [u8],
    /// How the file was opened, with RWF_SYNC and RWF_DSYNC of a write; 0 if unknown.
    pub open_flags: i32,
    /// Whether the kernel itself asks: it writes back what was stored through a mapping, or
    /// releases. Then the caller is nobody.
    pub writeback: bool,
    /// Whether SIGKILL may not wake the thread that waits for it.
    pub is_unwakable: bool,
    /// Whether it reads into the page cache.
    pub is_paged: bool,
    /// Whether it is a read that was decided when the kernel asked for attributes before it.
    pub is_announced: bool,
    /// Finds its path below the mount, for who decides by it.
    named: Option<&'a dyn Fn() -> Vec<u8>>,
    /// Finds where the file ends of which it reads.
    ending: Option<&'a dyn Fn() -> Option<u64>>,
    end: OnceCell<Option<u64>>,
    arrived: Cell<Option<Instant>>,
    pid: OnceCell<Option<u32>>,
    victim: OnceCell<Option<Process>>,
}

impl<'a> Operation<'a> {
    /// A request about an inode by a caller, of which no more is known.
    #[must_use]
    pub fn new(call: Call, caller: Caller, inode: u64) -> Operation<'a> {
        Operation {
            call,
            caller,
            inode,
            handle: None,
            span: None,
            source: None,
            data: &[],
            open_flags: 0,
            writeback: false,
            is_unwakable: false,
            is_paged: false,
            is_announced: false,
            named: None,
            ending: None,
            end: OnceCell::new(),
            arrived: Cell::new(None),
            pid: OnceCell::new(),
            victim: OnceCell::new(),
        }
    }

    /// The same, which arrived at that moment.
    #[must_use]
    pub fn arrived_at(self, arrived: Instant) -> Operation<'a> {
        self.arrives(arrived);
        self
    }

    /// When it arrived; now, if nobody has looked at the clock for it yet. That costs more than all
    /// else that is asked of an operation, so only who needs it asks.
    pub fn arrived(&self) -> Instant {
        self.arrived.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.arrived.set(Some(now));
            now
        })
    }

    /// Says when it arrived.
    pub(crate) fn arrives(&self, arrived: Instant) {
        self.arrived.set(Some(arrived));
    }

    /// Says how its path below the mount is found.
    pub(crate) fn named(&mut self, named: &'a dyn Fn() -> Vec<u8>) {
        self.named = Some(named);
    }

    /// Says how the end of the file is found of which it reads.
    pub(crate) fn ending(&mut self, ending: &'a dyn Fn() -> Option<u64>) {
        self.ending = Some(ending);
    }

    /// Where the file ends of which it reads, if that can be found out: by a system call.
    pub(super) fn end_of_source(&self) -> Option<u64> {
        *self.end.get_or_init(|| self.ending.and_then(|ending| ending()))
    }

    /// Its path below the mount; none if it has none.
    pub(super) fn path(&self) -> Vec<u8> {
        self.named.map(|named| named()).unwrap_or_default()
    }

    /// The number of the caller's process, if it can be seen.
    pub fn pid(&self) -> Option<u32> {
        let find = || process::arrival(self.caller.tid).map(|arrival| arrival.process.pid());
        *self.pid.get_or_init(find)
    }

    /// The caller's process, if it can be killed: not for the kernel's own requests, for pid 1, this
    /// daemon, and pid namespaces that cannot be seen.
    pub fn victim(&self) -> Option<Process> {
        *self.victim.get_or_init(|| process::victim(self.caller.tid))
    }
}

/// What is to be found out about a request when it has run, because an effect asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The file's size and blocks, before and after.
    pub size: bool,
    /// The bytes that it wrote over.
    pub replaced: bool,
    /// How long the backing took.
    pub took: bool,
}

impl Wants {
    /// What either wants.
    #[must_use]
    pub fn and(self, other: Wants) -> Wants {
        Wants {
            size: self.size || other.size,
            replaced: self.replaced || other.replaced,
            took: self.took || other.took,
        }
    }
}

/// A file's extent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Its size, bytes.
    pub size: u64,
    /// What it occupies, in blocks of 512 bytes.
    pub blocks: u64,
}

/// The extent of the file that a request changes: that which it is about; the one that is removed or
/// replaced, of a name; the new one, of what makes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extents {
    /// Before; none if it was not there.
    pub before: Option<Extent>,
    /// After; none if it is no more: its last name is gone, and nobody has it open.
    pub after: Option<Extent>,
}

/// How a request ended, told before it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done<'a> {
    /// Whether it ran on the backing; not if a fault answered, or its caller was killed first.
    pub ran: bool,
    /// The errno of the backing, or of what kept it from running; 0 if there is none.
    pub errno: i32,
    /// Bytes moved.
    pub bytes: u64,
    /// The ranges of its bytes that were let through, where not all were.
    pub parts: Option<&'a [Range<u64>]>,
    /// The file's extent before and after, if it was asked for and could be found out.
    pub extents: Option<Extents>,
    /// What the file had where a WRITE or COPY_FILE_RANGE was to write, as far as it reached, if that
    /// was asked for and could be read.
    pub replaced: Option<&'a [u8]>,
    /// How long the backing took, if that was asked for.
    pub took: Option<Duration>,
}
