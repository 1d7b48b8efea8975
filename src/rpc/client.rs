//! The client: the calls of slowfs's own interface and, for a charybdefs server, the plain ones. No
//! locks.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::connection::{ClientError, Connection, arguments};
use super::dialect::encode_plain;
use super::record::Wire;
use super::records::{Applied, Cleared, Info, KindInfo, ListedFault, MethodInfo, Put};
use super::socket::Stream;
use super::statistics::Statistics;
use super::wire::{Fields, Value, ns};
use crate::fault::words::{FaultWords, PlainFault};

/// A connection to a server: slowfs's or, with the plain calls only, charybdefs's.
#[derive(Debug)]
pub struct Client(pub(super) Connection);

impl Client {
    /// Connects to `HOST:PORT`, to `HOST`, then of port 9090, or to the socket of a path that begins with
    /// a slash. The timeout is for the connection attempt and then for each wait for an answer.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect(addr: &str, timeout: Duration) -> Result<Client, ClientError> {
        Connection::connect(addr, timeout).map(Client)
    }

    /// Asks over a socket of this machine that is connected to `addr`, whoever serves it: there are a few
    /// short answers at most, within that time in all. `timeout` is for each wait.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub(crate) fn brief(
        socket: UnixStream,
        addr: &str,
        timeout: Duration,
        whole: Duration,
    ) -> Result<Client, ClientError> {
        Connection::brief(Stream::of_local(socket), addr, timeout, whole).map(Client)
    }

    /// Whether the server was reached on this machine.
    pub(crate) fn is_here(&self) -> bool {
        self.0.is_here()
    }

    /// Sets a fault. Its methods are first removed from every other fault, unless `add`; one with a
    /// name takes the place of the fault of that name.
    ///
    /// # Errors
    /// Any of [`ClientError`]; nothing is changed if it is `Refused` or `UnknownCall`.
    pub fn put_fault(&mut self, fault: &FaultWords, add: bool) -> Result<Put, ClientError> {
        self.0.fetch("put_fault", arguments([fault.value(), add.value()]))
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
        self.0.fetch("put_faults", arguments([faults.value(), remove.value(), only_these.value()]))
    }

    /// Has a list of faults in force in one step, each beside the others: what stands in the same words goes
    /// on. With `prune` every other fault goes.
    ///
    /// # Errors
    /// As [`Client::put_fault`].
    pub(crate) fn apply_faults(
        &mut self,
        faults: &[FaultWords],
        prune: bool,
    ) -> Result<Applied, ClientError> {
        self.0.fetch("apply_faults", arguments([faults.to_vec().value(), prune.value()]))
    }

    /// Clears methods, and faults by name or id, in one step; nothing named: everything.
    ///
    /// # Errors
    /// Any of [`ClientError`]; nothing is cleared if it is `Refused` or `UnknownCall`.
    pub fn clear(&mut self, what: &[String]) -> Result<Cleared, ClientError> {
        self.0.fetch("clear", Fields::default().with(1, Value::texts(what)))
    }

    /// Removes the fault of that name or id; false if there is none.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn remove_fault(&mut self, name_or_id: &str) -> Result<bool, ClientError> {
        self.0.fetch("remove_fault", Fields::default().with(1, Value::text(name_or_id)))
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
        let (fault, what) = (Value::text(name_or_id), Value::text(what));
        let arguments = arguments([Some(fault), Some(what), n.value(), ns(within).value()]);
        self.0.fetch_within(within, "wait", arguments)
    }

    /// The kinds of fault that there are.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn list_kinds(&mut self) -> Result<Vec<KindInfo>, ClientError> {
        self.0.fetch("list_kinds", Fields::default())
    }

    /// Removes these methods from every fault, in one step.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn clear_methods(&mut self, methods: &[String]) -> Result<(), ClientError> {
        self.0.call("clear_methods", Fields::default().with(1, Value::texts(methods))).map(drop)
    }

    /// The faults in the order in which they are consulted.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn list_faults(&mut self) -> Result<Vec<ListedFault>, ClientError> {
        self.0.fetch("list_faults", Fields::default())
    }

    /// The last faults that have gone, the latest last.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn list_ended(&mut self) -> Result<Vec<ListedFault>, ClientError> {
        self.0.fetch("list_ended", Fields::default())
    }

    /// Every method, with what keeps it from firing on that mount.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn list_methods(&mut self) -> Result<Vec<MethodInfo>, ClientError> {
        self.0.fetch("list_methods", Fields::default())
    }

    /// Who answers there.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn info(&mut self) -> Result<Info, ClientError> {
        self.0.fetch("info", Fields::default())
    }

    /// What the mount has served.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn stats(&mut self) -> Result<Statistics, ClientError> {
        self.0.fetch("stats", Fields::default())
    }

    /// charybdefs's own: the names that faults can be set on.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn get_methods(&mut self) -> Result<Vec<String>, ClientError> {
        self.0.fetch("get_methods", Fields::default())
    }

    /// charybdefs's own: removes every fault.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn clear_all_faults(&mut self) -> Result<(), ClientError> {
        self.0.call("clear_all_faults", Fields::default()).map(drop)
    }

    /// charybdefs's own: removes one method's fault.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn clear_fault(&mut self, method: &str) -> Result<(), ClientError> {
        self.0.call("clear_fault", Fields::default().with(-1, Value::text(method))).map(drop)
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
        self.0.call(call, encode_plain(methods, fault)).map(drop)
    }
}
