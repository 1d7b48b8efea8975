//! What each call does to the table of faults, and what it answers.
//!
//! Invariant: a call is carried out whole or answered with an error and changes nothing. Each
//! change is logged with its peer, what it set and how that was read. No locks of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use thrift::ApplicationErrorKind;
use thrift::protocol::TMessageType;
use tracing::{debug, info, warn};

use super::convert;
use super::dialect::{self, Call, NoCall, PlainFault};
use super::dropped::Dropped;
use super::record::Wire;
use super::records::{FaultSpec, Info, ListedFault, MethodInfo};
use super::statistics::{Statistics, signed};
use super::wire::{Fields, Message, Value, printable};
use crate::fault::{
    Fault, FaultId, FaultTable, Listed, Placement, ProbabilityScale, Stats, TooManyFaults, shorten,
};
use crate::ops::{self, Method, MethodSet, Obstacle};

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How the plain calls' probability is read (contract, section 2).
    pub scale: ProbabilityScale,
    /// The obstacles in force on this mount: methods that have one of them cannot fire.
    pub obstacles: Vec<Obstacle>,
    /// What `info` answers.
    pub mount: MountInfo,
    /// Connections open at once; one more closes the longest idle.
    pub max_connections: usize,
    /// Counts the lines of the log that were lost.
    pub log_lines_lost: Arc<AtomicU64>,
}

/// The mount that a server controls.
#[derive(Clone, Debug)]
pub struct MountInfo {
    /// Version of the daemon.
    pub version: String,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The directory behind it.
    pub backing: PathBuf,
    /// Process id of the daemon.
    pub pid: u32,
    /// When the daemon started.
    pub started: SystemTime,
    /// Threads that take requests from the kernel.
    pub threads: usize,
    /// Whether every file bypasses the page cache.
    pub direct_io: bool,
    /// Whether every change is refused.
    pub read_only: bool,
    /// Whether the dice are repeatable.
    pub seeded: bool,
    /// Whether every operation is timed, not only those while a fault is set.
    pub stats: bool,
    /// Version of the FUSE protocol that the kernel speaks.
    pub fuse_protocol: String,
    /// The kernel's capabilities that the mount uses.
    pub capabilities: Vec<&'static str>,
    /// The pattern of the files that the kernel does not serve by itself; None: it serves none.
    pub passthrough_except: Option<String>,
}

/// What goes back to the client.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Reply(Fields),
    Exception(ApplicationErrorKind, String),
}

/// Why a call is not carried out. One line.
enum Refusal {
    /// As a TApplicationException: the plain calls declare no exception.
    Plain(String),
    /// As `Refused` of slowfs.thrift.
    Own(String),
}

/// Carries out calls on one table.
pub(super) struct Handler {
    table: Arc<FaultTable>,
    stats: Arc<Stats>,
    config: ServerConfig,
    pub(super) dropped: Dropped,
}

impl Handler {
    pub(super) fn new(table: Arc<FaultTable>, stats: Arc<Stats>, config: ServerConfig) -> Handler {
        Handler { table, stats, config, dropped: Dropped::default() }
    }

    pub(super) fn answer(&self, peer: SocketAddr, message: &Message) -> Answer {
        let name = printable(&message.name);
        if !matches!(message.kind, TMessageType::Call | TMessageType::OneWay) {
            let text = format!("{name}: a server takes calls only");
            return Answer::Exception(ApplicationErrorKind::InvalidMessageType, text);
        }
        let done = match dialect::call(message) {
            Ok(call) => self.carry_out(peer, &name, call),
            Err(NoCall::Plain(reason)) => Err(Refusal::Plain(reason)),
            Err(NoCall::Own(reason)) => Err(Refusal::Own(reason)),
            Err(NoCall::Unknown) => {
                warn!(%peer, "unknown call {name}");
                let text = format!("unknown method {name}; idl/slowfs.thrift has those there are");
                return Answer::Exception(ApplicationErrorKind::UnknownMethod, text);
            }
        };
        match done {
            Ok(None) => Answer::Reply(Fields::default()),
            Ok(Some(value)) => Answer::Reply(Fields::default().with(0, value)),
            Err(Refusal::Plain(reason)) => {
                warn!(%peer, "{name} refused: {reason}");
                let text = format!("{name}: {reason}; nothing was changed");
                Answer::Exception(ApplicationErrorKind::InternalError, text)
            }
            Err(Refusal::Own(reason)) => {
                warn!(%peer, "{name} refused: {reason}");
                let refused = Value::Struct(Fields::default().with(1, Value::text(reason)));
                Answer::Reply(Fields::default().with(1, refused))
            }
        }
    }

