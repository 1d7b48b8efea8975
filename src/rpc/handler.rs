//! What each call does to the table of faults, and what it answers.
//!
//! Invariant: a call is carried out whole or answered with an error and changes nothing. Each
//! change is logged with its peer, what it set and how that was read. Its one lock is for memory work only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use parking_lot::Mutex;
use thrift::ApplicationErrorKind;
use thrift::protocol::TMessageType;
use tracing::{debug, warn};

use super::allow::Allow;
use super::behind::Behind;
use super::dialect::{self, Call, NoCall};
use super::dropped::Dropped;
use super::files::Files;
use super::http::Health;
use super::record::Wire;
use super::records::KindInfo;
use super::search::Place;
use super::supply::Mains;
use super::unsynced::UnsyncedLog;
use super::wire::{Fields, Message, Value, printable};
use crate::fault::injections::Repairs;
use crate::fault::words::{EffectWords, visible};
use crate::fault::{Bounds, FaultTable, Origin, ProbabilityScale};
use crate::ops::Method;
use crate::scenario::{Hands, Stage, Supply};
use crate::stats::Stats;

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How the plain calls' probability is read (contract, section 2).
    pub scale: ProbabilityScale,
    /// The device that their auto_delay asks for; None: it is ignored, as charybdefs does.
    pub auto_delay: Option<EffectWords>,
    /// What faults cannot do on this mount.
    pub bounds: Bounds,
    /// What `info` answers.
    pub mount: MountInfo,
    /// From where its ports may be reached.
    pub allow: Allow,
    /// Connections open at once; one more closes the longest idle.
    pub max_connections: usize,
    /// Counts the lines of the log that were lost.
    pub log_lines_lost: Arc<AtomicU64>,
    /// What is below the mount.
    pub files: Files,
    /// Who changes what is stored there.
    pub repairer: Behind<dyn Repairs>,
    /// Who remembers what is not durable.
    pub unsynced: Behind<dyn UnsyncedLog>,
    /// Who looks whether the mount answers.
    pub health: Behind<dyn Health>,
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
    /// Where clients are served over TCP.
    pub listen: Option<SocketAddr>,
    /// The socket where clients of this machine are served.
    pub socket: Option<PathBuf>,
    /// Where HTTP is served over TCP.
    pub http: Option<SocketAddr>,
}

/// What goes back to the client.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Reply(Fields),
    Exception(ApplicationErrorKind, String),
}

/// Why a call is not carried out. One line.
pub(super) enum Refusal {
    /// As a TApplicationException: the plain calls declare no exception.
    Plain(String),
    /// As `Refused` of slowfs.thrift.
    Own(String),
}

/// Who makes a call.
#[derive(Clone, Copy)]
pub(super) struct Peer<'a> {
    pub(super) addr: Origin,
    /// Whether it still waits for the answer.
    pub(super) waits: &'a dyn Fn() -> bool,
}

/// Carries out calls on one table.
pub(super) struct Handler {
    pub(super) table: Arc<FaultTable>,
    pub(super) stats: Arc<Stats>,
    pub(super) config: ServerConfig,
    pub(super) dropped: Dropped,
    pub(super) looking: Place,
    /// Where its scenarios run.
    pub(super) stage: Stage,
    /// The power cut that was prepared last: by whom, and its ticket.
    pub(super) prepared: Mutex<Option<(Origin, i64)>>,
}

impl Handler {
    pub(super) fn new(table: Arc<FaultTable>, stats: Arc<Stats>, config: ServerConfig) -> Handler {
        let (dropped, looking) = (Dropped::default(), Place::default());
        let mains = |log| -> Arc<dyn Supply> { Arc::new(Mains(log)) };
        let supply = config.unsynced.shared().map(mains);
        let hands = Hands { repairs: config.repairer.shared(), supply };
        let bounds = config.bounds.clone();
        let stage = Stage::new(Arc::clone(&table), Arc::clone(&stats), bounds, hands);
        let prepared = Mutex::default();
        Handler { table, stats, config, dropped, looking, stage, prepared }
    }

