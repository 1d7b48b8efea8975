//! argv -> typed command -> exit code.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 usage. Every error is one line on standard error.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod act;
pub mod control;
mod demo;
mod log;
mod mount;
mod original;
mod output;

/// A mirror of a directory that becomes slow, broken or treacherous on command.
#[derive(Debug, Parser)]
#[command(name = "slowfs", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mount a mirror of a directory and serve Thrift clients
    Mount(Box<mount::MountArgs>),
    /// Unmount a mirror; its daemon ends
    Umount(mount::UmountArgs),
    #[command(flatten)]
    Control(control::Control),
    /// Show a delay at work, on temporary directories
    Demo(demo::DemoArgs),
}

/// Runs the command that `args` (the program's name first) spells.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no error.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli.command {
        Command::Control(command) => control::run(&command),
        Command::Mount(args) => outcome(mount::mount(&args)),
        Command::Umount(args) => outcome(mount::umount(&args)),
        Command::Demo(args) => outcome(demo::run(&args)),
    }
}

fn outcome(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slowfs: {error:#}");
            ExitCode::FAILURE
        }
    }
}
