//! The fault engine: what is wrong with the directory at this moment, and for which operations.
//!
//! It knows no FUSE, no Thrift and no file descriptors. An operation asks the gate, which reads
//! the table's current snapshot; where a fault fires, the operation may wait on the delay line, as
//! memory and not as a thread.
//!
//! Who is hit, how often and when is plain data (`scope`, `chance`, `term`). What happens is open: a
//! kind of fault is one file and one line of [`kinds::KINDS`], and adds to the `plan::Plan` of a
//! request. Every door speaks of faults in `words`, which are read off that table.
//!
//! ```text
//! words  ->  spec  ->  kinds  ->  plan, operation, chance
//! ```

mod after;
mod before;
mod bounds;
mod called;
mod chance;
pub(crate) mod device;
pub(crate) mod distributions;
mod edit;
mod ended;
mod error;
mod files;
mod firing;
mod futile;
mod gate;
mod healed;
mod hiding;
pub(crate) mod hold;
mod holding;
mod id;
pub mod injections;
mod io_size;
mod keeping;
pub(crate) mod kinds;
pub(crate) mod ledger;
mod lift;
mod listed;
mod live;
mod mask;
pub(crate) mod name;
mod near;
mod once;
pub(crate) mod operation;
mod origin;
mod patterns;
mod places;
mod placing;
pub(crate) mod plan;
mod ramp;
mod rate;
mod reach;
mod reads;
pub(crate) mod recording;
mod rolled;
mod scope;
mod snapshot;
mod spec;
pub mod spoil;
#[cfg(test)]
mod standing;
mod subject;
pub(crate) mod suggest;
mod swapped;
mod table;
mod taken;
pub(crate) mod takes;
mod term;
#[cfg(test)]
mod testing;
mod timetable;
pub(crate) mod trace;
mod union;
pub(crate) mod words;

pub use bounds::Bounds;
pub use called::FaultRef;
pub use chance::{Chance, Draw, Probability, ProbabilityScale};
pub(crate) use chance::{drawn, seed_of};
pub use ended::{Gone, MOST_ENDED, Why};
pub use error::SpecError;
pub use firing::Hit;
pub(crate) use firing::Shared;
pub use gate::Gate;
pub use hold::{DelayLine, Job, Outcome};
pub(crate) use holding::MostHeld;
pub use id::FaultId;
pub use keeping::{CutWords, Keeping, Unit};
pub use kinds::KINDS;
pub use lift::{Lift, Lifted};
pub use listed::Listed;
pub use live::PastCache;
pub use mask::Mask;
pub(crate) use once::{Once, Said};
pub use operation::{Caller, Operation};
pub use origin::Origin;
pub(crate) use placing::in_the_way;
pub use placing::{Change, Placement, Put};
pub use plan::Hold;
pub use reach::Reach;
pub(crate) use rolled::Rolled;
pub use snapshot::Snapshot;
pub use spec::Fault;
pub use subject::{Entry, Memo, Subject};
pub(crate) use swapped::{NoSwap, Swapped};
pub use table::{FaultTable, MAX_FAULTS, TooManyFaults};
pub use taken::Taken;
pub use term::Term;
pub use words::{Errno, FaultWords, Pattern, Plain, PlainFault, time_text};
