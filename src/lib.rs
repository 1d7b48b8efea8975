//! slowfs mirrors a real directory through FUSE and makes it slow, broken or treacherous on
//! demand, over Thrift, while a real database runs on it.
//!
//! ```text
//!              main
//!                |
//!               cli          argv -> typed command
//!                |
//!             daemon         one run: bind, mount, announce, serve, signal, release, unmount
//!             /     \
//!           fs       rpc     FUSE requests              Thrift calls
//!          /  \       |
//!         |    |   scenario  what comes and goes by itself
//!         |    |     /
//!   unsynced  fault         what is not durable        what is wrong with it
//!     |    \  /
//!   mirror  kept            the directory              data that is kept for later
//!          \   /
//!    ops, stats, log, sys     the table of methods, the counts, the log, all unsafe code
//!    measure                  samples, intervals and the machine's own floor, for cli and the benches
//! ```
//!
//! Imports point down only; `tests/layers.rs` enforces it.

// They panic if their reader has gone, and wait for one that does not read.
#![deny(clippy::print_stderr, clippy::print_stdout)]

pub mod cli;
mod daemon;
pub mod fault;
pub mod fs;
mod kept;
mod log;
pub mod measure;
mod mirror;
pub mod ops;
pub mod rpc;
mod scenario;
pub mod stats;
mod sys;
mod unsynced;
