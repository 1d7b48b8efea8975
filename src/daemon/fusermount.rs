//! Mounting as an ordinary user, through the setuid helper fusermount3(1).
//!
//! The helper mounts for us and passes the connection back over a socket, as libfuse's protocol
//! has it: the socket's number stands in `_FUSE_COMMFD`.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::io::{Errno, FdFlags};
use rustix::mount::MountFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
};

use super::config::MountOptions;
use super::error::StartError;

const HELPER: &str = "fusermount3";

/// Mounts at `mountpoint` through the helper and returns the connection to the kernel.
///
/// # Errors
/// The helper is missing, or refuses, with its own words.
pub(super) fn mount(
    mountpoint: &Path,
    source: &OsStr,
    options: &MountOptions,
) -> Result<OwnedFd, StartError> {
    let failed = |e: io::Error| StartError::Mount(mountpoint.to_owned(), e);
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|e| failed(e.into()))?;
    rustix::io::fcntl_setfd(&theirs, FdFlags::empty()).map_err(|e| failed(e.into()))?;
    let child = Command::new(HELPER)
        .arg("-o")
        .arg(option_list(source, options))
        .arg("--")
        .arg(mountpoint)
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| StartError::Helper(HELPER, e))?;
    drop(theirs);
    let connection = receive(&ours);
    let output = child.wait_with_output().map_err(failed)?;
    match connection {
        Some(fd) if output.status.success() => Ok(fd),
        _ => Err(failed(io::Error::other(format!(
            "{}; `slowfs doctor` says what is missing here",
            refusal(&output)
        )))),
    }
}

/// Unmounts through the helper.
///
/// # Errors
/// The helper is missing, or refuses, with its own words; busy is EBUSY, as of umount2(2).
pub(super) fn unmount(mountpoint: &Path, lazily: bool) -> io::Result<()> {
    let how = if lazily { "-uz" } else { "-u" };
    let output =
        Command::new(HELPER).arg(how).arg("--").arg(mountpoint).env("LC_ALL", "C").output()?;
    match output.status.success() {
        true => Ok(()),
        false if says_busy(&output.stderr) => Err(Errno::BUSY.into()),
        false => Err(refusal(&output)),
    }
}

/// Whether the helper's words are those for EBUSY: its exit code tells no errors apart.
fn says_busy(words: &[u8]) -> bool {
    words.trim_ascii_end().ends_with(b": Device or resource busy")
}

fn refusal(output: &Output) -> io::Error {
    io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// What the helper is told. It knows no `nodiratime`, which is the mirror's alone to keep.
fn option_list(source: &OsStr, options: &MountOptions) -> OsString {
    let mut list = OsString::from("fsname=");
    list.push(source.to_string_lossy().replace('\\', r"\\").replace(',', r"\,"));
    list.push(format!(",subtype={}", options.subtype));
    let wanted = [
        (options.others_pass(), ",allow_other"),
        (options.default_permissions, ",default_permissions"),
        (options.flags.contains(MountFlags::RDONLY), ",ro"),
        (options.flags.contains(MountFlags::NOEXEC), ",noexec"),
        (options.flags.contains(MountFlags::NOATIME), ",noatime"),
        (options.flags.contains(MountFlags::NOSYMFOLLOW), ",nosymfollow"),
        (options.flags.contains(MountFlags::SYNCHRONOUS), ",sync"),
        (options.flags.contains(MountFlags::DIRSYNC), ",dirsync"),
    ];
    for (on, word) in wanted {
        if on {
            list.push(word);
        }
    }
    list
}

/// The descriptor that the helper sends; None when it sends none.
fn receive(socket: &OwnedFd) -> Option<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0u8];
    let mut parts = [IoSliceMut::new(&mut byte)];
    rustix::net::recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC).ok()?;
    ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_told_from_other_refusals() {
        let busy = b"fusermount3: failed to unmount /m: Device or resource busy\n";
        assert!(says_busy(busy));
        for other in [
            &b""[..],
            b"fusermount3: entry for /a: Device or resource busy not found in /etc/mtab\n",
            b"fusermount3: failed to unmount /m: Invalid argument\n",
        ] {
            assert!(!says_busy(other));
        }
    }
}
