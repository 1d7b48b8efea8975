//! argv -> typed command -> exit code.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 usage. Every error is one line on standard error.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod act;
mod charybdefs;
pub mod control;
mod demo;
mod helper;
mod log;
mod mount;
mod options;
mod original;
mod output;
mod recipe;

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

/// Runs the command that `args` spells. The program's name, which is the first, decides on the
/// grammar: its own, charybdefs's or that of mount(8)'s helpers.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let (program, words) = args.split_first().map_or(("slowfs", &[][..]), |(program, words)| {
        (Path::new(program).file_name().and_then(|n| n.to_str()).unwrap_or("slowfs"), words)
    });
    if program == charybdefs::NAME {
        return charybdefs::run(words.to_vec());
    }
    if helper::is_meant(program, words) {
        return helper::run(words.to_vec());
    }
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
        Command::Mount(args) => outcome("slowfs", mount::mount(&args)),
        Command::Umount(args) => outcome("slowfs", mount::umount(&args)),
        Command::Demo(args) => outcome("slowfs", demo::run(&args)),
    }
}

fn outcome(program: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
