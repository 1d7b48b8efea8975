//! Words and what they mean, for every door: what people type, what Thrift and JSON carry.
//!
//! A value is plain data of five shapes ([`Value`]); what a parameter takes is its [`ParamType`],
//! which reads text as typed, straightens what came as data, and writes it as it would be typed.
//! A whole fault in words is a [`FaultWords`], and a line of them what `--fault` takes. No locks.

mod bytes;
mod contract;
mod difference;
mod ecma;
mod errno;
mod fault;
mod line;
mod option;
mod param;
mod pattern;
mod plain;
mod range;
mod share;
mod time;
mod value;

pub use bytes::{read as bytes, write as bytes_text};
pub use contract::PlainFault;
pub use errno::{Errno, ErrnoError};
pub use fault::{EffectWords, FaultWords, methods};
pub use line::{beside, parse as line, split};
pub use option::{FaultOption, OPTIONS};
pub use param::{Param, ParamType};
pub use pattern::{MAX_PATTERN, Pattern, PatternError, shorten};
pub use plain::Plain;
pub use range::ByteRange;
pub use share::{percent, read as share};
pub use time::{read as time, write as time_text};
pub(super) use value::whole;
pub use value::{Args, Value, ValueError};