    /// What the call returns; none if it is void.
    fn carry_out(
        &self,
        peer: SocketAddr,
        name: &str,
        call: Call,
    ) -> Result<Option<Value>, Refusal> {
        // For the calls that change nothing.
        let asked = |value| {
            debug!(%peer, "{name}");
            value
        };
        Ok(match call {
            Call::SetFault(methods, fault) => {
                self.set_fault(peer, name, methods, &fault)?;
                None
            }
            Call::Put { fault, add } => Some(self.put(peer, &fault, add)?),
            Call::ClearAll => {
                self.table.clear_all();
                info!(%peer, "{name}: every fault cleared");
                None
            }
            Call::ClearFault(method) => {
                self.clear_fault(peer, name, &method);
                None
            }
            Call::ClearMethods(names) => {
                let methods = convert::methods(&names).map_err(Refusal::Own)?;
                self.table.clear_methods(methods);
                info!(%peer, "{name}: {methods} cleared");
                None
            }
            Call::Remove(id) => Some(self.remove(peer, name, id)),
            Call::GetMethods => asked(Some(Value::texts(Method::all().map(Method::name)))),
            Call::GetFaults => asked(Some(self.get_faults())),
            Call::ListFaults => asked(self.faults().value()),
            Call::ListEnded => asked(self.ended().value()),
            Call::ListMethods => asked(self.methods().value()),
            Call::Info => asked(self.info().value()),
            Call::Stats => asked(self.statistics().value()),
        })
    }

    fn clear_fault(&self, peer: SocketAddr, name: &str, method: &str) {
        match Method::from_name(method) {
            Some(method) => {
                self.table.clear_methods(method.into());
                info!(%peer, "{name}: {method} cleared");
            }
            None => warn!(%peer, "{name}: unknown method {} ignored", printable(method)),
        }
    }

    fn remove(&self, peer: SocketAddr, name: &str, id: i64) -> Value {
        let removed = u64::try_from(id).is_ok_and(|id| self.table.remove(FaultId(id)));
        let found = if removed { "cleared" } else { "is not there" };
        info!(%peer, "{name}: fault {id} {found}");
        Value::Bool(removed)
    }

    fn get_faults(&self) -> Value {
        dialect::encode_get_faults(&self.faults(), |errno| {
            convert::errno(errno).map_or(0, |e| i16::try_from(e.raw()).unwrap_or_default())
        })
    }

    fn faults(&self) -> Vec<ListedFault> {
        let listed = |fault: &Listed| {
            let mut listed = convert::listed(fault);
            listed.out_of_reach = self.out_of_reach(fault.methods, fault.fault.pattern().as_str());
            listed
        };
        self.table.list().iter().map(listed).collect()
    }

    fn ended(&self) -> Vec<ListedFault> {
        self.table.list_ended().iter().map(convert::gone).collect()
    }

    fn methods(&self) -> Vec<MethodInfo> {
        Method::all().map(|method| self.method(method)).collect()
    }

    /// The files that a fault on these methods does not reach, if there may be any: those that the
    /// kernel serves by itself. Whether another pattern fits some of them cannot be told.
    fn out_of_reach(&self, methods: MethodSet, pattern: &str) -> Option<String> {
        let except = self.config.mount.passthrough_except.as_ref()?;
        let data = ops::Call::Read.methods().union(ops::Call::Write.methods());
        let may_miss = methods.intersects(data) && pattern != except;
        may_miss.then(|| {
            format!("files outside of {except:?}, which the kernel reads and writes by itself")
        })
    }

    fn statistics(&self) -> Statistics {
        let passthrough = self.config.mount.passthrough_except.is_some();
        Statistics {
            log_lines_lost: signed(self.config.log_lines_lost.load(Ordering::Relaxed)),
            connections_dropped: signed(self.dropped.total()),
            ..Statistics::of(&self.stats, passthrough)
        }
    }

