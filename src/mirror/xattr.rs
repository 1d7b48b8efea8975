//! Extended attributes, of every kind of file: setxattr, getxattr, listxattr, removexattr.
//!
//! The calls have no form that takes an `O_PATH` descriptor, and opening a device or a fifo for
//! them would do more than look. So the thread stands in /proc/self/fd and names the descriptor.
//! No locks of its own.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::XattrFlags;
use rustix::path::DecInt;

use super::attr::judged_by_groups;
use super::{Caller, Ino, Mirror, errno};
use crate::sys::creds;

/// `XATTR_LIST_MAX`: longer lists the kernel does not hand out.
const LIST_MAX: usize = 65536;

/// `XATTR_NAME_POSIX_ACL_ACCESS`: who may access the file, which its mode shows.
const ACCESS_ACL: &str = "system.posix_acl_access";

/// The answer to getxattr and listxattr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Xattr {
    /// To a size of 0: the bytes that the value has.
    Size(u32),
    /// The value, or the names with a NUL after each.
    Value(Vec<u8>),
}

impl<N: Default> Mirror<N> {
    /// Sets an attribute; `flags` as in setxattr(2).
    pub(crate) fn setxattr(
        &self,
        caller: &Caller,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> io::Result<()> {
        let fd = self.named(ino)?;
        let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
        // The only attribute that is a change of mode as well.
        let _judged = if name == ACCESS_ACL { judged_by_groups(caller, &fd)? } else { None };
        Ok(rustix::fs::setxattr(DecInt::from_fd(&fd), name, value, flags)?)
    }

    /// An attribute's value, or its size if `size` is 0. ERANGE if it is larger than `size`.
    pub(crate) fn getxattr(&self, ino: Ino, name: &OsStr, size: u32) -> io::Result<Xattr> {
        let fd = self.named(ino)?;
        let path = DecInt::from_fd(&fd);
        if size == 0 {
            return Ok(Xattr::Size(length(rustix::fs::getxattr_query(path, name)?)));
        }
        let mut value = Vec::with_capacity(size as usize);
        rustix::fs::getxattr(path, name, rustix::buffer::spare_capacity(&mut value))?;
        Ok(Xattr::Value(value))
    }

    /// The names of all attributes that the caller may see, or their size together if `size` is 0.
    /// ERANGE if that is larger than `size`. Who may see `trusted.` ones is for the filesystem to
    /// say (xattr(7)); the backing would say it of the daemon.
    pub(crate) fn listxattr(&self, caller: &Caller, ino: Ino, size: u32) -> io::Result<Xattr> {
        let fd = self.named(ino)?;
        let mut names = Vec::with_capacity(LIST_MAX);
        rustix::fs::listxattr(DecInt::from_fd(&fd), rustix::buffer::spare_capacity(&mut names))?;
        if caller.uid != 0 {
            let all = names.split_inclusive(|byte| *byte == 0);
            names = all.filter(|name| !name.starts_with(b"trusted.")).flatten().copied().collect();
        }
        match length(names.len()) {
            needed if size == 0 => Ok(Xattr::Size(needed)),
            needed if needed > size => Err(errno(libc::ERANGE)),
            _ => Ok(Xattr::Value(names)),
        }
    }

    /// Removes an attribute.
    pub(crate) fn removexattr(&self, ino: Ino, name: &OsStr) -> io::Result<()> {
        let fd = self.named(ino)?;
        Ok(rustix::fs::removexattr(DecInt::from_fd(&fd), name)?)
    }

    /// A descriptor whose number is a path from where the thread now stands.
    fn named(&self, ino: Ino) -> io::Result<Arc<OwnedFd>> {
        let fd = self.descriptor(&self.inode(ino)?)?;
        creds::stand_in(self.proc_fds.as_fd())?;
        Ok(fd)
    }
}

/// Values and lists are at most 64 KiB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
