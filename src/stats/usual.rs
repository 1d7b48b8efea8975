//! Errors that are answers: what programs ask in order to learn that something is not there, not so, or
//! not to be had. On any healthy filesystem they come by the thousand.

use libc::{
    E2BIG, EEXIST, EINTR, EINVAL, ENODATA, ENOENT, ENOSYS, ENOTEMPTY, ENOTTY, ENXIO, EOPNOTSUPP,
    ERANGE, EXDEV,
};

use crate::ops::Call;

/// Whether a request is answered so where nothing is wrong.
#[must_use]
pub(crate) fn is_usual(call: Call, errno: i32) -> bool {
    let answers: &[i32] = match call {
        // The name is free.
        Call::Lookup => &[ENOENT],
        // There is no such attribute, it does not fit, or there are none at all here.
        Call::Getxattr | Call::Listxattr => &[ENODATA, ERANGE, E2BIG, EOPNOTSUPP],
        Call::Removexattr | Call::Setxattr => &[ENODATA, EEXIST, EOPNOTSUPP],
        // Whoever comes first makes it.
        Call::Create | Call::Mkdir | Call::Mknod | Call::Symlink | Call::Link => &[EEXIST],
        Call::Rmdir => &[ENOTEMPTY, EEXIST],
        Call::Ioctl => &[ENOTTY, EOPNOTSUPP],
        // Nothing is stored from there on.
        Call::Lseek => &[ENXIO],
        // The program does it another way.
        Call::Fallocate => &[EOPNOTSUPP],
        Call::CopyFrom | Call::CopyTo => &[EXDEV, EOPNOTSUPP],
        // A directory takes no sync on some filesystems.
        Call::Fsyncdir => &[EINVAL],
        _ => &[],
    };
    // Its caller was killed; or the kernel need not ask again.
    answers.contains(&errno) || matches!(errno, EINTR | ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_asks_for_is_usual_and_what_fails_it_is_not() {
        for (call, errno) in [
            (Call::Lookup, ENOENT),
            (Call::Getxattr, ENODATA),
            (Call::Getxattr, ERANGE),
            (Call::Ioctl, ENOTTY),
            (Call::Mkdir, EEXIST),
            (Call::Lseek, ENXIO),
            (Call::Write, EINTR),
        ] {
            assert!(is_usual(call, errno), "{call:?} {errno}");
        }
        for (call, errno) in [
            (Call::Open, ENOENT),
            (Call::Unlink, ENOENT),
            (Call::Lookup, libc::EIO),
            (Call::Getxattr, libc::EIO),
            (Call::Write, libc::ENOSPC),
            (Call::Fsync, libc::EIO),
            (Call::Fsync, EINVAL),
        ] {
            assert!(!is_usual(call, errno), "{call:?} {errno}");
        }
    }
}
