//! The fault engine: what is wrong with the directory at this moment, and for which operations.
//!
//! It knows no FUSE, no Thrift and no file descriptors. An operation asks the gate, which reads
//! the table's current snapshot; where a fault fires, the operation may wait on the delay line, as
//! memory and not as a thread.
//!
//! ```text
//! gate  ->  table  ->  hold, ended  ->  live  ->  spec  ->  pattern, errno
//! ```

mod ecma;
pub mod ended;
pub mod errno;
pub mod gate;
pub mod hold;
mod live;
pub mod pattern;
pub mod spec;
pub mod stats;
pub mod suggest;
pub mod table;

pub use ended::{Gone, MOST_ENDED, Why};
pub use errno::Errno;
pub use gate::{Gate, Memo, Subject, Verdict};
pub use hold::{DelayLine, Job, Outcome};
pub use live::{FaultId, Hit, PastCache};
pub use pattern::{Pattern, shorten};
pub use spec::{Delay, Errnos, Fault, Probability, ProbabilityScale, SpecError};
pub use stats::{Latency, Passthrough, Stats, Taken};
pub use table::{FaultTable, Listed, MAX_FAULTS, Placement, Snapshot, TooManyFaults};
