//! Why no message could be read. No locks.

use std::io;

use thiserror::Error;
use thrift::TransportErrorKind;
use thrift::protocol::TType;

use super::MAX_DEPTH;

/// Why no message could be read. The stream is then no longer at a message's start.
#[derive(Debug)]
pub(in crate::rpc) enum ReadError {
    /// The connection failed or ended inside a message.
    Lost(TransportErrorKind, String),
    /// The bytes are no message that is taken. The call is known if its header was.
    Bad { reason: BadMessage, call: Option<(String, i32)> },
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        match error.into() {
            thrift::Error::Transport(e) => ReadError::Lost(e.kind, e.message),
            other => ReadError::Lost(TransportErrorKind::Unknown, other.to_string()),
        }
    }
}

/// Why bytes are no message that is taken. One line each.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadMessage {
    /// It claims a frame of so many bytes, more than one message may have.
    #[error("the message claims a frame of {0} bytes")]
    Frame(usize),
    /// It has more than this many bytes.
    #[error("the message is larger than the {0} bytes taken here")]
    Size(usize),
    /// Once read it would take more than this many bytes.
    #[error("the values of the message take more than {0} bytes of memory")]
    Memory(usize),
    /// Its frame ends before it does.
    #[error("the message is longer than its frame")]
    LongerThanFrame,
    /// Its structs and containers nest too deep.
    #[error("the message nests deeper than {MAX_DEPTH}")]
    Depth,
    /// No value can have that type.
    #[error("a value of type {0}")]
    NoValue(TType),
    /// It is not Thrift's binary protocol. The thrift crate's own words.
    #[error("{0}")]
    Protocol(String),
}

/// What stops the reader inside a message.
#[derive(Debug)]
pub(super) enum Stop {
    Bad(BadMessage),
    Thrift(thrift::Error),
}

impl From<BadMessage> for Stop {
    fn from(reason: BadMessage) -> Stop {
        Stop::Bad(reason)
    }
}

impl From<thrift::Error> for Stop {
    fn from(error: thrift::Error) -> Stop {
        Stop::Thrift(error)
    }
}
