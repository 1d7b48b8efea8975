//! One connection to a server: how a call is made there, and why it fails.
//!
//! Invariant: no call waits longer than the timeout for the next bytes, nor beyond the end of all that a
//! brief connection has; after an error that leaves the stream inside a message the connection is not to
//! be used again. No locks.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use thrift::protocol::TMessageType;
use thrift::{ApplicationErrorKind, TransportErrorKind};

use super::record::{BadField, Wire, field};
use super::socket::Stream;
use super::wire::{self, BadMessage, Fields, Limits, Message, MessageReader, ReadError, Value};
use crate::fault::words::quoted_path;
use crate::sys::text_of;

/// The port of charybdefs, and slowfs's own default.
pub(crate) const DEFAULT_PORT: u16 = 9090;

/// Why a call failed. One line each.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nothing answers there.
    #[error("cannot connect to {addr}: {reason}")]
    Connect {
        /// The address, with its port.
        addr: String,
        /// What the system said, and what to do.
        reason: String,
        /// Whether it did not come to that in time.
        late: bool,
    },
    /// The connection failed, or no answer came in time.
    #[error("no answer from {addr}: {reason}")]
    Lost {
        /// The address as given.
        addr: String,
        /// The call that was made.
        call: &'static str,
        /// What happened.
        reason: String,
        /// Whether nothing came in time.
        late: bool,
    },
    /// The server answered, but not as a Thrift server of this interface does.
    #[error("{addr} does not speak slowfs's protocol ({reason})")]
    Garbled {
        /// The address as given.
        addr: String,
        /// The call that was made.
        call: &'static str,
        /// What was wrong with the answer.
        reason: BadAnswer,
    },
    /// The server does not know the call: it is charybdefs, or an older slowfs.
    #[error("the server at {addr} does not know the call {call}")]
    UnknownCall {
        /// The address as given.
        addr: String,
        /// The call that was made.
        call: &'static str,
    },
    /// The server refused, and changed nothing. Its own words.
    #[error("{0}")]
    Refused(String),
}

impl ClientError {
    /// Why nobody at that address lets this in.
    pub(crate) fn connect(addr: &str, error: &io::Error) -> ClientError {
        let late = error.kind() == io::ErrorKind::TimedOut;
        ClientError::Connect { addr: addr.to_owned(), reason: text_of(error), late }
    }

    /// Whether the other end was silent for as long as it was waited for: it may be stopped, or busy.
    #[must_use]
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(
            self,
            ClientError::Connect { late: true, .. } | ClientError::Lost { late: true, .. }
        )
    }
}

/// What is wrong with an answer.
#[derive(Debug, Error)]
pub enum BadAnswer {
    /// It is no message that is taken.
    #[error(transparent)]
    Message(#[from] BadMessage),
    /// It belongs to another call, or is no answer.
    #[error("it answers another call")]
    OtherCall,
    /// It lacks what the call returns.
    #[error("no result")]
    NoResult,
    /// A field of it has a value that it cannot have.
    #[error(transparent)]
    Field(#[from] BadField),
    /// There is none: the call itself cannot be written.
    #[error("cannot encode the call: {0}")]
    NoCall(thrift::Error),
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Connection {
    addr: String,
    timeout: Duration,
    stream: Arc<Stream>,
    reader: MessageReader<Timed>,
    seq: i32,
}

/// A stream that is read in time.
#[derive(Debug)]
struct Timed {
    stream: Arc<Stream>,
    /// How long one read may take at most, and when all must have come that is read.
    whole: Option<(Duration, Instant)>,
}

impl Read for Timed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.whole {
            Some((each, end)) => self.stream.read_by(Some(end.min(Instant::now() + each)), out),
            None => self.stream.read_in_time(out),
        }
    }
}

impl Connection {
    /// Connects to `HOST:PORT`, to `HOST`, then of port 9090, or to the socket of a path that begins with
    /// a slash. The timeout is for the connection attempt and then for each wait for an answer.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub(super) fn connect(addr: &str, timeout: Duration) -> Result<Connection, ClientError> {
        let is_local = addr.starts_with('/');
        let asked = if is_local { addr.to_owned() } else { with_port(addr) };
        let dialled = match is_local {
            true => Stream::connect(Path::new(addr), timeout),
            false => dial(addr, timeout),
        };
        let stream = dialled.map_err(|e| {
            let late = e.kind() == io::ErrorKind::TimedOut;
            let reason = match (e.kind(), is_local) {
                (io::ErrorKind::ConnectionRefused, false) => {
                    "connection refused (nothing listens there; `slowfs ps` shows the mounts)"
                        .into()
                }
                (io::ErrorKind::ConnectionRefused, true) => refused_by(Path::new(addr)),
                (io::ErrorKind::TimedOut, _) => {
                    format!("no answer within {}", humantime::format_duration(timeout))
                }
                _ if !is_local && Path::new(addr).is_file() => {
                    format!("{}; {addr} is a file{}", text_of(&e), address_file(Path::new(addr)))
                }
                _ => text_of(&e),
            };
            ClientError::Connect { addr: asked.clone(), reason, late }
        })?;
        let made = Connection::over(stream, addr, timeout, None, Limits::REPLY);
        made.map_err(|e| ClientError::connect(&asked, &e))
    }

