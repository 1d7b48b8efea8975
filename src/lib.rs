//! slowfs mirrors a real directory through FUSE and makes it slow, broken or treacherous on
//! demand, over Thrift, while a real database runs on it.
//!
//! ```text
//!              main
//!                |
//!               cli          argv -> typed command
//!                |
//!             daemon         one run: bind, mount, announce, serve, signal, release, unmount
//!             /     \
//!           fs       rpc     FUSE requests              Thrift calls
//!          /  \       |
//!     mirror   fault--+      the directory              what is wrong with it
//!          \   /
//!         ops, sys           the table of methods       all unsafe code
//! ```
//!
//! Imports point down only; `tests/layers.rs` enforces it.

pub mod mirror;
pub mod ops;
pub mod sys;
