//! The socket of the mount that this process serves.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::place::{self, Place};
use crate::rpc;
use crate::sys::text_of;

/// Has its name in the directory until it is dropped, unless another mount has that by then.
pub(crate) struct ControlSocket {
    dir: OwnedFd,
    /// Its name in the directory now.
    name: String,
    /// What it is called once the mount is there.
    path: PathBuf,
    identity: (u64, u64),
}

impl ControlSocket {
    /// Listens for a mount that is about to be made there (absolute and resolved). Nobody finds it until
    /// it has [its name](ControlSocket::publish).
    ///
    /// # Errors
    /// Where it cannot be, and why.
    pub(crate) fn bind(mountpoint: &Path) -> io::Result<(ControlSocket, UnixListener)> {
        let place = Place::own();
        let path = place.socket_of(mountpoint);
        let told = |error: io::Error| {
            let text = text_of(&error);
            io::Error::new(error.kind(), format!("{}: {text}", path.display()))
        };
        if place.path().starts_with(mountpoint) {
            return Err(told(io::Error::other("the mount would cover it")));
        }
        let dir = place.make().map_err(told)?;
        // Two starts at one place are none of each other's business before one has mounted.
        static STARTS: AtomicU32 = AtomicU32::new(0);
        let start = STARTS.fetch_add(1, Ordering::Relaxed);
        let name = format!(".{}-{start}", std::process::id());
        let bound = place::lock(&dir).and_then(|_locked| {
            // What a daemon of that number left.
            let _ = place::remove(&dir, &name);
            rpc::bind_local(&place.path().join(&name))
        });
        let listener = bound.map_err(told)?;
        let identity = place::identity(&dir, &name);
        let identity = identity.ok_or_else(|| told(io::ErrorKind::NotFound.into()))?;
        Ok((ControlSocket { dir, name, path, identity }, listener))
    }

    /// Gives it the mount's name. An earlier mount of that place that is ending, or that another mount
    /// namespace has, keeps its port and its connections, and loses the name.
    ///
    /// # Errors
    /// Something else than a socket has the name; or those of rename(2).
    pub(crate) fn publish(&mut self) -> io::Result<()> {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let _locked = place::lock(&self.dir)?;
        if place::identity(&self.dir, name).is_none() && !place::is_free(&self.dir, name) {
            return Err(io::Error::other(format!("{} is no socket", self.path.display())));
        }
        rustix::fs::renameat(&self.dir, &self.name, &self.dir, name)?;
        name.clone_into(&mut self.name);
        Ok(())
    }

    /// Where clients find it once it is published.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // What cannot be locked stays, and goes with the next look.
        let Ok(_locked) = place::lock(&self.dir) else { return };
        if place::identity(&self.dir, &self.name) == Some(self.identity) {
            let _ = place::remove(&self.dir, &self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::{State, socket_of};
    use super::*;

    /// A mountpoint that no other test has; nothing need be there.
    fn mountpoint(name: &str) -> PathBuf {
        format!("/slowfs-unit-test-{}/{name}", std::process::id()).into()
    }

    fn state(mountpoint: &Path) -> Option<State> {
        let user = rustix::process::geteuid().as_raw();
        socket_of(mountpoint, user).map(|(_, state)| state)
    }

    #[test]
    fn a_socket_is_found_from_its_publication_to_its_end() {
        let mountpoint = mountpoint("ends");
        let (mut socket, listener) = ControlSocket::bind(&mountpoint).unwrap();
        assert_eq!(state(&mountpoint), None);
        socket.publish().unwrap();
        let mode = std::fs::metadata(socket.path()).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
        assert_eq!(state(&mountpoint), Some(State::Live { pid: std::process::id() }));
        let path = socket.path().to_owned();
        drop((socket, listener));
        assert!(!path.exists());
    }

    #[test]
    fn the_next_mount_of_a_place_has_a_socket_of_its_own() {
        let mountpoint = mountpoint("again");
        let (mut first, _listening) = ControlSocket::bind(&mountpoint).unwrap();
        first.publish().unwrap();
        let (mut second, listener) = ControlSocket::bind(&mountpoint).unwrap();
        second.publish().unwrap();
        // The end of the first takes nothing from the second.
        drop(first);
        assert_eq!(state(&mountpoint), Some(State::Live { pid: std::process::id() }));
        drop((second, listener));
        assert_eq!(state(&mountpoint), None);
    }

    #[test]
    fn a_start_that_fails_takes_no_name_away() {
        let mountpoint = mountpoint("fails");
        let (mut first, _listening) = ControlSocket::bind(&mountpoint).unwrap();
        first.publish().unwrap();
        drop(ControlSocket::bind(&mountpoint).unwrap());
        assert_eq!(state(&mountpoint), Some(State::Live { pid: std::process::id() }));
    }

    #[test]
    fn what_a_daemon_left_that_was_killed_goes_with_the_next_look() {
        let mountpoint = mountpoint("killed");
        let (mut socket, listener) = ControlSocket::bind(&mountpoint).unwrap();
        socket.publish().unwrap();
        drop(listener);
        assert!(socket.path().exists());
        assert_eq!(state(&mountpoint), None);
        assert!(!socket.path().exists());
    }

    #[test]
    fn where_the_mount_would_cover_it_there_is_none() {
        let place = Place::own();
        let covering = place.path().parent().unwrap();
        let error = ControlSocket::bind(covering).err().unwrap().to_string();
        assert!(error.contains("would cover it"), "{error}");
    }
}
