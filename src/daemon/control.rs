//! What clients of a run connect to: ports, and the socket of the mount. No locks.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::config::RunConfig;
use super::error::StartError;
use super::socket::ControlSocket;
use super::token;
use crate::rpc::{self, Access, Door, Listener};

/// What is bound before anything is mounted.
pub(super) struct Control {
    port: Option<TcpListener>,
    http: Option<(TcpListener, Access)>,
    local: Option<(ControlSocket, UnixListener)>,
}

impl Control {
    /// Binds the ports that are asked for, and the socket of the mountpoint (absolute and resolved). A run
    /// with a port goes without a socket where there can be none.
    ///
    /// # Errors
    /// A port is taken or may not be used; or there is none, and no socket either. Or the token cannot be
    /// used.
    pub(super) fn bind(config: &RunConfig, mountpoint: &Path) -> Result<Control, StartError> {
        let port = config.ports.listen.map(rpc::bind).transpose().map_err(StartError::Listen)?;
        let http = config.ports.http.as_ref().map(|http| -> Result<_, StartError> {
            let access = Access::new(&token::read(&http.token)?, http.name.as_deref());
            Ok((rpc::bind_http(http.listen).map_err(StartError::Listen)?, access))
        });
        let http = http.transpose()?;
        let local = match ControlSocket::bind(mountpoint) {
            Ok(local) => Some(local),
            Err(error) if port.is_none() => return Err(StartError::Socket(error)),
            Err(error) => {
                tracing::warn!("there is no control socket: {error}");
                None
            }
        };
        Ok(Control { port, http, local })
    }

    /// Gives the socket its name: the mount is there.
    ///
    /// # Errors
    /// It cannot have that name, and there is no port.
    pub(super) fn publish(&mut self) -> Result<(), StartError> {
        let Some((socket, _)) = &mut self.local else { return Ok(()) };
        match socket.publish() {
            Ok(()) => Ok(()),
            Err(error) if self.port.is_none() => Err(StartError::Socket(error)),
            Err(error) => {
                tracing::warn!("there is no control socket: {error}");
                self.local = None;
                Ok(())
            }
        }
    }

    /// The address of the port, if there is one.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.port.as_ref().and_then(|port| port.local_addr().ok())
    }

    /// The address of the port where HTTP is served, if there is one.
    pub(super) fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|(port, _)| port.local_addr().ok())
    }

    /// Where the socket is, if there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.local.as_ref().map(|(socket, _)| socket.path())
    }

    /// What to serve, and what has the socket's name.
    pub(super) fn listeners(self) -> (Vec<(Listener, Door)>, Option<ControlSocket>) {
        let (socket, local) = self.local.unzip();
        let port = self.port.map(|port| (port.into(), Door::Thrift));
        let http = self.http.map(|(port, access)| (port.into(), Door::Http(access)));
        let local = local.map(|local| (local.into(), Door::Both));
        (port.into_iter().chain(http).chain(local).collect(), socket)
    }
}
