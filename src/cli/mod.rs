//! The command line: argv to typed commands, and what they print.

mod act;
pub mod control;
mod original;
mod output;
