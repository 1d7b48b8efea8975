//! `slowfs run`: a scenario on one or more mounts, from its file to its end.
//!
//! The file is read whole, and its steps go to the daemons as data: each does its own by itself, and all
//! that is done here is to look on. Invariant: what cannot be is refused before anything has started on
//! any mount. No locks.

mod cast;
mod follow;
mod read;
mod step;

use std::path::PathBuf;
use std::process::ExitCode;

use self::cast::Cast;
use super::control::Target;
use super::{output, whom};

/// What is run.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct RunArgs {
    /// The file with the scenario; a mountpoint may stand before it
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,
    /// Begin it and leave: it goes on by itself, to its end or `slowfs clear`
    #[arg(long)]
    detach: bool,
}

/// Runs the scenario to its end.
pub(super) fn run(args: &RunArgs, target: &Target) -> ExitCode {
    let mut target = target.clone();
    let Some((file, mounts)) = args.paths.split_last() else { return ExitCode::from(2) };
    target.mount.extend(mounts.iter().cloned());
    let written = match read::read(file) {
        Ok(written) => written,
        Err(wrong) => {
            wrong.iter().for_each(|why| output::error(why));
            return ExitCode::from(2);
        }
    };
    let done = Cast::meet(&written, args.detach, &target, &whom::addresses).and_then(|cast| {
        let cast = cast.start()?;
        if args.detach {
            cast.leave(&target);
            return Ok(true);
        }
        follow::to_the_end(cast, &target)
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            super::report::nobody(&why, &target);
            ExitCode::FAILURE
        }
    }
}
