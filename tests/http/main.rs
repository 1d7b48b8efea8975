//! A mount speaks HTTP: on its control socket beside Thrift, and over TCP where that is asked for; what it tells,
//! whom it refuses, and that nobody holds it up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod apply;
mod calls;
mod doing;
mod health;
mod limits;
mod metrics;
mod refusals;
mod scenario;
