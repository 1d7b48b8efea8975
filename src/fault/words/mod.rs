//! Words and what they mean, for every door: what people type, what Thrift and JSON carry.
//!
//! A value is plain data of five shapes ([`Value`]); what a parameter takes is its [`ParamType`],
//! which reads text as typed, straightens what came as data, and writes it as it would be typed.
//! A whole fault in words is a [`FaultWords`], and a line of them what `--fault` takes. No locks.

mod bytes;
mod contract;
pub(super) mod dfa;
mod difference;
mod ecma;
mod errno;
mod fault;
mod file;
mod glob;
mod line;
mod loose;
mod option;
mod param;
mod path;
mod pattern;
mod plain;
mod range;
mod refused;
mod share;
mod time;
mod value;
mod visible;

pub(crate) use bytes::{read as bytes, write as bytes_text};
pub use contract::PlainFault;
pub use errno::Errno;
pub(super) use errno::ErrnoError;
pub use fault::FaultWords;
pub(crate) use fault::{EffectWords, instead_of_method, methods};
pub(crate) use file::{lines as fault_lines, set_by as fault_set_by, uncommented};
pub(crate) use glob::{GlobError, below, of_regex as glob_of_regex, regex as glob};
pub(super) use glob::{maybe_of_regex as maybe_glob_of_regex, meant as meant_by_glob};
pub(crate) use line::{beside, joined, parse as line, quoted, split};
pub(crate) use option::{FaultOption, OPTIONS};
pub(crate) use param::{Param, ParamType};
pub(crate) use path::{escaped_path, quoted_path, shown_path};
pub use pattern::Pattern;
pub(crate) use pattern::PatternError;
pub(crate) use pattern::shorten;
pub use plain::Plain;
pub(crate) use plain::auto_delay;
pub(crate) use range::ByteRange;
pub(crate) use refused::refused;
pub(crate) use share::{percent, read as share};
pub(crate) use time::read as time;
pub use time::write as time_text;
pub(super) use value::whole;
pub(crate) use value::{Args, Value, ValueError};
pub(crate) use visible::visible;
