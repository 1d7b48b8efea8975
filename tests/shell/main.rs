//! What a shell and `--version` tell of the program: words that could stand at the cursor, what was built.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../common/mod.rs"]
mod common;
mod completions;
mod shells;
mod version;
