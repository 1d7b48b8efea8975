//! What a shell, man(1) and `--version` tell of the program: words that could stand at the cursor, a page for each
//! command, what was built.
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
mod man_pages;
mod shells;
mod version;
