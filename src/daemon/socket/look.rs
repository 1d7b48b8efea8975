//! A look at the control sockets that there are: whose they are, and whether somebody listens. What
//! nobody listens to any more is taken away.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::place::{self, Place};
use crate::sys::peer::peer_of;
use crate::sys::text_of;

/// What became of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// That process listens; 0 if it is in a pid namespace that cannot be seen.
    Live {
        /// Its id.
        pid: u32,
    },
    /// It is another user's.
    Forbidden,
}

/// The socket of a mount of that user's (absolute and resolved), if there is one.
#[must_use]
pub(crate) fn socket_of(mountpoint: &Path, owner: u32) -> Option<(PathBuf, State)> {
    Place::of(owner).iter().find_map(|place| {
        let path = place.socket_of(mountpoint);
        let name = path.file_name()?.to_str()?;
        let state = look(place, &place.open().ok()?, name)?;
        Some((path, state))
    })
}

/// The sockets that there are.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Those that somebody listens to and that the calling user may connect to, and the pids of those who
    /// listen.
    pub live: Vec<(PathBuf, u32)>,
    /// Those that nobody listens to: taken away now, but in others' directories.
    pub dead: Vec<PathBuf>,
    /// Directories that no socket is looked for in, and why: a line each.
    pub unusable: Vec<String>,
}

/// All that the calling user may look for.
#[must_use]
pub(crate) fn all() -> Sockets {
    let mut found = Sockets::default();
    for place in Place::all() {
        let dir = match place.open() {
            Ok(dir) => dir,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    let why = text_of(&error);
                    found.unusable.push(format!("{}: {why}", place.path().display()));
                }
                continue;
            }
        };
        for name in place::names(&dir).unwrap_or_default() {
            let is_socket = place::identity(&dir, &name).is_some();
            let path = place.path().join(&name);
            match look(&place, &dir, &name) {
                // What a start that was killed left has no name yet, and goes as well.
                Some(State::Live { pid }) if !name.starts_with('.') => found.live.push((path, pid)),
                None if is_socket => found.dead.push(path),
                _ => {}
            }
        }
    }
    found
}

/// The live ones of them.
#[must_use]
pub(crate) fn live() -> Vec<(PathBuf, u32)> {
    all().live
}

/// Connects to a socket that was found, if it is still what it was: one that its place's owner serves.
///
/// # Errors
/// It is not, or nobody lets this in within that time.
pub(crate) fn connect(path: &Path, within: Duration) -> io::Result<UnixStream> {
    let no_place = || io::Error::other("it lies where no control sockets are");
    let place = path.parent().and_then(Place::at).ok_or_else(no_place)?;
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(no_place)?;
    let socket = local(SocketFlags::empty())?;
    set_socket_timeout(&socket, Timeout::Send, Some(within))?;
    match reach(&socket, &place, &place.open()?, name) {
        Ok(_) => Ok(socket.into()),
        Err(Errno::AGAIN) => Err(io::ErrorKind::TimedOut.into()),
        Err(Errno::LOOP | Errno::NOTSOCK) => Err(io::Error::other("it is no socket any more")),
        Err(STRANGER) => Err(io::Error::other("another user listens there")),
        Err(other) => Err(other.into()),
    }
}

/// What became of the socket of that name; None if there is none (any more).
fn look(place: &Place, dir: &OwnedFd, name: &str) -> Option<State> {
    match knock(place, dir, name) {
        Ok(pid) => Some(State::Live { pid }),
        Err(Errno::ACCESS | Errno::PERM) => Some(State::Forbidden),
        // In others' directories nothing is made and nothing taken away.
        Err(Errno::CONNREFUSED) if place.is_own() => {
            let _locked = place::lock(dir).ok()?;
            // Another may have taken the name meanwhile.
            match knock(place, dir, name) {
                Ok(pid) => Some(State::Live { pid }),
                Err(Errno::CONNREFUSED) => {
                    let _ = place::remove(dir, name);
                    None
                }
                Err(_) => None,
            }
        }
        Err(_) => None,
    }
}

/// Who listens there.
fn knock(place: &Place, dir: &OwnedFd, name: &str) -> rustix::io::Result<u32> {
    match reach(&local(SocketFlags::NONBLOCK)?, place, dir, name) {
        // Too many are waiting to be let in: it lives.
        Err(Errno::AGAIN) => Ok(0),
        other => other,
    }
}

/// Who listens is not the owner of the directory.
const STRANGER: Errno = Errno::CONNABORTED;

/// Connects, and says to whom. Neither a link at that name is followed, nor one that takes the name
/// meanwhile: it could lead to a server that this user trusts, or that only this user may speak to.
fn reach(socket: &OwnedFd, place: &Place, dir: &OwnedFd, name: &str) -> rustix::io::Result<u32> {
    let file = place::socket(dir, name)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::net::connect(socket, &SocketAddrUnix::new(path)?)?;
    let peer = peer_of(socket).map_err(|_| STRANGER)?;
    if peer.uid == place.owner() { Ok(peer.pid) } else { Err(STRANGER) }
}

fn local(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | flags;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}