    /// For a few short answers of a server that need not mean well: whatever it does, they have come within
    /// that time in all, or do not come. `timeout` is for each wait.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub(super) fn brief(
        stream: Stream,
        addr: &str,
        timeout: Duration,
        whole: Duration,
    ) -> Result<Connection, ClientError> {
        let whole = Some((timeout, Instant::now() + whole));
        let made = Connection::over(stream, addr, timeout, whole, Limits::GLANCE);
        made.map_err(|e| ClientError::connect(addr, &e))
    }

    fn over(
        stream: Stream,
        addr: &str,
        timeout: Duration,
        whole: Option<(Duration, Instant)>,
        limits: Limits,
    ) -> io::Result<Connection> {
        stream.let_read_take(Some(timeout))?;
        stream.let_write_take(timeout)?;
        let stream = Arc::new(stream);
        let reader = MessageReader::new(Timed { stream: Arc::clone(&stream), whole }, limits);
        Ok(Connection { addr: addr.to_owned(), timeout, stream, reader, seq: 0 })
    }

    /// Whether the other end is on this machine.
    pub(super) fn is_here(&self) -> bool {
        self.stream.is_here()
    }

    /// A call that returns a value and may take so much longer than others.
    pub(super) fn fetch_within<T: Wire>(
        &mut self,
        within: Duration,
        call: &'static str,
        args: Fields,
    ) -> Result<T, ClientError> {
        self.let_take(self.timeout.saturating_add(within), call)?;
        let found = self.fetch(call, args);
        self.let_take(self.timeout, call)?;
        found
    }

    /// Sets how long an answer may take.
    fn let_take(&self, within: Duration, call: &'static str) -> Result<(), ClientError> {
        let set = self.stream.let_read_take(Some(within));
        set.map_err(|e| self.lost(call, text_of(&e), false))
    }

    /// A call that returns a value.
    pub(super) fn fetch<T: Wire>(
        &mut self,
        call: &'static str,
        args: Fields,
    ) -> Result<T, ClientError> {
        let reply = self.call(call, args)?;
        match field(&reply, 0, "success") {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(self.garbled(call, BadAnswer::NoResult)),
            Err(wrong) => Err(self.garbled(call, wrong.into())),
        }
    }

    /// Makes a call and returns the fields of its reply.
    pub(super) fn call(&mut self, call: &'static str, args: Fields) -> Result<Fields, ClientError> {
        self.seq = self.seq.wrapping_add(1);
        let message =
            Message { name: call.to_owned(), kind: TMessageType::Call, seq: self.seq, body: args };
        let bytes =
            wire::encode(&message, false).map_err(|e| self.garbled(call, BadAnswer::NoCall(e)))?;
        (&*self.stream)
            .write_all(&bytes)
            .map_err(|e| self.lost(call, text_of(&e), e.kind() == io::ErrorKind::WouldBlock))?;
        let reply = match self.reader.read() {
            Ok(Some(reply)) => reply,
            Ok(None) => {
                return Err(self.lost(call, "the server closed the connection".into(), false));
            }
            Err(ReadError::Lost(TransportErrorKind::TimedOut, _)) => {
                let waited = humantime::format_duration(self.timeout);
                let hint = "is that a control port?";
                return Err(self.lost(
                    call,
                    format!("nothing came within {waited} ({hint})"),
                    true,
                ));
            }
            Err(ReadError::Lost(_, reason)) => return Err(self.lost(call, reason, false)),
            Err(ReadError::Bad { reason, .. }) => {
                return Err(self.garbled(call, reason.into()));
            }
        };
        if reply.kind == TMessageType::Exception {
            return Err(self.exception(call, &reply.body));
        }
        if reply.kind != TMessageType::Reply || reply.seq != self.seq {
            return Err(self.garbled(call, BadAnswer::OtherCall));
        }
        match reply.body.get(1).and_then(Value::as_fields) {
            Some(refused) => Err(ClientError::Refused(message_of(refused))),
            None => Ok(reply.body),
        }
    }

    fn exception(&self, call: &'static str, body: &Fields) -> ClientError {
        let kind = body.get(2).and_then(Value::as_int).unwrap_or_default();
        if kind == ApplicationErrorKind::UnknownMethod as i64 {
            return ClientError::UnknownCall { addr: self.addr.clone(), call };
        }
        ClientError::Refused(message_of(body))
    }

    fn lost(&self, call: &'static str, reason: String, late: bool) -> ClientError {
        ClientError::Lost { addr: self.addr.clone(), call, reason, late }
    }

    fn garbled(&self, call: &'static str, reason: BadAnswer) -> ClientError {
        ClientError::Garbled { addr: self.addr.clone(), call, reason }
    }
}

