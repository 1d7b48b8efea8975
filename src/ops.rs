//! The table: every method name once, with the kernel requests that consult it.
//!
//! A *method* is what a fault is set on, by the names of the charybdefs contract (libfuse's
//! operation names). A *call* is a request of the kernel's, split where one FUSE opcode consults
//! different methods: SETATTR by what it sets, FSYNC by its datasync flag, GETATTR by whether it
//! carries a handle. To add a method, add its row here; nothing else lists them.

mod syscalls;

use std::fmt;

/// A kernel request, as far as the choice of methods depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Call {
    /// LOOKUP of a child.
    Lookup,
    /// GETATTR without a file handle: stat(2), and fstat(2) too.
    Getattr,
    /// GETATTR with a file handle: lseek(SEEK_END), reads past the end, refresh before a read.
    GetattrHandle,
    /// SETATTR that sets the mode.
    SetattrMode,
    /// SETATTR that sets the owner or the group.
    SetattrOwner,
    /// SETATTR that sets the size by path.
    SetattrSize,
    /// SETATTR that sets the size through a file handle.
    SetattrSizeHandle,
    /// SETATTR that sets access or modification time.
    SetattrTimes,
    /// READLINK.
    Readlink,
    /// MKNOD.
    Mknod,
    /// MKDIR.
    Mkdir,
    /// UNLINK.
    Unlink,
    /// RMDIR.
    Rmdir,
    /// SYMLINK.
    Symlink,
    /// RENAME and RENAME2.
    Rename,
    /// LINK.
    Link,
    /// OPEN.
    Open,
    /// CREATE.
    Create,
    /// READ.
    Read,
    /// WRITE.
    Write,
    /// FLUSH, one per close(2).
    Flush,
    /// RELEASE, when the last reference to the open file goes.
    Release,
    /// FSYNC without datasync.
    Fsync,
    /// FSYNC with datasync.
    Fdatasync,
    /// OPENDIR.
    Opendir,
    /// READDIR and READDIRPLUS.
    Readdir,
    /// RELEASEDIR.
    Releasedir,
    /// FSYNCDIR.
    Fsyncdir,
    /// STATFS.
    Statfs,
    /// SETXATTR.
    Setxattr,
    /// GETXATTR.
    Getxattr,
    /// LISTXATTR.
    Listxattr,
    /// REMOVEXATTR.
    Removexattr,
    /// ACCESS.
    Access,
    /// BMAP.
    Bmap,
    /// IOCTL.
    Ioctl,
    /// POLL.
    Poll,
    /// FALLOCATE.
    Fallocate,
    /// LSEEK (SEEK_DATA and SEEK_HOLE; the kernel answers the others itself).
    Lseek,
    /// COPY_FILE_RANGE, as its source sees it.
    CopyFrom,
    /// COPY_FILE_RANGE, as its destination sees it.
    CopyTo,
    /// GETLK and SETLK of POSIX locks.
    PosixLock,
    /// SETLK of a BSD lock.
    BsdLock,
}

impl Call {
    /// How many calls there are.
    pub const COUNT: usize = Call::BsdLock as usize + 1;

    /// Every call, in order.
    pub fn all() -> impl Iterator<Item = Call> {
        let mut all: Vec<_> = TABLE.iter().flat_map(|row| row.calls).copied().collect();
        all.sort_unstable_by_key(|call| *call as u8);
        all.dedup();
        all.into_iter()
    }

    /// The methods this call consults.
    #[must_use]
    pub const fn methods(self) -> MethodSet {
        #[allow(clippy::indexing_slicing, reason = "the array has one place per call")]
        CONSULTED[self as usize]
    }

    /// Its own name: the first of these.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.methods().iter().next().map_or("", Method::name)
    }
}

/// Why a method cannot fire on a mount although it can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// `default_permissions`: the kernel checks permissions itself and never sends ACCESS.
    KernelChecksAccess,
    /// Locks are left to the kernel, which then sends neither GETLK nor SETLK.
    KernelKeepsLocks,
    /// BMAP is sent only for mounts on a block device (type `fuseblk`).
    NoBlockDevice,
}

