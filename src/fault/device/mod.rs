//! A model of a disk: when each request is due, as a function of when requests arrive.
//!
//! ```text
//! presets   the files of `devices/`, and those of users
//! figures   what a device is made of, read off the parameters of the kind
//! model     channels, transfers, the write cache, syncs; beneath it credits, cache, channels, bytes
//! ```
//!
//! All is virtual time in whole nanoseconds, counted from the first request: nothing here waits or reads a
//! clock. No locks: the kind has one.

mod bytes;
mod cache;
mod channels;
mod credits;
mod figures;
mod model;
mod presets;

pub(super) use figures::{Figures, PARAMS, PRESET};
pub(super) use model::{Asked, Model, What};
pub(crate) use presets::is_file;
pub(super) use presets::{PRESETS, of_file, of_preset};
