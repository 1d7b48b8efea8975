//! `slowfs crash-test`: a program runs once on a mirror that notes moments; then for each of them a directory is
//! built that a disk could hold if the power had gone then, and judged by a command.
//!
//! `plan` numbers the images, `child` runs the program and the command, `trial` does one after the other,
//! `report` tells. No locks.

mod child;
mod plan;
mod report;
mod trial;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use self::report::Report;
#[cfg(test)]
pub(super) use self::report::field_names;
use self::trial::Trial;
use super::apart::told_at_last;
use super::output;
use super::tracking::Promise;
use super::trial::{Scratch, Wanted, on_mirrors};
use super::values::{parse_number, parse_time};
use crate::fault::{Keeping, Unit};
use crate::unsynced::Act;

/// What stands for the directory of a mount or an image.
const DIRECTORY: &str = "{}";

/// What `slowfs crash-test` is told.
#[derive(Debug, clap::Args)]
pub(super) struct CrashTestArgs {
    /// Check each image by this command of sh: {} is the image, and standard input is what the program had
    /// printed by then. It must fail if something is missing or broken
    #[arg(long, value_name = "CMD")]
    check: String,
    /// Cut the power just before each of these, and at the end
    #[arg(
        long,
        value_name = "METHOD,...",
        value_delimiter = ',',
        default_value = "fsync,fdatasync,fsyncdir,rename"
    )]
    at: Vec<Act>,
    /// What images keep of what is not durable, one image each: none, all, prefix:N or random; may be repeated
    #[arg(long, value_name = "KEEP,...", value_delimiter = ',', default_value = "none,random")]
    keep: Vec<Keeping>,
    /// How many bytes are written as a whole or not at all: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value_t)]
    unit: Unit,
    /// Make the dice repeatable
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What syncs promise: what Linux filesystems keep, or only what POSIX promises
    #[arg(long, value_name = "linux|posix", default_value = "linux")]
    order: Promise,
    /// Begin with a copy of this directory, not with an empty one
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Check at most N images, spread over the run
    #[arg(long, value_name = "N", value_parser = parse_number(1..=u64::MAX))]
    limit: Option<u64>,
    /// Check only the image of this number
    #[arg(long, value_name = "N", value_parser = parse_number(1..=u64::MAX), conflicts_with = "limit")]
    only: Option<u64>,
    /// Keep images on which the check failed in this directory, as they were before the check
    #[arg(long, value_name = "DIR")]
    keep_images: Option<PathBuf>,
    /// The longest time that a check may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    timeout: Duration,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// The program and its arguments; {} in them is the directory to work in
    #[arg(value_name = "PROGRAM", last = true, required = true)]
    program: Vec<OsString>,
}

impl CrashTestArgs {
    /// Why that cannot be meant.
    fn refusal(&self) -> Option<String> {
        let names = |word: &[u8]| word.windows(2).any(|two| two == DIRECTORY.as_bytes());
        if !names(self.check.as_bytes()) {
            return Some("--check: write {} where the image's directory is to be".to_owned());
        }
        if !self.program.iter().any(|word| names(word.as_bytes())) {
            let why = "write {} where the directory is to be that the program works in";
            return Some(format!("PROGRAM: {why}"));
        }
        None
    }

    /// Options of the mount.
    fn options(&self, place: &Place) -> Vec<OsString> {
        let before: Vec<_> = self.at.iter().map(ToString::to_string).collect();
        let texts = [
            format!("--track-unsynced={}", self.order),
            "--unsynced-age=10000h".to_owned(),
            "--unsynced-max=1TiB".to_owned(),
            format!("--unsynced-moments={}", before.join(",")),
        ];
        let paths = [("--images", &place.images), ("--unsynced-output", &place.output)];
        let paths = paths.into_iter().flat_map(|(option, path)| [option.into(), path.into()]);
        texts.into_iter().map(OsString::from).chain(paths).collect()
    }
}

/// Where all is that is neither the mirror nor an image.
struct Place {
    /// Where images are made.
    images: PathBuf,
    /// What the program prints.
    output: PathBuf,
    /// What it or a command complains of.
    complaints: PathBuf,
    /// What it had printed by a moment.
    printed: PathBuf,
}

impl Place {
    fn make(scratch: &Scratch, args: &CrashTestArgs) -> anyhow::Result<Place> {
        let at = |name: &str| scratch.path().join(name);
        let images = match &args.keep_images {
            None => at("images"),
            Some(dir) => std::path::absolute(dir)?,
        };
        std::fs::create_dir_all(&images)
            .with_context(|| format!("cannot keep images in {}", images.display()))?;
        let output = at("output");
        std::fs::write(&output, "")?;
        Ok(Place { images, output, complaints: at("complaints"), printed: at("printed") })
    }
}

/// Runs and checks, prints what was found, and fails if anything was.
pub(super) fn run(args: &CrashTestArgs) -> ExitCode {
    if let Some(reason) = args.refusal() {
        output::error(&reason);
        return ExitCode::from(2);
    }
    match report(args) {
        Ok(report) => {
            report.warnings().iter().for_each(|warning| output::warning(warning));
            told_at_last(&if args.json { report.json().to_string() } else { report.text() });
            if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            output::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn report(args: &CrashTestArgs) -> anyhow::Result<Report> {
    let scratch = Scratch::new().context("cannot make a temporary directory")?;
    let place = Place::make(&scratch, args)?;
    let options = args.options(&place);
    let wanted = Wanted { name: "mirror", listen: "none", options, images: false };
    on_mirrors(&[wanted], |mirrors| {
        let [mirror] = mirrors else { bail!("one mirror, not {}", mirrors.len()) };
        Trial::new(args, &place, mirror)?.run()
    })
}
