//! What a run tells when it fails.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use crate::fault::TooManyFaults;
use crate::fault::words::quoted_path;
use crate::sys::text_of;

/// Why a run did not start, or did not end well. Each is one line: what failed, on what, why, what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The mountpoint cannot be used.
    #[error("cannot mount on {0}: {1}")]
    Mountpoint(PathBuf, io::Error),
    /// The mountpoint, as it was typed, carries a live mount of ours: its kind, and where it is.
    #[error(
        "cannot mount on {0}: it is already a {1} mount; end it with `slowfs umount {tip}`",
        tip = quoted_path(.2)
    )]
    AlreadyMounted(PathBuf, String, PathBuf),
    /// The mountpoint lies inside what it would mirror.
    #[error(
        "cannot mount on {0}: it lies inside {1}, which it would mirror; mount on that directory itself or outside of it"
    )]
    Inside(PathBuf, PathBuf),
    /// The backing directory cannot be used.
    #[error("cannot mirror {0}: {1}")]
    Backing(PathBuf, io::Error),
    /// The control port cannot be bound.
    #[error("{0}; nothing was mounted")]
    Listen(io::Error),
    /// The control socket cannot be made, and there is to be no port.
    #[error(
        "cannot make the control socket {0}; without --listen none there is a port; nothing was mounted"
    )]
    Socket(io::Error),
    /// The token for HTTP cannot be used.
    #[error("cannot take the --http-token {0}: {1}; nothing was mounted")]
    Token(PathBuf, String),
    /// The device cannot be opened.
    #[error(
        "cannot open /dev/fuse: {0}; load the module with `modprobe fuse`, and in a container pass --device /dev/fuse"
    )]
    Device(io::Error),
    /// The mounting helper cannot be run.
    #[error(
        "cannot run {0}, which mounts for ordinary users: {1}; install the package fuse3 or mount as root"
    )]
    Helper(&'static str, io::Error),
    /// The mount itself failed.
    #[error("cannot mount on {0}: {1}")]
    Mount(PathBuf, io::Error),
    /// The mount table cannot be read.
    #[error(
        "cannot read /proc/self/mountinfo: {0}; slowfs needs /proc: `mount -t proc proc /proc`"
    )]
    Mountinfo(io::Error),
    /// The kernel does not serve files by itself for this daemon.
    #[error("cannot keep --passthrough-except: {0}; nothing is mounted")]
    Passthrough(&'static str),
    /// The mount was gone before it was served.
    #[error("cannot serve {0}: it was unmounted at once")]
    Vanished(PathBuf),
    /// The mountpoint's path leads to something else since it was mounted.
    #[error("cannot serve {0}: something else was put there or mounted on it meanwhile")]
    Replaced(PathBuf),
    /// The kernel and the session did not understand each other any more.
    #[error("cannot serve {0} any longer: {1}; it was unmounted")]
    Session(PathBuf, io::Error),
    /// The mount is left without a daemon.
    #[error("cannot unmount {0}; nobody serves it any more: unmount it with `umount -l`")]
    Left(io::Error),
    /// A file of the daemon's own, as that of its pid, cannot be written.
    #[error("cannot write the {0} file {1}: {2}")]
    OwnFile(&'static str, PathBuf, io::Error),
    /// What a run before has left of its faults cannot be taken up.
    #[error("cannot take up the state {0}: {1}; nothing was mounted")]
    State(PathBuf, &'static str),
    /// A daemon that runs has that file.
    #[error("cannot use the {0} file {1}: another daemon{2} runs with it; nothing was mounted")]
    OwnFileTaken(&'static str, PathBuf, String),
    /// What is for the daemon itself must not lie where it would be served.
    #[error("cannot use {} for {option}: it lies below the mountpoint {}; name another", .dir.display(), .mountpoint.display())]
    Below { option: &'static str, dir: PathBuf, mountpoint: PathBuf },
    /// Nor where what is mirrored lies.
    #[error(
        "cannot keep images in {0}: it lies below {1}, the mirrored directory; name another --images"
    )]
    ImagesBelow(PathBuf, PathBuf),
    /// The directory for images cannot be used.
    #[error("cannot keep images in {0}: {1}; name a directory with --images")]
    Images(PathBuf, io::Error),
    /// The process with which the run is to end cannot be watched.
    #[error("cannot end with process {0}: {1}; nothing was mounted")]
    Companion(Pid, io::Error),
    /// The file of a program's output cannot be used.
    #[error(
        "cannot look at {0}: {1}; name the file of the program's output with --unsynced-output"
    )]
    Output(PathBuf, io::Error),
    /// More faults were given than may be.
    #[error(transparent)]
    Faults(#[from] TooManyFaults),
    /// A fault that was given cannot be set on this kernel.
    #[error("cannot set a fault of --fault or --faults: {0}; nothing is mounted")]
    Fault(String),
    /// Something else of the start failed.
    #[error("cannot {0}: {1}")]
    Other(&'static str, io::Error),
}

impl StartError {
    pub(super) fn mountpoint(path: &Path, error: &io::Error) -> StartError {
        StartError::Mountpoint(path.to_owned(), strip(error))
    }
}

/// The same error in plain words.
pub(super) fn strip(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), text_of(error))
}
