//! The client: one connection to a slowfs or, with the plain calls only, a charybdefs server.
//!
//! Invariant: no call waits longer than the timeout for the next bytes; after an error that
//! leaves the stream inside a message the connection is not to be used again. No locks.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use thiserror::Error;
use thrift::protocol::TMessageType;
use thrift::{ApplicationErrorKind, TransportErrorKind};

use super::dialect::encode_plain;
use super::record::{BadField, Wire, field};
use super::records::{Info, KindInfo, ListedFault, MethodInfo, Put};
use super::statistics::Statistics;
use super::wire::{self, BadMessage, Fields, Limits, Message, MessageReader, ReadError, Value};
use crate::fault::words::{FaultWords, PlainFault};

/// The port of charybdefs, and slowfs's own default.
pub(crate) const DEFAULT_PORT: u16 = 9090;

/// Why a call failed. One line each.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nothing answers there.
    #[error("cannot connect to {addr}: {reason}")]
    Connect {
        /// The address as given.
        addr: String,
        /// What the system said, and what to do.
        reason: String,
    },
    /// The connection failed, or no answer came in time.
    #[error("no answer to {call} from {addr}: {reason}")]
    Lost {
        /// The address as given.
        addr: String,
        /// The call that was made.
        call: &'static str,
        /// What happened.
        reason: String,
    },
    /// The server answered, but not as a Thrift server of this interface does.
    #[error("{addr} does not speak slowfs's protocol (answer to {call}: {reason})")]
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
pub struct Client {
    addr: String,
    timeout: Duration,
    stream: TcpStream,
    reader: MessageReader<Timed>,
    seq: i32,
}

/// A stream whose read timeout is told as such: the system says EAGAIN.
#[derive(Debug)]
struct Timed(TcpStream);

impl Read for Timed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => e,
        })
    }
}

