//! The fault engine: what is wrong with the directory at this moment, and for which operations.
//!
//! It knows no FUSE, no Thrift and no file descriptors. An operation asks the gate, which reads
//! the table's current snapshot; where a fault fires, the operation may wait on the delay line, as
//! memory and not as a thread.
//!
//! Who is hit, how often and when is plain data (`scope`, `chance`, `term`). What happens is open: a
//! kind of fault is one file and one line of [`kinds::KINDS`], and adds to the [`plan::Plan`] of a
//! request. Every door speaks of faults in [`words`], which are read off that table.
//!
//! ```text
//! words  ->  spec  ->  kinds  ->  plan, operation, chance
//! ```

pub mod chance;
pub mod distributions;
pub mod ended;
pub mod error;
pub mod gate;
pub mod hold;
pub mod kinds;
mod live;
pub mod name;
pub mod operation;
pub mod plan;
pub mod scope;
pub mod spec;
pub mod stats;
pub mod suggest;
pub mod table;
pub mod term;
mod tuple;
pub mod words;

pub use chance::{Probability, ProbabilityScale};
pub use ended::{Gone, MOST_ENDED, Why};
pub use error::SpecError;
pub use gate::{Gate, Memo, Subject, Verdict};
pub use hold::{DelayLine, Job, Outcome};
pub use live::{FaultId, Hit, PastCache};
pub use stats::{Latency, Passthrough, Stats, Taken};
pub use table::{FaultTable, Listed, MAX_FAULTS, Placement, Snapshot, TooManyFaults};
pub use tuple::{Delay, Errnos, Fault};
pub use words::{Errno, Pattern, shorten};
