//! Thrift messages as they stand on the wire: the binary protocol, strict or not, framed or not,
//! read into generic values and written from them.
//!
//! ```text
//! reader, writer   values <-> bytes           value   any value of Thrift's
//! source           the bytes of one message   error   why there is none
//! ```
//!
//! It owns the limits. Invariant: reading one message never takes more memory than its limits
//! say, whatever lengths the peer claims; every byte read and every value kept is charged to one
//! budget. No knowledge of any call is here. No locks.

mod error;
mod reader;
mod source;
mod value;
mod writer;

use std::time::Duration;

use thrift::protocol::TMessageType;

pub use error::BadMessage;
pub(super) use error::ReadError;
pub(super) use reader::MessageReader;
pub(super) use value::{Fields, Value};
pub(super) use writer::encode;

/// How deep structs and containers may nest.
const MAX_DEPTH: usize = 16;

/// What one message may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of the message, and an eighth of what the values kept from it may take of memory.
    pub(super) message: usize,
    /// Bytes of one string.
    pub(super) string: usize,
    /// Entries of one container.
    pub(super) container: usize,
}

impl Limits {
    /// What a client may send.
    pub(super) const REQUEST: Limits =
        Limits { message: 256 * 1024, string: 256 * 1024, container: 1_000 };
    /// What a server may answer: a listing of very many faults.
    pub(super) const REPLY: Limits =
        Limits { message: 64 * 1024 * 1024, string: 1024 * 1024, container: 100_000 };
    /// What a server may answer that is asked only because it is there, with many others: faults, as many
    /// as there may be of the usual length.
    pub(super) const GLANCE: Limits =
        Limits { message: 2 * 1024 * 1024, string: 64 * 1024, container: 10_000 };
}

/// One message: a call, a reply or an exception.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) kind: TMessageType,
    pub(super) seq: i32,
    pub(super) body: Fields,
}

/// A name from outside, fit for a line of text.
pub(super) fn printable(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

/// A count as Thrift has it; beyond that, the most.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A time as Thrift has it, in nanoseconds; beyond that, the most.
pub(crate) fn ns(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(super) mod tests;
