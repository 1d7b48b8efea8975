//! What a measurement is made of: samples and their intervals, fair dice, the machine's own floor.
//!
//! The demonstration, the self-test and the benches share it, so that a median or an interval means the
//! same wherever slowfs speaks of one. It knows nothing of what is measured. No locks.

mod binomial;
mod echo;
mod load;
mod sample;

pub(crate) use binomial::central;
pub use echo::Echo;
pub use load::Load;
pub use sample::{Interval, Pairs, Sample};
