//! CSV of single requests: their method, their bytes, how long they took. No locks.

use super::{Recording, Samples};
use crate::fault::words::ValueError;
use crate::ops::Method;

/// The columns, in the order that they have where no first line names them.
pub(super) const COLUMNS: [&str; 3] = ["method", "len", "latency_ns"];

/// A line, and its number.
type Line<'a> = (usize, &'a str);

/// More than quantiles need.
const MOST: usize = 4_000_000;

pub(super) fn read(lines: &[Line<'_>]) -> Result<Recording, ValueError> {
    let (places, rows) = columns(lines)?;
    if rows.len() > MOST {
        return Err(format!("it has {} rows; {MOST} are the most", rows.len()).into());
    }
    let mut samples = Samples::default();
    for (number, row) in rows {
        let added = add(&mut samples, places, row);
        added.map_err(|why| ValueError(format!("line {number}: {why}")))?;
    }
    if samples.is_empty() {
        return Err("it has no row below the line that names the columns".into());
    }
    Ok(samples.recording())
}

/// Where the columns are, and the rows.
fn columns<'a>(lines: &'a [Line<'a>]) -> Result<([usize; 3], &'a [Line<'a>]), ValueError> {
    let Some(((_, head), rows)) = lines.split_first() else { return Ok(([0, 1, 2], lines)) };
    let names: Vec<_> = head.split(',').map(str::trim).collect();
    if !names.iter().any(|name| COLUMNS.contains(name)) {
        return Ok(([0, 1, 2], lines));
    }
    match COLUMNS.map(|wanted| names.iter().position(|name| *name == wanted)) {
        [Some(method), Some(len), Some(latency)] => Ok(([method, len, latency], rows)),
        _ => Err(format!("its first line names not all of {}", COLUMNS.join(", ")).into()),
    }
}

fn add(samples: &mut Samples, places: [usize; 3], row: &str) -> Result<(), ValueError> {
    let cells: Vec<_> = row.split(',').map(str::trim).collect();
    let [name, len, latency] = places.map(|place| cells.get(place).copied().unwrap_or_default());
    let method = Method::from_name(name).ok_or_else(|| {
        let name: String = name.chars().take(40).collect();
        ValueError(format!("no method {name:?}"))
    })?;
    // Where nothing is moved it may be missing.
    let len = if len.is_empty() { 0 } else { whole("len", len)? };
    samples.add(method, len, whole("latency_ns", latency)?);
    Ok(())
}

fn whole(column: &str, cell: &str) -> Result<u64, ValueError> {
    cell.parse().map_err(|_| match cell.strip_prefix('-') {
        Some(rest) if rest.parse::<f64>().is_ok() => {
            format!("{column} is {cell}, and must not be negative").into()
        }
        _ => format!("{column} is no whole number").into(),
    })
}