impl Client {
    /// Connects to `HOST:PORT` or `HOST`, then of port 9090. The timeout is for the connection
    /// attempt and then for each wait for an answer.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect(addr: &str, timeout: Duration) -> Result<Client, ClientError> {
        let failed = |reason: String| ClientError::Connect { addr: addr.to_owned(), reason };
        let stream = dial(addr, timeout).map_err(|e| {
            failed(match e.kind() {
                io::ErrorKind::ConnectionRefused => {
                    "connection refused (nothing listens there: is slowfs mounted, on that port?)"
                        .into()
                }
                io::ErrorKind::TimedOut => {
                    format!("no answer within {}", humantime::format_duration(timeout))
                }
                _ => wire::os_text(&e),
            })
        })?;
        let prepared = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(timeout)))
            .and_then(|()| stream.set_write_timeout(Some(timeout)))
            .and_then(|()| stream.try_clone());
        let reading = prepared.map_err(|e| failed(wire::os_text(&e)))?;
        let reader = MessageReader::new(Timed(reading), Limits::REPLY);
        Ok(Client { addr: addr.to_owned(), timeout, stream, reader, seq: 0 })
    }

    /// Sets a fault. Its methods are first removed from every other fault, unless `add`; one with a
    /// name takes the place of the fault of that name.
    ///
    /// # Errors
    /// Any of [`ClientError`]; nothing is changed if it is `Refused` or `UnknownCall`.
    pub fn put_fault(&mut self, fault: &FaultWords, add: bool) -> Result<Put, ClientError> {
        self.fetch("put_fault", arguments([fault.value(), add.value()]))
    }

    /// Sets several faults and removes those of these ids, in one step; with `only_these` all others.
    ///
    /// # Errors
    /// As [`Client::put_fault`].
    pub fn put_faults(
        &mut self,
        faults: &[FaultWords],
        remove: &[i64],
        only_these: bool,
    ) -> Result<Vec<Put>, ClientError> {
        let (faults, remove) = (faults.to_vec(), remove.to_vec());
        self.fetch("put_faults", arguments([faults.value(), remove.value(), only_these.value()]))
    }

    /// Removes the fault of that name or id; false if there is none.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn remove_fault(&mut self, name_or_id: &str) -> Result<bool, ClientError> {
        self.fetch("remove_fault", Fields::default().with(1, Value::text(name_or_id)))
    }

    /// Waits until the fault of that name or id has `fired` n times, or holds n (`held`), and tells how
    /// many.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if it did not come to that in time.
    pub fn wait(
        &mut self,
        name_or_id: &str,
        what: &str,
        n: i64,
        within: Duration,
    ) -> Result<i64, ClientError> {
        let ns = i64::try_from(within.as_nanos()).unwrap_or(i64::MAX);
        let (fault, what) = (Value::text(name_or_id), Value::text(what));
        let arguments = arguments([Some(fault), Some(what), n.value(), ns.value()]);
        self.let_take(self.timeout.saturating_add(within))?;
        let found = self.fetch("wait", arguments);
        self.let_take(self.timeout)?;
        found
    }

    /// The kinds of fault that there are.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn list_kinds(&mut self) -> Result<Vec<KindInfo>, ClientError> {
        self.fetch("list_kinds", Fields::default())
    }

    /// Removes these methods from every fault, in one step.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn clear_methods(&mut self, methods: &[String]) -> Result<(), ClientError> {
        self.call("clear_methods", Fields::default().with(1, Value::texts(methods))).map(drop)
    }

    /// The faults in the order in which they are consulted.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn list_faults(&mut self) -> Result<Vec<ListedFault>, ClientError> {
        self.fetch("list_faults", Fields::default())
    }

    /// The last faults that have gone, the latest last.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn list_ended(&mut self) -> Result<Vec<ListedFault>, ClientError> {
        self.fetch("list_ended", Fields::default())
    }

    /// Every method, with what keeps it from firing on that mount.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn list_methods(&mut self) -> Result<Vec<MethodInfo>, ClientError> {
        self.fetch("list_methods", Fields::default())
    }

    /// Who answers there.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn info(&mut self) -> Result<Info, ClientError> {
        self.fetch("info", Fields::default())
    }

    /// What the mount has served.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn stats(&mut self) -> Result<Statistics, ClientError> {
        self.fetch("stats", Fields::default())
    }

    /// charybdefs's own: the names that faults can be set on.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn get_methods(&mut self) -> Result<Vec<String>, ClientError> {
        self.fetch("get_methods", Fields::default())
    }

    /// charybdefs's own: removes every fault.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn clear_all_faults(&mut self) -> Result<(), ClientError> {
        self.call("clear_all_faults", Fields::default()).map(drop)
    }

    /// charybdefs's own: removes one method's fault.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn clear_fault(&mut self, method: &str) -> Result<(), ClientError> {
        self.call("clear_fault", Fields::default().with(-1, Value::text(method))).map(drop)
    }

    /// charybdefs's own: replaces the faults of those methods, or of all.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn set_fault(
        &mut self,
        methods: Option<&[String]>,
        fault: &PlainFault,
    ) -> Result<(), ClientError> {
        let call = if methods.is_some() { "set_fault" } else { "set_all_fault" };
        self.call(call, encode_plain(methods, fault)).map(drop)
    }

    /// Sets how long an answer may take.
    fn let_take(&self, within: Duration) -> Result<(), ClientError> {
        let set = self.stream.set_read_timeout(Some(within));
        set.map_err(|e| self.lost("wait", wire::os_text(&e)))
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
        self.stream.write_all(&bytes).map_err(|e| self.lost(call, wire::os_text(&e)))?;
        let reply = match self.reader.read() {
            Ok(Some(reply)) => reply,
            Ok(None) => return Err(self.lost(call, "the server closed the connection".into())),
            Err(ReadError::Lost(TransportErrorKind::TimedOut, _)) => {
                let waited = humantime::format_duration(self.timeout);
                let hint = "is that a control port?";
                return Err(self.lost(call, format!("nothing came within {waited} ({hint})")));
            }
            Err(ReadError::Lost(_, reason)) => return Err(self.lost(call, reason)),
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

    fn lost(&self, call: &'static str, reason: String) -> ClientError {
        ClientError::Lost { addr: self.addr.clone(), call, reason }
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

/// Tries each address that the name resolves to.
fn dial(addr: &str, timeout: Duration) -> io::Result<TcpStream> {
    let with_port = addr.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let resolved = match addr.parse::<IpAddr>() {
        Err(_) if with_port => addr.to_socket_addrs()?,
        _ => (addr, DEFAULT_PORT).to_socket_addrs()?,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolved {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}
