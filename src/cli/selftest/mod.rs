//! `slowfs selftest`: how truly faults come on this machine, and how little others feel of them.
//!
//! It measures from the outside, by system calls on mirrors of temporary directories. Each part measures,
//! and makes rows of what it measured: a row is judged by plain figures, so that a test can show it those
//! of an engine that is wrong. No locks.

mod chances;
mod concurrency;
mod cost;
mod delays;
mod isolation;
mod place;
mod report;
mod row;
mod svg;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use self::delays::Shortest;
use self::place::Place;
use self::report::Report;
#[cfg(test)]
pub(super) use self::report::field_names;
use self::row::Row;
use super::output;
use super::trial::{Mirror, Wanted, on_mirrors};

/// What `slowfs selftest` is told.
#[derive(Debug, clap::Args)]
pub(super) struct SelftestArgs {
    /// Measure for a few seconds only; the intervals are wider
    #[arg(long)]
    quick: bool,
    /// Measure delays of a second too, which takes a minute more
    #[arg(long, conflicts_with = "quick")]
    long: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Draw a plot to this file: what was got against what was asked
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Measures, prints the rows, and fails if one has failed.
pub(super) fn run(args: &SelftestArgs) -> ExitCode {
    let report = match report(args) {
        Ok(report) => report,
        Err(error) => {
            output::error(&format!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    output::out(&if args.json { report.json().to_string() } else { report.text() });
    if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn report(args: &SelftestArgs) -> anyhow::Result<Report> {
    let cannot = |path: &PathBuf| format!("cannot write {}", path.display());
    // Before anything is measured, which would be in vain; what is there stays until it is replaced.
    let open =
        |path: &PathBuf| OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let svg = args.svg.as_ref();
    let svg = svg.map(|path| anyhow::Ok((path, open(path).with_context(|| cannot(path))?)));
    let svg = svg.transpose()?;
    let seed: u32 = rand::random();
    let options = || vec!["--seed".into(), seed.to_string().into()];
    let listen = "127.0.0.1:0";
    let wanted =
        ["one", "twin"].map(|name| Wanted { name, listen, options: options(), images: false });
    let began = Instant::now();
    let rows = on_mirrors(&wanted, |mirrors| measure(mirrors, args))?;
    let report = Report { rows, seed, took: began.elapsed() };
    if let Some((path, mut file)) = svg {
        let written = file.set_len(0).and_then(|()| file.write_all(svg::plot(&report).as_bytes()));
        written.with_context(|| cannot(path))?;
    }
    Ok(report)
}

fn measure(mirrors: &[Mirror], args: &SelftestArgs) -> anyhow::Result<Vec<Row>> {
    let [mirror, twin] = mirrors else { bail!("two mirrors, not {}", mirrors.len()) };
    let mut place = Place::new(mirror, twin, args.quick)?;
    let mut shortest = Shortest::default();
    let mut rows = Vec::new();
    let steps = delays::STEPS.map(|(micros, usual, few)| (micros, place.or_quick(usual, few)));
    for (micros, pairs) in steps.into_iter().chain(args.long.then_some(delays::LONG)) {
        let asked = Duration::from_micros(micros);
        let (measured, noise) = place.watched(|place| delays::measure(place, asked, pairs))?;
        shortest.count(asked, measured.synced.with.figures());
        rows.push(measured.row(noise));
    }
    let (crowd, noise) = place.watched(concurrency::measure)?;
    crowd.count(&mut shortest);
    let concurrency = crowd.row(noise);
    let (stranger, noise) = place.watched(isolation::measure)?;
    stranger.count(&mut shortest);
    rows.extend([shortest.row(), concurrency, stranger.row(noise)]);
    for operation in &cost::OPERATIONS {
        let (measured, noise) = place.watched(|place| cost::measure(place, operation))?;
        rows.extend(measured.rows(&noise));
    }
    for (percent, usual, few) in chances::STEPS {
        let tries = place.or_quick(usual, few);
        let measured = chances::measure(&mut place, percent, tries)?;
        rows.extend([measured.row(), measured.seed_row()]);
    }
    place.done();
    Ok(rows)
}
