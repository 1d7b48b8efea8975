//! What is kept to tell of an operation: as it was when it arrived, and how it ended. No locks.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::trace::{Fired, Wanted};

/// How an operation was when it arrived. When it has run its names may be others, by itself or not.
pub(super) struct Noted {
    /// The backing path of each target, by the name that it came with or else the one used last. None if
    /// its inode is gone.
    pub(super) paths: [Option<Vec<u8>>; 2],
    /// Whether it is logged.
    pub(super) logged: bool,
    /// What the reader of the trace wants to see, if this is of it.
    pub(super) wanted: Option<Arc<Wanted>>,
}

/// How an operation ended.
#[derive(Default)]
pub(super) struct Told {
    /// How long it ran on the mirror, if it did.
    pub(super) took: Option<Duration>,
    /// Bytes moved.
    pub(super) bytes: u64,
    /// What fired on it.
    pub(super) hits: Vec<Fired>,
}
