//! Times by a table of quantiles, straight between them.

use std::time::Duration;

use super::{Distribution, Form, Shape, nanoseconds};
use crate::fault::words::{ValueError, time, time_text};

pub(super) const FORM: Form = Form {
    prefix: "table:",
    form: "table:0=T,Q=T,...,100=T",
    about: "by quantiles in percent, linear between each and the next",
    read,
};

/// As much as anybody measures.
const MOST: usize = 1_000;

#[derive(Clone, Debug, PartialEq)]
pub(in crate::fault) struct Table {
    /// Quantiles in percent, from 0 to 100, ascending, and the times there, none below that before.
    points: Vec<(f64, Duration)>,
}

impl Distribution for Table {
    fn at(&self, u: f64) -> f64 {
        let percent = u * 100.0;
        let above = self.points.partition_point(|(quantile, _)| *quantile <= percent);
        let point = |place: Option<usize>| self.points.get(place?).copied();
        let (before, after) = (point(above.checked_sub(1)), point(Some(above)));
        let ((low, from), (high, to)) = match (before, after) {
            (Some(before), Some(after)) => (before, after),
            (Some((_, only)), None) | (None, Some((_, only))) => return nanoseconds(only),
            (None, None) => return 0.0,
        };
        let (from, to) = (nanoseconds(from), nanoseconds(to));
        from + (percent - low) / (high - low) * (to - from)
    }

    fn typed(&self) -> String {
        format!("table:{}", self.text())
    }
}

fn read(text: &str) -> Result<Shape, ValueError> {
    Ok(Shape::Drawn(Box::new(Table::read(text)?)))
}

impl Table {
    /// Quantiles as typed, `0=T,Q=T,...,100=T`.
    ///
    /// # Errors
    /// They are no table; one clause.
    pub(super) fn read(text: &str) -> Result<Table, ValueError> {
        Table::of(text.split(',').map(point).collect::<Result<Vec<_>, _>>()?)
    }

    /// # Errors
    /// They are no table; one clause.
    pub(in crate::fault) fn of(points: Vec<(f64, Duration)>) -> Result<Table, ValueError> {
        checked(&points)?;
        Ok(Table { points })
    }

    /// As it is typed.
    pub(in crate::fault) fn text(&self) -> String {
        let point = |(quantile, time): &(f64, Duration)| format!("{quantile}={}", time_text(*time));
        self.points.iter().map(point).collect::<Vec<_>>().join(",")
    }

    pub(in crate::fault) fn points(&self) -> &[(f64, Duration)] {
        &self.points
    }

    /// The time at a quantile in percent, in whole nanoseconds.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no time is negative, and what is too long the longest"
    )]
    pub(in crate::fault) fn time_at(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.at(percent / 100.0).round() as u64)
    }
}

fn checked(points: &[(f64, Duration)]) -> Result<(), ValueError> {
    if points.len() > MOST {
        return Err(format!("it has {} quantiles; {MOST} are the most", points.len()).into());
    }
    let ends = [points.first(), points.last()].map(|point| point.map(|(quantile, _)| *quantile));
    if ends != [Some(0.0), Some(100.0)] {
        return Err(
            "it must begin with 0 and end with 100: the shortest time and the longest".into()
        );
    }
    for ((before, earlier), (quantile, time)) in points.iter().zip(points.iter().skip(1)) {
        if quantile <= before {
            return Err(format!("{quantile} is not above the quantile before it, {before}").into());
        }
        if time < earlier {
            return Err(
                format!("it falls at {quantile}: no time may be below that before it").into()
            );
        }
    }
    Ok(())
}

fn point(text: &str) -> Result<(f64, Duration), ValueError> {
    let split = text.split_once('=');
    let (quantile, time_there) = split.ok_or("write it as in table:0=1ms,50=2ms,99=30ms,100=2s")?;
    let known = quantile.trim().parse().ok().filter(|known| (0.0..=100.0).contains(known));
    let known = known.ok_or_else(|| format!("{quantile} is no quantile from 0 to 100"))?;
    Ok((known, time(time_there.trim())?))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fits, near};

    #[test]
    fn a_million_draws_are_as_the_table_has_them() {
        const TABLE: &str = "table:0=1ms,50=2ms,99=30ms,100=2s";
        fits(TABLE, |ns| match ns / 1e6 {
            ms if ms < 2.0 => (ms - 1.0) * 0.5,
            ms if ms < 30.0 => 0.5 + (ms - 2.0) / 28.0 * 0.49,
            ms => 0.99 + (ms - 30.0) / 1970.0 * 0.01,
        });
        near(TABLE, 0.25, 1_500_000);
        near(TABLE, 0.5, 2_000_000);
        near(TABLE, 0.995, 1_015_000_000);
        // A step.
        near("table:0=1ms,50=1ms,50.001=9ms,100=9ms", 0.4999, 1_000_000);
        near("table:0=1ms,50=1ms,50.001=9ms,100=9ms", 0.5001, 9_000_000);
    }

    #[test]
    fn a_table_has_no_more_quantiles_than_anybody_measures() {
        use super::super::read;

        let of = |n: usize| {
            let points = (0..n).map(|k| format!("{}=1ms", k as f64 * 100.0 / (n - 1) as f64));
            read(&format!("table:{}", points.collect::<Vec<_>>().join(",")))
        };
        assert!(of(1_000).is_ok());
        assert!(of(1_001).unwrap_err().to_string().contains("1000 are the most"));
    }
}
