//! The control interface over Thrift: the calls of charybdefs and slowfs's own, one port.
//!
//! ```text
//! server, client    connections
//! handler           what a call does            convert   words <-> faults
//! dialect, records  which fields mean what
//! wire              bytes <-> values, within limits
//! ```
//!
//! It owns everything Thrift; nothing else in the crate knows it. Bytes and meaning follow
//! sections 1 and 2 of the charybdefs contract.

mod client;
mod convert;
mod dialect;
#[cfg(fuzzing)]
#[allow(clippy::panic, reason = "a fuzzer finds by panicking")]
pub mod fuzzing;
mod handler;
mod records;
mod server;
mod wire;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

pub use client::{Client, ClientError, DEFAULT_PORT};
pub use convert::{errno, fault};
pub use dialect::PlainFault;
pub use handler::{MountInfo, ServerConfig};
pub use records::{FaultSpec, Info, ListedFault, MethodInfo, duration};
pub use server::{Server, bind};

use crate::fault::FaultTable;

impl Server {
    /// Serves that table on that listener until stopped.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        listener: TcpListener,
        table: Arc<FaultTable>,
        config: ServerConfig,
    ) -> io::Result<Server> {
        let max_connections = config.max_connections;
        Server::with_handler(listener, handler::Handler::new(table, config), max_connections)
    }
}
