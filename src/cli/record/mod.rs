//! `slowfs record`: how long the backing of a mount takes, or a disk, written to a file that delays and devices
//! draw from. A signal ends it like `--for` does, with what came until then. No locks.

mod probe;
mod report;
mod scratch;
mod traffic;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;

#[cfg(test)]
pub(super) use self::report::field_names;
use super::fleet::Origin;
use super::saved::Saved;
use super::target::{Paths, Target};
use super::values::{parse_interval, parse_method};
use super::whom::{self, Lead};
use super::{output, report as reports};
use crate::fault::recording::Samples;
use crate::sys::signals;

/// How long a directory is probed unless it is said.
const PROBED: Duration = Duration::from_secs(10);

/// What is recorded, and where to.
#[derive(Args, Clone, Debug)]
pub(super) struct RecordArgs {
    /// A path on the mount whose traffic to record, or a directory elsewhere to probe. By default the mount of
    /// --mount, --addr and so on
    #[arg(value_name = "MOUNT|DIR", conflicts_with_all = ["mount", "addr"])]
    path: Option<PathBuf>,
    /// Write to this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// End after this time [default: until ctrl-C; for a directory 10s]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_interval)]
    lasts: Option<Duration>,
    /// Only requests that consult one of these methods
    #[arg(short, long, value_name = "METHOD,...", value_delimiter = ',',
          value_parser = parse_method)]
    methods: Vec<String>,
    /// On which paths
    #[command(flatten)]
    paths: Paths,
}

/// What came of it.
#[derive(Default)]
struct Recorded {
    samples: Samples,
    /// Requests that the daemon could not keep until they were fetched.
    dropped: u64,
    /// Requests that failed, and say nothing of how long success takes.
    failed: u64,
    /// What is to be known besides, a clause each.
    notes: Vec<String>,
}

/// What is recorded.
enum Source {
    Mount(String, Origin),
    Directory(PathBuf),
}

/// Records, and tells what.
pub(super) fn run(args: &RecordArgs, target: &Target) -> ExitCode {
    let Err(reason) = record(args, target) else { return ExitCode::SUCCESS };
    reports::nobody(&reason, target);
    ExitCode::FAILURE
}

fn record(args: &RecordArgs, target: &Target) -> Result<(), String> {
    let source = Source::of(args, target)?;
    let mut to = Saved::open(&args.to, args.force)?;
    // Not before: what opens a file may have to wait, and a signal ends that.
    let stop = signals::block(&signals::BY_PEOPLE)
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    let (began, at) = (Instant::now(), SystemTime::now());
    let (what, recorded) = match &source {
        Source::Mount(addr, origin) => traffic::record(addr, origin, args, &stop)?,
        Source::Directory(dir) => {
            let lasts = args.lasts.unwrap_or(PROBED);
            (dir.display().to_string(), probe::record(dir, lasts, &stop)?)
        }
    };
    let mut summary = report::Summary::of(&args.to, what, recorded, (at, began.elapsed()))?;
    let written = to.write(&summary.file());
    if written.is_err() {
        summary.is_nowhere();
    }
    summary.warn();
    output::out(&if target.json { summary.json().to_string() } else { summary.text() });
    written
}

impl Source {
    fn of(args: &RecordArgs, target: &Target) -> Result<Source, String> {
        let Some(path) = &args.path else {
            let (mut addrs, origin) = whom::addresses(target)?;
            return match (addrs.pop(), addrs.is_empty()) {
                (Some(addr), true) => Ok(Source::Mount(addr, origin)),
                _ => Err("one mount is recorded at a time: name one".to_owned()),
            };
        };
        let Lead { path: there, mirror } = whom::lead(path)?;
        if let Some(line) = mirror {
            return Ok(Source::Mount(whom::address_of(&line)?, Origin::default()));
        }
        let path = path.display();
        if !is_directory(&there) {
            return Err(format!("{path} is no mirror and no directory; name one to be recorded"));
        }
        if !args.methods.is_empty() || args.paths.pattern().is_some() {
            return Err(format!(
                "-m, -r and --glob choose from a mount's traffic, and {path} is no mount"
            ));
        }
        Ok(Source::Directory(there))
    }
}

fn is_directory(path: &Path) -> bool {
    path.metadata().is_ok_and(|at| at.is_dir())
}
