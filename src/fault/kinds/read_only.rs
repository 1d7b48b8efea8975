//! `read-only`: a filesystem that became read-only after an error.

use super::latch::{Latch, PARAMS};
use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::words::{Args, Errno, Param};
use crate::ops::{Call, MethodSet};

pub(super) struct ReadOnly;

impl Kind for ReadOnly {
    fn name(&self) -> &'static str {
        "read-only"
    }

    fn about(&self) -> &'static str {
        "Fail all changes with EROFS, as a filesystem that became read-only after an error"
    }

    fn details(&self) -> &'static str {
        "It does as ext4, mounted with errors=remount-ro, after ext4 has found an error. Whatever \
         changes a file or a name fails with EROFS, also on descriptors that are open for \
         writing. So do syncs, and opens for writing. Reads, stat, ioctl(2) and close(2) go on.\n\
         \n\
         Stores into a mapping that were not yet written back fail too: msync(2) or fsync(2) \
         reports that. As on ext4, the pages keep these stores until they are dropped. Requests \
         that arrived before are done. It stays until it is cleared, for the whole mount or for \
         the paths that match.\n\
         \n    slowfs read-only\
         \n    slowfs read-only --below '.*/data'\
         \n    slowfs read-only --at write,fsync --after 100"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Latch
    }

    /// Of a copy only the target changes: that consults `write`, and its source `copy_file_range` too.
    fn reach(&self) -> MethodSet {
        let changing = Call::all().filter(|call| changes(*call) || *call == Call::Open);
        let changing = changing.filter(|call| *call != Call::CopyTo);
        changing.fold(MethodSet::EMPTY, |set, call| set.union(call.methods()))
    }

    fn answers(&self) -> bool {
        true
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Request
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        Ok(Box::new(Latch::new(&ReadOnly, args, Errno::EROFS, fails)))
    }
}

fn fails(op: &Operation<'_>) -> bool {
    let writes = op.open_flags & libc::O_ACCMODE != libc::O_RDONLY;
    let opens = op.call == Call::Open && (writes || op.open_flags & libc::O_TRUNC != 0);
    opens || changes(op.call)
}

/// Whether it changes what is stored, or says that it is stored.
fn changes(call: Call) -> bool {
    match call {
        Call::SetattrMode
        | Call::SetattrOwner
        | Call::SetattrSize
        | Call::SetattrSizeHandle
        | Call::SetattrTimes
        | Call::Mknod
        | Call::Mkdir
        | Call::Unlink
        | Call::Rmdir
        | Call::Symlink
        | Call::Rename
        | Call::Link
        | Call::Create
        | Call::Write
        | Call::Fsync
        | Call::Fdatasync
        | Call::Fsyncdir
        | Call::Setxattr
        | Call::Removexattr
        | Call::Fallocate
        | Call::CopyTo => true,
        Call::Lookup
        | Call::Getattr
        | Call::GetattrHandle
        | Call::Readlink
        | Call::Open
        | Call::Read
        | Call::Flush
        | Call::Release
        | Call::Opendir
        | Call::Readdir
        | Call::Releasedir
        | Call::Statfs
        | Call::Getxattr
        | Call::Listxattr
        | Call::Access
        | Call::Bmap
        | Call::Ioctl
        | Call::Poll
        | Call::Lseek
        | Call::CopyFrom
        | Call::PosixLock
        | Call::BsdLock => false,
    }
}
