//! The arguments of `slowfs run`. No locks.

use std::path::PathBuf;

use clap::Args;

/// What is run.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct RunArgs {
    /// The file with the scenario; a mountpoint may come before it
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    pub(super) paths: Vec<PathBuf>,
    /// Start it and return: it goes on by itself, to its end or until `slowfs clear`
    #[arg(long, conflicts_with = "report")]
    pub(super) detach: bool,
    /// Write a report to this file: latency over time, steps, phases. JSON if its name ends in .json, else one
    /// HTML page
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}