    fn method(&self, method: Method) -> MethodInfo {
        let obstacle = method.obstacle().filter(|o| self.config.obstacles.contains(o));
        MethodInfo {
            name: method.name().to_owned(),
            obstacle: obstacle.map(|o| o.reason().to_owned()),
            out_of_reach: self.out_of_reach(method.into(), ""),
        }
    }

    fn info(&self) -> Info {
        let mount = &self.config.mount;
        let started = mount.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Info {
            version: mount.version.clone(),
            mountpoint: mount.mountpoint.to_string_lossy().into_owned(),
            backing: mount.backing.to_string_lossy().into_owned(),
            pid: i32::try_from(mount.pid).unwrap_or(i32::MAX),
            started_unix_ms: i64::try_from(started.as_millis()).unwrap_or(i64::MAX),
            faults: i32::try_from(self.table.list().len()).unwrap_or(i32::MAX),
            threads: i32::try_from(mount.threads).unwrap_or(i32::MAX),
            direct_io: mount.direct_io,
            read_only: mount.read_only,
            seeded: mount.seeded,
            stats: mount.stats,
            probability_scale: self.config.scale.to_string(),
            fuse_protocol: mount.fuse_protocol.clone(),
            capabilities: mount.capabilities.iter().map(|c| (*c).to_owned()).collect(),
            passthrough_except: mount.passthrough_except.clone(),
        }
    }

    /// `set_fault` and, where the methods are none, `set_all_fault`.
    fn set_fault(
        &self,
        peer: SocketAddr,
        name: &str,
        names: Option<Vec<String>>,
        fault: &PlainFault,
    ) -> Result<(), Refusal> {
        let methods = match names {
            None => MethodSet::ALL,
            Some(names) => {
                let (known, unknown): (Vec<_>, Vec<_>) =
                    names.iter().partition(|n| Method::from_name(n).is_some());
                if !unknown.is_empty() {
                    let shown: Vec<_> = unknown.iter().take(10).map(|n| printable(n)).collect();
                    let more = unknown.len().saturating_sub(shown.len());
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    warn!(%peer, "{name}: unknown methods ignored: {}{more}", shown.join(", "));
                }
                known.into_iter().filter_map(|n| Method::from_name(n)).collect()
            }
        };
        // Judged also when no method is left, so that a client's mistake is told in any case.
        let fault = convert::plain_fault(methods, fault, self.config.scale);
        let (fault, notes) = fault.map_err(Refusal::Plain)?;
        for note in notes {
            warn!(%peer, "{name}: {note}");
        }
        match fault {
            Some(fault) => {
                let placed = self.place(peer, name, fault, Placement::Replace);
                placed.map_err(|e| Refusal::Plain(e.to_string()))?;
            }
            None => warn!(%peer, "{name}: no known method is named, so nothing was set"),
        }
        Ok(())
    }

    fn put(&self, peer: SocketAddr, spec: &FaultSpec, add: bool) -> Result<Value, Refusal> {
        let fault = convert::fault(spec).map_err(Refusal::Own)?;
        let placement = if add { Placement::Add } else { Placement::Replace };
        let id = self.place(peer, "put_fault", fault, placement);
        let id = id.map_err(|e| Refusal::Own(e.to_string()))?;
        Ok(Value::I64(i64::try_from(id.0).unwrap_or(i64::MAX)))
    }

    fn place(
        &self,
        peer: SocketAddr,
        name: &str,
        fault: Fault,
        placement: Placement,
    ) -> Result<FaultId, TooManyFaults> {
        let mut spec = convert::spec(&fault, fault.methods());
        spec.pattern = shorten(&spec.pattern);
        let described = spec.describe();
        let out_of_reach = self.out_of_reach(fault.methods(), fault.pattern().as_str());
        let id = self.table.put(fault, placement)?;
        let added = if placement == Placement::Add { ", added" } else { "" };
        info!(%peer, "{name}: fault {id}{added}: {described}");
        if let Some(files) = out_of_reach {
            let open = self.stats.passthrough().open();
            warn!(%peer, "{name}: fault {id} does not reach {files}; {open} are open");
        }
        Ok(id)
    }
}
