//! The control interface over Thrift: the calls of charybdefs and slowfs's own, on one port and on the
//! mount's own socket.
//!
//! ```text
//! server, client, connection    connections              dropped   those not served to their end
//! socket, allow                 TCP, and a mount's own   files, behind    what is below the mount
//! http                          the same over HTTP       objects  answers as JSON
//! handler                       which call does what     put, tell, wait, trace, matching, injections, power  what they do; search  through the files
//! convert                       faults as they are listed
//! dialect, records, unsynced, rot, supply, statistics  which fields mean what   idl, golden  the records against the IDL and their bytes
//! record, values                a struct's fields, declared once
//! wire                          bytes <-> values, within limits
//! ```
//!
//! It owns everything Thrift and HTTP; nothing else in the crate knows them. Bytes and meaning follow
//! sections 1 and 2 of the charybdefs contract.

mod allow;
mod behind;
mod client;
mod connection;
mod convert;
mod describe;
mod dialect;
mod dropped;
mod files;
#[cfg(any(test, fuzzing))]
#[allow(clippy::panic, reason = "a fuzzer finds by panicking")]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod handler;
mod http;
#[cfg(test)]
mod idl;
mod injections;
mod matching;
pub(crate) mod objects;
mod power;
mod put;
mod record;
mod records;
mod rot;
mod run;
mod scenario;
mod search;
mod server;
mod socket;
mod statistics;
mod supply;
mod tell;
mod trace;
mod unsynced;
mod values;
mod wait;
mod wire;

use std::io;
use std::sync::Arc;

pub use allow::{Allow, BadNetwork, Network};
pub use behind::Behind;
pub use client::Client;
pub(crate) use connection::resolve;
pub use connection::{BadAnswer, ClientError};
pub(crate) use describe::{duration, short_time};
pub use files::{Files, Visit, Visited};
pub use handler::{MountInfo, ServerConfig};
pub use http::{Access, Health};
pub use injections::{Healed, Injection, Injections, Rotted};
pub(crate) use injections::{outcomes, unhealed};
pub use matching::{Matched, Met};
pub use record::BadField;
pub use records::{
    Applied, Cleared, Info, KindInfo, ListedFault, MethodInfo, ParamInfo, Put, Taken,
};
pub use scenario::{Run, RunEvent, RunRead, ScenarioWords, StepWords};
pub use server::{Door, Server};
pub use socket::{Listener, bind};
pub(crate) use socket::{bind_http, bind_local};
pub use statistics::{LatencyStatistics, MethodStatistics, PassthroughStatistics, Statistics};
pub use trace::{TraceEvent, TraceHead, TraceHit, TraceRead};
pub use unsynced::{
    Cut, CutNow, PowerCut, PowerLoss, Unsynced, UnsyncedFile, UnsyncedLog, UnsyncedMoment,
    UnsyncedName, UnsyncedRange,
};
pub use values::WirePath;
pub use wire::BadMessage;
pub(crate) use wire::{ns, signed};

use crate::fault::FaultTable;
use crate::stats::Stats;

impl Server {
    /// Serves that table, and what `stats` counts, on those listeners until stopped.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        listeners: Vec<(Listener, Door)>,
        table: Arc<FaultTable>,
        stats: Arc<Stats>,
        config: ServerConfig,
    ) -> io::Result<Server> {
        let max_connections = config.max_connections;
        let handler = handler::Handler::new(table, stats, config);
        Server::with_handler(listeners, handler, max_connections)
    }
}
