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

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;

use self::delays::Shortest;
use self::place::Place;
use self::report::Report;
#[cfg(test)]
pub(super) use self::report::field_names;
use self::row::Row;
use super::apart::told_at_last;
use super::output;
use super::saved::Saved;
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
    /// Draw to this file how late delays ended, and what they are held to
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Measures, prints the rows, and fails if one has failed.
pub(super) fn run(args: &SelftestArgs) -> ExitCode {
    match measured(args) {
        Ok((report, svg)) => tell(args, &report, svg),
        Err(error) => {
            let why = format!("{error:#}");
            output::error(&why);
            if args.json {
                told_at_last(&report::unmeasured(&why).to_string());
            }
            ExitCode::FAILURE
        }
    }
}

/// The rows are told whatever becomes of the drawing.
fn tell(args: &SelftestArgs, report: &Report, svg: Option<Saved>) -> ExitCode {
    // Before signals end it: one that came then would leave an empty file.
    let drawn = svg.map(|mut svg| svg.write(&svg::plot(report)));
    told_at_last(&if args.json { report.json().to_string() } else { report.text() });
    if let Some(Err(why)) = &drawn {
        output::error(why);
    }
    let has_failed = report.has_failed() || matches!(drawn, Some(Err(_)));
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What was measured, and where the drawing goes: that is refused before, as all would be in vain.
fn measured(args: &SelftestArgs) -> anyhow::Result<(Report, Option<Saved>)> {
    let svg = args.svg.as_deref().map(Saved::regular).transpose().map_err(anyhow::Error::msg)?;
    let seed: u32 = rand::random();
    let options = || vec!["--seed".into(), seed.to_string().into()];
    let listen = "127.0.0.1:0";
    let wanted =
        ["one", "twin"].map(|name| Wanted { name, listen, options: options(), images: false });
    let began = Instant::now();
    let rows = on_mirrors(&wanted, |mirrors| measure(mirrors, args))?;
    Ok((Report { rows, seed, took: began.elapsed() }, svg))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How long the parts may take together, each but for its last round.
    fn at_most(quick: bool, long: bool) -> Duration {
        let of = |(usual, few): (Duration, Duration)| if quick { few } else { usual };
        let steps = delays::STEPS.map(|(us, usual, few)| (us, if quick { few } else { usual }));
        let steps = steps.into_iter().chain(long.then_some(delays::LONG));
        let delays: Duration =
            steps.map(|(us, pairs)| delays::within(Duration::from_micros(us), pairs)).sum();
        let chances = u32::try_from(2 * chances::STEPS.len()).unwrap();
        let costs = u32::try_from(cost::OPERATIONS.len()).unwrap();
        delays
            + of(concurrency::WITHIN)
            + of(isolation::WITHIN)
            + costs * of(cost::WITHIN)
            + chances * of(chances::WITHIN)
    }

    #[test]
    fn all_is_over_in_the_time_that_is_promised() {
        assert!(at_most(false, false) < Duration::from_secs(55), "{:?}", at_most(false, false));
        assert!(at_most(true, false) < Duration::from_secs(20), "{:?}", at_most(true, false));
        let more = at_most(false, true) - at_most(false, false);
        assert!(more <= Duration::from_secs(60), "{more:?}");
    }

    #[test]
    fn pairs_come_two_by_two_and_are_enough() {
        let counts = delays::STEPS.into_iter().flat_map(|(_, usual, few)| [usual, few]);
        for pairs in counts.chain([delays::LONG.1]) {
            assert!(
                pairs >= crate::measure::Interval::FEWEST && pairs.is_multiple_of(2),
                "{pairs}"
            );
        }
    }
}