impl Obstacle {
    /// One clause for people, without a full stop.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Obstacle::KernelChecksAccess => {
                "the kernel checks permissions itself (-o no_default_permissions lets it ask)"
            }
            Obstacle::KernelKeepsLocks => "locks stay with the kernel, which never asks",
            Obstacle::NoBlockDevice => "the kernel asks this of block-device mounts only",
        }
    }
}

/// A row of the table.
struct Row {
    name: &'static str,
    calls: &'static [Call],
    obstacle: Option<Obstacle>,
}

const fn row(name: &'static str, calls: &'static [Call]) -> Row {
    Row { name, calls, obstacle: None }
}

const fn blocked(name: &'static str, calls: &'static [Call], obstacle: Obstacle) -> Row {
    Row { name, calls, obstacle: Some(obstacle) }
}

use Obstacle::{KernelChecksAccess, KernelKeepsLocks, NoBlockDevice};

/// The table, sorted by name. The names are the contract's (charybdefs-contract, sections 2, 3).
const TABLE: [Row; 43] = [
    blocked("access", &[Call::Access], KernelChecksAccess),
    blocked("bmap", &[Call::Bmap], NoBlockDevice),
    row("chmod", &[Call::SetattrMode]),
    row("chown", &[Call::SetattrOwner]),
    row("copy_file_range", &[Call::CopyFrom, Call::CopyTo]),
    row("create", &[Call::Create]),
    row("fallocate", &[Call::Fallocate]),
    row("fdatasync", &[Call::Fdatasync]),
    row("fgetattr", &[Call::GetattrHandle]),
    blocked("flock", &[Call::BsdLock], KernelKeepsLocks),
    row("flush", &[Call::Flush]),
    row("fsync", &[Call::Fsync, Call::Fdatasync]),
    row("fsyncdir", &[Call::Fsyncdir]),
    row("ftruncate", &[Call::SetattrSizeHandle]),
    row("getattr", &[Call::Getattr, Call::Lookup]),
    row("getxattr", &[Call::Getxattr]),
    row("ioctl", &[Call::Ioctl]),
    row("link", &[Call::Link]),
    row("listxattr", &[Call::Listxattr]),
    blocked("lock", &[Call::PosixLock, Call::BsdLock], KernelKeepsLocks),
    row("lseek", &[Call::Lseek]),
    row("mkdir", &[Call::Mkdir]),
    row("mknod", &[Call::Mknod]),
    row("open", &[Call::Open]),
    row("opendir", &[Call::Opendir]),
    row("poll", &[Call::Poll]),
    row("read", &[Call::Read, Call::CopyFrom]),
    row("read_buf", &[Call::Read, Call::CopyFrom]),
    row("readdir", &[Call::Readdir]),
    row("readlink", &[Call::Readlink]),
    row("release", &[Call::Release]),
    row("releasedir", &[Call::Releasedir]),
    row("removexattr", &[Call::Removexattr]),
    row("rename", &[Call::Rename]),
    row("rmdir", &[Call::Rmdir]),
    row("setxattr", &[Call::Setxattr]),
    row("statfs", &[Call::Statfs]),
    row("symlink", &[Call::Symlink]),
    row("truncate", &[Call::SetattrSize]),
    row("unlink", &[Call::Unlink]),
    row("utimens", &[Call::SetattrTimes]),
    row("write", &[Call::Write, Call::CopyTo]),
    row("write_buf", &[Call::Write, Call::CopyTo]),
];

/// The table turned round: the methods of each call.
const CONSULTED: [MethodSet; Call::COUNT] = consulted();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, bounds and all")]
const fn consulted() -> [MethodSet; Call::COUNT] {
    let mut sets = [MethodSet::EMPTY; Call::COUNT];
    let mut m = 0;
    while m < TABLE.len() {
        let mut r = 0;
        while r < TABLE[m].calls.len() {
            let place = TABLE[m].calls[r] as usize;
            sets[place] = sets[place].union(MethodSet(1 << m));
            r += 1;
        }
        m += 1;
    }
    sets
}

/// A method name that faults can be set on: a row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Method(u8);

impl Method {
    /// How many methods there are.
    pub const COUNT: usize = TABLE.len();

    /// Every method, sorted by name.
    pub fn all() -> impl Iterator<Item = Method> {
        (0u8..).take(Self::COUNT).map(Method)
    }

