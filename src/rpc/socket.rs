//! The sockets of control: TCP, and the one of this machine that a mount has under its name. What is
//! connected is served alike. No locks.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType,
    getpeername, getsockname, recv, send,
};

use crate::fault::Origin;
use crate::sys::peer::{Peer, peer_of};
use crate::sys::text_of;

/// How many peers may wait to be accepted: beyond that the kernel drops their first packet, and
/// they try again after a second. std's 128 are soon there; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Listens there. The error names the address and what to do.
///
/// # Errors
/// The address does not resolve, is in use, or may not be used; `kind` tells.
pub fn bind(addr: impl ToSocketAddrs + std::fmt::Display) -> io::Result<TcpListener> {
    let taken = " (another slowfs or charybdefs? choose another port, 0 for a free one, or --listen none, \
                 which leaves the mount's control socket)";
    listen(addr, taken)
}

/// The same for HTTP.
///
/// # Errors
/// As [`bind`].
pub(crate) fn bind_http(addr: SocketAddr) -> io::Result<TcpListener> {
    listen(addr, " (choose another --http port, 0 for a free one)")
}

fn listen(
    addr: impl ToSocketAddrs + std::fmt::Display,
    taken: &'static str,
) -> io::Result<TcpListener> {
    let listening = TcpListener::bind(&addr).and_then(|listener| {
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    });
    listening.map_err(|e| {
        let hint = match e.kind() {
            io::ErrorKind::AddrInUse => taken,
            io::ErrorKind::PermissionDenied => " (ports below 1024 need root)",
            _ => "",
        };
        io::Error::new(e.kind(), format!("cannot listen on {addr}: {}{hint}", text_of(&e)))
    })
}

/// Makes a socket of this machine that only its owner may connect to, and listens on it.
///
/// # Errors
/// Those of bind(2): EADDRINUSE if anything has the path.
pub(crate) fn bind_local(path: &Path) -> io::Result<UnixListener> {
    let socket = local_socket()?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Nobody is let in before it listens.
    rustix::fs::chmod(path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

fn local_socket() -> rustix::io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)
}

/// What peers connect to.
#[derive(Debug)]
pub enum Listener {
    /// A port of the network.
    Net(TcpListener),
    /// A socket of this machine.
    Local(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener::Net(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Listener {
        Listener::Local(listener)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Net(listener) => listener.as_fd(),
            Listener::Local(listener) => listener.as_fd(),
        }
    }
}

impl Listener {
    /// The next connection, and whose it is.
    pub(super) fn accept(&self) -> io::Result<(Stream, Origin)> {
        match self {
            Listener::Net(listener) => {
                let (stream, address) = listener.accept()?;
                Ok((Stream::of_net(stream)?, Origin::Net(address)))
            }
            Listener::Local(listener) => {
                let (stream, _) = listener.accept()?;
                let origin = local_origin(&stream)?;
                Ok((Stream::of_local(stream), origin))
            }
        }
    }

    /// Its address and port, if it has one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Net(listener) => listener.local_addr().ok(),
            Listener::Local(_) => None,
        }
    }
}

fn local_origin(stream: &UnixStream) -> io::Result<Origin> {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let Peer { pid, uid, gid } = peer_of(stream)?;
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    Ok(Origin::Local { pid, uid, gid, connection })
}

/// A connected socket, of either kind.
#[derive(Debug)]
pub(super) struct Stream(OwnedFd);

impl Stream {
    /// One of TCP, which sends what is written at once.
    pub(super) fn of_net(stream: TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        Ok(Stream(stream.into()))
    }

    /// One of this machine.
    pub(super) fn of_local(stream: UnixStream) -> Stream {
        Stream(stream.into())
    }

    /// Connects to a socket of this machine; waits that long at most while too many do.
    pub(super) fn connect(path: &Path, within: Duration) -> io::Result<Stream> {
        let stream = Stream(local_socket()?);
        stream.let_write_take(within)?;
        match rustix::net::connect(&stream.0, &SocketAddrUnix::new(path)?) {
            Err(Errno::AGAIN) => Err(io::ErrorKind::TimedOut.into()),
            other => Ok(other.map(|()| stream)?),
        }
    }

    /// Whether the other end is on this machine: a socket of it, or of the network at one address of both.
    pub(super) fn is_here(&self) -> bool {
        let ip = |end: SocketAddrAny| SocketAddr::try_from(end).ok().map(|end| end.ip());
        match (getsockname(&self.0), getpeername(&self.0)) {
            (Ok(own), Ok(Some(other))) => ip(own) == ip(other),
            (Ok(own), Ok(None)) => own.address_family() == AddressFamily::UNIX,
            _ => false,
        }
    }

    /// The address of this machine that the peer connected to.
    pub(super) fn own_ip(&self) -> Option<IpAddr> {
        let own = getsockname(&self.0).ok()?;
        SocketAddr::try_from(own).ok().map(|own| own.ip().to_canonical())
    }

    /// The first byte that comes, which stays to be read; none if the peer closes instead.
    pub(super) fn first(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        loop {
            match recv(&self.0, &mut first, RecvFlags::PEEK) {
                Err(Errno::INTR) => {}
                read => return Ok((read?.0 > 0).then_some(first[0])),
            }
        }
    }

    /// Reads what has come; waits until then at most, or as long as it takes. What has not come in time is told as such.
    pub(super) fn read_by(&self, until: Option<Instant>, out: &mut [u8]) -> io::Result<usize> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.let_read_take(left)?;
        self.read_in_time(out)
    }

    /// The same within what reads may take.
    pub(super) fn read_in_time(&self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(&self.0, &mut *out, RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                // So the system says it.
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                read => return Ok(read?.0),
            }
        }
    }

    /// How long a read may take; None for as long as it takes.
    pub(super) fn let_read_take(&self, within: Option<Duration>) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Recv, within)?)
    }

    /// How long a write may take.
    pub(super) fn let_write_take(&self, within: Duration) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Send, Some(within))?)
    }

    /// Closes it for reading, writing or both, for whoever else has it open.
    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(&self.0, how)?)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for &Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.0, out, RecvFlags::empty())?.0)
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A peer that is gone is an error, and no signal.
        Ok(send(&self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
