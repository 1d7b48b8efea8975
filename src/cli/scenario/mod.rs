//! `slowfs run`: a scenario on one or more mounts, from its file to its end.
//!
//! The file is read whole, and its steps go to the daemons as data: each does its own by itself, and all
//! that is done here is to look on. Invariant: what cannot be is refused before anything has started on
//! any mount. No locks.

mod args;
mod cast;
mod follow;
mod read;
mod report;
mod step;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) use self::args::RunArgs;
use self::cast::Cast;
use self::read::Written;
#[cfg(test)]
pub(super) use self::report::field_names;
use super::saved::{self, Saved};
use super::target::Target;
use super::{output, whom};
use crate::fault::words::quoted_path;

/// What to write where a mount stands in the place of the file.
fn no_file(paths: &[PathBuf], last: &Path) -> String {
    let (mounts, files): (Vec<_>, Vec<_>) =
        paths.iter().partition(|path| whom::is_mountpoint(path));
    let file = files.first().map_or_else(|| "FILE".to_owned(), |path| quoted_path(path));
    let mounts: Vec<_> = mounts.into_iter().map(|path| quoted_path(path)).collect();
    format!(
        "{} is a mount, which stands before the file: write `slowfs run {} {file}`",
        quoted_path(last),
        mounts.join(" ")
    )
}

/// Runs the scenario to its end.
pub(super) fn run(args: &RunArgs, target: &Target) -> ExitCode {
    let mut target = target.clone();
    let Some((file, mounts)) = args.paths.split_last() else { return ExitCode::from(2) };
    if whom::is_mountpoint(file) {
        output::error(&no_file(&args.paths, file));
        return ExitCode::from(2);
    }
    target.mount.extend(mounts.iter().cloned());
    let written = match read::read(file) {
        Ok(written) => written,
        Err(wrong) => {
            wrong.iter().for_each(|why| output::error(why));
            return ExitCode::from(2);
        }
    };
    match play(&written, (file, args), &target) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            super::report::nobody(&why, &target);
            ExitCode::FAILURE
        }
    }
}

/// Whether it came to its end.
fn play(
    written: &Written,
    (file, args): (&Path, &RunArgs),
    target: &Target,
) -> Result<bool, String> {
    let open = |to: &Path| match saved::are_one(to, file) {
        true => Err(format!("{} is the scenario; name another file for the report", to.display())),
        false => Saved::open(to, true),
    };
    let out = args.report.as_deref().map(open).transpose()?;
    let how = (out.is_some(), args.detach);
    let cast = Cast::meet(written, how, target, &whom::addresses)?;
    // Not before: a signal ends what may have to wait. Not later: what has begun is ended in order.
    let stop = follow::signals()?;
    let cast = cast.start()?;
    if args.detach {
        cast.leave(target);
        return Ok(true);
    }
    follow::to_the_end(cast, written, (out, stop), target)
}
