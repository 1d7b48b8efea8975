//! How long: a time, or times that are distributed. A distribution is one file and one line of
//! [`DISTRIBUTIONS`].
//!
//! Each draws one even number between 0 and 1 and answers a time; what is asked is the same in
//! every program that computes it (docs/dice.md). No locks.

mod exp;
mod file;
mod fixed;
mod length;
mod lognormal;
mod normal;
mod normal_quantile;
mod pareto;
mod recorded;
mod table;
#[cfg(test)]
mod testing;
mod times;
mod uniform;

use std::fmt;
use std::time::Duration;

pub(crate) use file::named as file_named;
pub(super) use length::{Asked, Length};
pub(super) use recorded::{Class, Part, Recorded, nearer, own_method};
pub(super) use table::Table;

use super::words::{ValueError, time};
use crate::ops::Call;

/// What of a request decides how long, where times were recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    pub(super) call: Call,
    /// The bytes that it moves.
    pub(super) len: u64,
}

/// How long, for an even number between 0 and 1.
trait Distribution: fmt::Debug + Send + Sync {
    /// The time at `u`, which is above 0 and below 1, in nanoseconds. What is below 0 counts as 0.
    fn at(&self, u: f64) -> f64;

    /// The same for one request, where that makes a difference.
    fn of(&self, _: Of, u: f64) -> f64 {
        self.at(u)
    }

    /// Whether it has no time for such requests at all.
    fn lacks(&self, _: Call) -> bool {
        false
    }

    /// Whether its times are those of methods and sizes.
    fn is_recorded(&self) -> bool {
        false
    }

    /// Whether it must know the bytes of a request.
    fn is_by_bytes(&self) -> bool {
        false
    }

    /// As it is typed.
    fn typed(&self) -> String;

    /// Whether its times have no mean, so that it must be said which is the longest.
    fn is_boundless(&self) -> bool {
        false
    }
}

/// What a form reads.
#[derive(Debug)]
enum Shape {
    /// Always this long.
    Fixed(Duration),
    /// Drawn anew each time.
    Drawn(Box<dyn Distribution>),
    /// So many times what the backing takes.
    Times(f64),
}

/// A form in which a length is written.
pub(crate) struct Form {
    /// What it begins with.
    prefix: &'static str,
    /// How it is written.
    pub form: &'static str,
    /// What it draws, in one clause.
    pub about: &'static str,
    /// Reads what follows the prefix.
    read: fn(&str) -> Result<Shape, ValueError>,
}

/// Every form.
pub(crate) const DISTRIBUTIONS: &[Form] = &[
    fixed::FORM,
    uniform::FORM,
    exp::FORM,
    normal::FORM,
    lognormal::FORM,
    pareto::FORM,
    table::FORM,
    recorded::FORM,
    file::FORM,
    times::FORM,
];

/// All forms, for programs.
#[must_use]
pub(super) fn forms() -> String {
    DISTRIBUTIONS.iter().map(|form| form.form).collect::<Vec<_>>().join("|")
}

/// A length as typed.
///
/// # Errors
/// It is none; one clause that says what would be.
pub(super) fn read(text: &str) -> Result<Length, ValueError> {
    Length::read(text)
}

/// The times that are typed between commas.
fn each<const N: usize>(text: &str, form: &str) -> Result<[Duration; N], ValueError> {
    let words = text.split(',').map(time).collect::<Result<Vec<_>, _>>()?;
    words.try_into().map_err(|_| format!("write it as in {form}").into())
}

#[allow(clippy::cast_precision_loss, reason = "exact up to a hundred days")]
fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_unique_and_begin_their_forms() {
        for (place, form) in DISTRIBUTIONS.iter().enumerate() {
            assert!(form.form.starts_with(form.prefix), "{}", form.form);
            assert!(!form.about.is_empty());
            let mut earlier = DISTRIBUTIONS.iter().take(place);
            assert!(earlier.all(|other| other.prefix != form.prefix), "{}", form.form);
        }
    }
    /// docs/dice.md has what anybody is to get.
    #[test]
    fn the_examples_of_the_page_on_dice_are_right() {
        use super::super::chance::{Dice, Draw, Purpose, key};

        let page = include_str!("../../../docs/dice.md");
        let (examples, named) = page.split_once("called `slow`").unwrap();
        let mut seen = 0;
        for (rows, key) in [(examples, 1), (named, key("slow"))] {
            for row in rows.lines().filter(|line| line.contains(" | 0x")) {
                let cells: Vec<_> =
                    row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
                let [_, n, draw, u, length, asked, _] = cells[..] else { panic!("{row}") };
                let of = Draw::new(Dice::new(7, key), n.parse().unwrap());
                assert_eq!(format!("{:#018x}", of.bits(Purpose::Delay)), draw, "{row}");
                assert_eq!(of.unit(Purpose::Delay), u.parse::<f64>().unwrap(), "{row}");
                let got = read(length).unwrap().at(|| of.unit(Purpose::Delay)).unwrap().as_nanos();
                assert!(got.abs_diff(asked.parse().unwrap()) <= 1, "{row}: {got}");
                seen += 1;
            }
        }
        assert_eq!(seen, 26);
        let quantiles = examples.split_once("| Q(p) |").unwrap().1.lines().skip(2);
        for row in quantiles.take_while(|line| line.starts_with('|')) {
            let cells: Vec<f64> =
                row.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
            let off = (normal_quantile::normal_quantile(cells[0]) - cells[1]).abs();
            assert!(off < 1e-14, "{row}");
        }
    }
}
