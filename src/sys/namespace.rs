//! Namespaces: what a thread sees of the system.

use std::io;

use super::checked;

/// Gives the calling thread a mount namespace of its own, a copy of the one it had, with a root and
/// working directory of its own (unshare(2) with CLONE_NEWNS). The other threads keep theirs.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub fn leave_mounts() -> io::Result<()> {
    // SAFETY: unshare changes what the calling thread sees; there is no memory to get wrong.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS) }).map(drop)
}