    /// The method of that exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Method> {
        Self::all().find(|m| m.name() == name)
    }

    fn row(self) -> &'static Row {
        #[allow(clippy::indexing_slicing, reason = "a Method is made from the table's length")]
        &TABLE[usize::from(self.0)]
    }

    /// Its name in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Its place in the table, below [`Method::COUNT`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The calls that consult it.
    #[must_use]
    pub fn calls(self) -> &'static [Call] {
        self.row().calls
    }

    /// What may keep it from firing; whether it does depends on the mount.
    #[must_use]
    pub fn obstacle(self) -> Option<Obstacle> {
        self.row().obstacle
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of methods.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct MethodSet(u64);

impl MethodSet {
    /// No method.
    pub const EMPTY: MethodSet = MethodSet(0);
    /// Every method of the table.
    pub const ALL: MethodSet = MethodSet((1 << TABLE.len()) - 1);

    /// The set as bits, for one atomic word; bit n is the method of index n.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set those bits stand for; bits beyond the table are dropped.
    #[inline]
    #[must_use]
    pub(crate) const fn from_bits(bits: u64) -> MethodSet {
        MethodSet(bits & Self::ALL.0)
    }

    /// Methods in either set.
    #[must_use]
    pub const fn union(self, other: MethodSet) -> MethodSet {
        MethodSet(self.0 | other.0)
    }

    /// Whether every request that consults one of the others consults one of these.
    #[must_use]
    pub(crate) fn covers(self, others: MethodSet) -> bool {
        let mut consulted = CONSULTED.iter().filter(|of_call| of_call.intersects(others));
        consulted.all(|of_call| of_call.intersects(self))
    }

    /// Methods in this set and not in the other.
    #[must_use]
    pub const fn minus(self, other: MethodSet) -> MethodSet {
        MethodSet(self.0 & !other.0)
    }

    /// Whether the sets share a method.
    #[must_use]
    pub(crate) const fn intersects(self, other: MethodSet) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the method is in the set.
    #[must_use]
    pub const fn contains(self, method: Method) -> bool {
        self.0 & (1 << method.0) != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The methods of the set, sorted by name.
    pub fn iter(self) -> impl Iterator<Item = Method> {
        Method::all().filter(move |m| self.contains(*m))
    }

    /// Their names, sorted.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Method::name).collect()
    }
}

impl From<Method> for MethodSet {
    fn from(method: Method) -> Self {
        MethodSet(1 << method.0)
    }
}

impl FromIterator<Method> for MethodSet {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        methods.into_iter().fold(Self::EMPTY, |set, m| set.union(m.into()))
    }
}

impl fmt::Debug for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The shorter way round.
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        match *self {
            Self::ALL => f.pad("all"),
            _ if names.len() <= Method::COUNT / 2 => f.pad(&names.join(",")),
            _ => f.pad(&format!("all but {}", Self::ALL.minus(*self).names().join(","))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_has_each_name_once() {
        let names: Vec<_> = Method::all().map(Method::name).collect();
        assert!(names.windows(2).all(|w| w[0] < w[1]), "{names:?}");
        assert_eq!(names.len(), 43);
        const { assert!(Method::COUNT < 64, "the armed mask is one 64-bit word") };
    }

    #[test]
    fn every_call_consults_a_method() {
        for (place, set) in CONSULTED.iter().enumerate() {
            assert!(!set.is_empty(), "call {place} consults nothing");
        }
    }

    #[test]
    fn each_call_is_listed_once() {
        assert!(Call::all().map(|r| r as usize).eq(0..Call::COUNT));
    }

    #[test]
    fn fdatasync_consults_fsync_and_fdatasync() {
        assert_eq!(Call::Fdatasync.methods().names(), ["fdatasync", "fsync"]);
        assert_eq!(Call::Fsync.methods().names(), ["fsync"]);
    }

    #[test]
    fn both_names_of_a_write_are_one_operation() {
        assert_eq!(Call::Write.methods().names(), ["write", "write_buf"]);
        assert_eq!(Call::CopyTo.methods().names(), ["copy_file_range", "write", "write_buf"]);
    }

    #[test]
    fn names_round_trip() {
        for method in Method::all() {
            assert_eq!(Method::from_name(method.name()), Some(method));
        }
        assert_eq!(Method::from_name("fsyncd"), None);
        assert_eq!(MethodSet::ALL.iter().count(), Method::COUNT);
    }
}
