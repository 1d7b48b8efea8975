//! Namespaces: what a thread sees of the system, and mounts that nobody sees.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::mount::OpenTreeFlags;

use super::checked;

/// Gives the calling thread a mount namespace of its own, a copy of the one it had, with a root and
/// working directory of its own (unshare(2) with CLONE_NEWNS). The other threads keep theirs.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN.
pub(crate) fn leave_mounts() -> io::Result<()> {
    // SAFETY: unshare changes what the calling thread sees; there is no memory to get wrong.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS) }).map(drop)
}

/// What a descriptor refers to, by a mount that lies nowhere and never moves times of access: an
/// `O_PATH` descriptor, with which the mount goes unless files opened through it remain.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN; EINVAL of what lies on no mount of this mount namespace; ENOSYS on
/// Linux before 5.12.
pub(crate) fn without_access_times(fd: impl AsFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(fd, c"", flags | OpenTreeFlags::AT_EMPTY_PATH)?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_NOATIME,
        attr_clr: libc::MOUNT_ATTR__ATIME,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a C string and the structure as large as is said; both are only read.
    let status = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(tree) }
}