    pub(super) fn answer(&self, peer: Peer<'_>, message: &Message) -> Answer {
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
                warn!(peer = %peer.addr, "unknown call {name}");
                let text = format!("unknown method {name}; idl/slowfs.thrift has those there are");
                return Answer::Exception(ApplicationErrorKind::UnknownMethod, text);
            }
        };
        // What it quotes may be of several lines.
        let done = done.map_err(|refusal| match refusal {
            Refusal::Plain(reason) => Refusal::Plain(visible(&reason)),
            Refusal::Own(reason) => Refusal::Own(visible(&reason)),
        });
        match done {
            Ok(None) => Answer::Reply(Fields::default()),
            Ok(Some(value)) => Answer::Reply(Fields::default().with(0, value)),
            Err(Refusal::Plain(reason)) => {
                warn!(peer = %peer.addr, "{name} refused: {reason}");
                let text = format!("{name}: {reason}; nothing was changed");
                Answer::Exception(ApplicationErrorKind::InternalError, text)
            }
            Err(Refusal::Own(reason)) => {
                warn!(peer = %peer.addr, "{name} refused: {reason}");
                let refused = Value::Struct(Fields::default().with(1, Value::text(reason)));
                Answer::Reply(Fields::default().with(1, refused))
            }
        }
    }

    /// That connection is gone, and what it alone had ends.
    pub(super) fn lose(&self, peer: Origin) {
        self.trace_stop(peer);
        self.stage.lose(peer);
        self.lose_prepared(peer);
    }

    /// What the call returns; none if it is void.
    fn carry_out(
        &self,
        Peer { addr: peer, waits }: Peer<'_>,
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
            Call::Put { fault, add } => self.put(peer, &fault, add)?.value(),
            Call::PutAll { faults, remove, only_these } => {
                self.put_all(peer, &faults, &remove, only_these)?.value()
            }
            Call::Apply { faults, prune } => self.apply(peer, &faults, prune)?.value(),
            Call::ClearAll => {
                self.clear_all(peer, name);
                None
            }
            Call::ClearFault(method) => {
                self.clear_fault(peer, name, &method);
                None
            }
            Call::ClearMethods(names) => {
                self.clear_methods(peer, &names)?;
                None
            }
            Call::Clear(what) => self.clear(peer, &what)?.value(),
            Call::Remove(fault) => self.remove(peer, &fault).value(),
            Call::Wait(wait) => asked(self.wait(&wait, waits)?.value()),
            Call::GetMethods => asked(Some(Value::texts(Method::all().map(Method::name)))),
            Call::GetFaults => asked(Some(self.get_faults())),
            Call::ListFaults => asked(self.faults().value()),
            Call::ListEnded => asked(self.ended().value()),
            Call::ListMethods => asked(self.methods().value()),
            Call::ListKinds => asked(KindInfo::all().value()),
            Call::TraceStart(traced) => self.trace_start(peer, &traced)?.value(),
            Call::TraceRead { after, most } => asked(self.trace_read(peer, after, most)?.value()),
            Call::TraceStop => {
                self.trace_stop(peer);
                None
            }
            Call::RunLoad(scenario) => asked(self.run_load(peer, scenario)?.value()),
            Call::RunStart => asked(self.run_start(peer)?.value()),
            Call::RunRead { after } => asked(self.run_read(after).value()),
            Call::RunStop => asked(self.run_stop(peer).value()),
            Call::Info => asked(self.info().value()),
            Call::MatchFiles { pattern, below, most } => {
                asked(self.match_files(&pattern, (&below, most), waits)?.value())
            }
            Call::Injections { after, most } => asked(self.injections(after, most).value()),
            Call::Heal { ids, after } => self.heal(peer, &ids, after)?.value(),
            Call::Rot(words) => self.rot(peer, &words, waits)?.value(),
            Call::MatchPath(path) => asked(self.match_path(&path)?.value()),
            Call::Unsynced => asked(self.unsynced()?.value()),
            Call::Checkpoint => self.checkpoint(peer)?.value(),
            Call::UnsyncedMoments { after } => asked(self.unsynced_moments(after)?.value()),
            Call::PowerCut { cut, moment } => self.power_cut(peer, &cut, moment)?.value(),
            Call::PowerPrepare { stays_ns } => self.power_prepare(peer, stays_ns)?.value(),
            Call::PowerCommit(cut) => self.power_commit(peer, &cut)?.value(),
            Call::PowerAbort { ticket } => self.power_abort(peer, ticket)?.value(),
            Call::PowerOn => self.power_on(peer)?.value(),
            Call::Stats => asked(self.statistics().value()),
        })
    }
}
