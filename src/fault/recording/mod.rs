//! What was measured of a disk: how long its requests took, by method and size, as a file has it.
//!
//! ```text
//! sheet     the file that `slowfs record` writes, for people to read and change
//! rows      CSV of single requests
//! samples   single times, and the quantiles that they come to
//! near      which of them a request takes whose own were not measured
//! ```
//!
//! Whoever types the name of such a file reads it here and sends what is in it; the daemon opens none. No locks.

mod near;
mod rows;
mod samples;
mod sheet;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use near::Drawn;
pub(crate) use samples::Samples;

use super::distributions::{Class, Table};
use super::words::ValueError;
use crate::ops::Method;

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recording {
    /// Lines of the file that say something else, with their numbers: figures of a device.
    figures: Vec<(usize, String)>,
    times: Times,
}

#[derive(Clone, Debug, PartialEq)]
enum Times {
    /// Of every request.
    Any(Table),
    /// Of each class.
    Each(BTreeMap<Class, Measured>),
}

/// The times of one class.
#[derive(Clone, Debug, PartialEq)]
struct Measured {
    /// Of how many requests, if that is told.
    n: Option<u64>,
    table: Table,
}

/// One class, for people and programs.
pub(crate) struct Row {
    pub(crate) method: Method,
    /// About so many bytes.
    pub(crate) size: Option<u64>,
    pub(crate) n: u64,
    table: Table,
}

impl Row {
    /// The time at a quantile in percent.
    pub(crate) fn at(&self, percent: f64) -> Duration {
        self.table.time_at(percent)
    }
}

impl Recording {
    /// What stands in a file: what `slowfs record` writes, lines `QUANTILE=TIME`, CSV, or a device's figures
    /// alone.
    ///
    /// # Errors
    /// It is none of these, by its line.
    pub(crate) fn read(text: &str) -> Result<Recording, ValueError> {
        let is_told = |line: &str| !line.is_empty() && !line.starts_with('#');
        let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| is_told(line));
        let lines: Vec<(usize, &str)> = lines.collect();
        match lines.first() {
            None => Err(format!("it is empty; {}", forms()).into()),
            Some((_, first)) if first.contains(',') && !first.contains(['=', '[']) => {
                rows::read(&lines)
            }
            Some(_) => sheet::read(&lines),
        }
    }

    /// As a file, under these lines for people.
    #[must_use]
    pub(crate) fn text(&self, head: &str) -> String {
        sheet::write(self, head)
    }

    /// The same beside a figure of a device, a line as a file has it.
    #[must_use]
    pub(crate) fn with_figure(mut self, line: &str) -> Recording {
        self.figures.push((1, line.to_owned()));
        self
    }

    /// Each class.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> {
        let each = match &self.times {
            Times::Each(each) => Some(each),
            Times::Any(_) => None,
        };
        each.into_iter().flatten().map(|(class, measured)| Row {
            method: class.method,
            size: class.size,
            n: measured.n.unwrap_or_default(),
            table: measured.table.clone(),
        })
    }

    /// Whether no time was measured at all.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.times, Times::Each(each) if each.is_empty())
    }

    /// The lines that say something else, each where it stands in the file.
    #[must_use]
    pub(super) fn figures(&self) -> String {
        let mut text = String::new();
        let mut at = 1;
        for (number, line) in &self.figures {
            text.extend(std::iter::repeat_n('\n', number.saturating_sub(at)));
            text.push_str(line);
            at = *number;
        }
        text
    }

    /// What is no time, and so a mistake where only times are meant.
    ///
    /// # Errors
    /// There is such a line, and no time at all.
    pub(crate) fn of_times(self) -> Result<Recording, ValueError> {
        match self.figures.first() {
            Some((number, _)) if self.is_empty() => Err(no_quantile(*number)),
            _ => Ok(self),
        }
    }
}

fn no_quantile(number: usize) -> ValueError {
    format!("line {number} is no quantile; {}", forms()).into()
}

/// What a file of times may be.
fn forms() -> String {
    let columns = rows::COLUMNS.join(",");
    format!(
        "write a line as in 99=30ms for each quantile, or CSV with the columns {columns}, or have \
         `slowfs record` write it"
    )
}

#[cfg(test)]
mod tests;