/// The arguments of a call, from field 1 on.
pub(super) fn arguments<const N: usize>(values: [Option<Value>; N]) -> Fields {
    Fields((1..).zip(values.into_iter().flatten()).collect())
}

/// Field 1 of both kinds of exception. On one line, whoever wrote it.
fn message_of(exception: &Fields) -> String {
    let text = exception.get(1).and_then(Value::as_bytes).unwrap_or(b"refused, without a reason");
    String::from_utf8_lossy(text).replace(['\n', '\r'], " ")
}

/// What `HOST:PORT` stands for, or `HOST`, then of port 9090.
pub(crate) fn resolve(addr: &str) -> io::Result<impl Iterator<Item = SocketAddr>> {
    with_port(addr).to_socket_addrs()
}

/// `HOST:PORT` of that, or of `HOST`.
fn with_port(addr: &str) -> String {
    let has_port = addr.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match addr.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("[{addr}]:{DEFAULT_PORT}"),
        Err(_) if has_port => addr.to_owned(),
        _ => format!("{addr}:{DEFAULT_PORT}"),
    }
}

/// Why nobody listens at a path. connect(2) says the same of a file that is no socket at all.
fn refused_by(path: &Path) -> String {
    let is_socket = |found: fs::Metadata| found.file_type().is_socket();
    if fs::metadata(path).is_ok_and(|found| !is_socket(found)) {
        return format!("it is no socket{}", address_file(path));
    }
    "connection refused (the daemon that made this socket has ended)".to_owned()
}

/// What to write if the file is one that `slowfs mount` has made.
fn address_file(path: &Path) -> String {
    let path = quoted_path(path);
    format!(" (is it an --addr-file? then write --addr \"$(cat {path})\")")
}

/// Tries each address that the name resolves to; they share the time, so that a name of many that do not answer
/// costs what one of them does.
fn dial(addr: &str, timeout: Duration) -> io::Result<Stream> {
    let until = Instant::now() + timeout;
    let resolved: Vec<_> = resolve(addr)?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (address, others) in resolved.iter().zip((1..=resolved.len()).rev()) {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(others).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(stream) => return Stream::of_net(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_with_its_port() {
        for (typed, whole) in [
            ("127.0.0.1", "127.0.0.1:9090"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("::1", "[::1]:9090"),
            ("[::1]:7", "[::1]:7"),
            ("db-1", "db-1:9090"),
            ("db-1:7", "db-1:7"),
        ] {
            assert_eq!(with_port(typed), whole);
        }
        assert_eq!(resolve("::1").unwrap().next(), Some(([0, 0, 0, 0, 0, 0, 0, 1], 9090).into()));
    }
}
