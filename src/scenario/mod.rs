//! Scenarios: faults that come and go by themselves, at their times and at firings.
//!
//! A file is read into a [`Script`] by whoever has it ([`text`]), goes over the wire as data, and runs in
//! the daemon: one at a time on a mount ([`Stage`]), by a thread of its own. It knows neither FUSE nor
//! Thrift: it changes the table of faults as a client would, and tells what it did and when.

mod event;
pub(crate) mod order;
mod phase;
mod prepared;
mod run;
mod script;
mod stage;
mod supply;
pub(crate) mod text;
mod work;
mod working;

pub(crate) use event::{Event, What};
pub(crate) use phase::{Phase, Why};
pub(crate) use script::{Command, MOST_STEPS, Script, Step, When};
pub(crate) use stage::{Stage, Told};
pub(crate) use supply::Supply;
pub(crate) use work::Hands;
