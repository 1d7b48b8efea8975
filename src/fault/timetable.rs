//! When a fault in force is on, by its age: from its start, and then in its phases.
//!
//! Phases follow each other from the start, on first. Random ones are drawn in stretches of
//! [`ROUNDS`] mean rounds, each of which begins anew with an on phase, so that any moment is found as
//! soon as any other, however long nobody asked. Of the stretch of number s, from 0, the phase of number
//! k, from 0, is on where k is even. Its length in nanoseconds, M being the mean, is
//!
//! ```text
//! draw(s)    = draw(seed, key, s, purpose 5)            as of a match of number s: see `Draw`
//! u(k)       = (((mix(draw(s) + (k + 1) * G)) >> 12) + 0.5) / 2^52
//! length(k)  = round(-M ln(1 - u(k)))
//! ```
//!
//! and the last phase of a stretch is cut at its end. Values are in this file's tests.
//! Lock rule: the lock of the phase that was looked at last is innermost, for memory work only.

use std::time::Duration;

use parking_lot::Mutex;

use super::chance::{Dice, Draw, Purpose};
use super::term::{Phases, Term};

/// How many mean rounds a stretch of random phases has.
const ROUNDS: u128 = 1_000;

/// When a fault is on.
pub(super) struct Timetable {
    term: Term,
    dice: Dice,
    /// The random phase that was looked at last.
    latest: Mutex<Drawn>,
}

/// Where an age lies.
struct Place {
    is_on: bool,
    /// Nanoseconds until the phase is over.
    left: u128,
}

/// A random phase: from there up to, but without, there, in nanoseconds of its stretch.
#[derive(Clone, Copy, Default)]
struct Drawn {
    stretch: u128,
    number: u64,
    from: u128,
    to: u128,
}

impl Timetable {
    pub(super) fn new(term: Term, dice: Dice) -> Timetable {
        Timetable { term, dice, latest: Mutex::default() }
    }

    /// Whether it is on at this age.
    #[must_use]
    pub(super) fn is_on(&self, age: Duration) -> bool {
        let Some(age) = age.checked_sub(self.term.starts) else { return false };
        self.term.phases.is_none_or(|phases| self.place(phases, age.as_nanos()).is_on)
    }

    /// How much of its on phase is left at this age, if it has phases and is on.
    #[must_use]
    pub(super) fn left_of_phase(&self, age: Duration) -> Option<Duration> {
        let phases = self.term.phases?;
        let place = self.place(phases, age.checked_sub(self.term.starts)?.as_nanos());
        let left = || Duration::from_nanos(u64::try_from(place.left).unwrap_or(u64::MAX));
        place.is_on.then(left)
    }

    /// How many times as long what it holds is held at this age.
    #[must_use]
    pub(super) fn factor(&self, age: Duration) -> Option<f64> {
        Some(self.term.ramp?.factor(age.saturating_sub(self.term.starts)))
    }

    fn place(&self, phases: Phases, age: u128) -> Place {
        let [on, off] = [phases.on, phases.off].map(|phase| phase.as_nanos());
        if phases.random {
            return self.drawn_place(phases, (on + off) * ROUNDS, age);
        }
        let within = age % (on + off);
        let is_on = within < on;
        Place { is_on, left: if is_on { on } else { on + off } - within }
    }

    fn drawn_place(&self, phases: Phases, length: u128, age: u128) -> Place {
        let (stretch, within) = (age / length, age % length);
        let mut drawn = self.latest.lock();
        if drawn.stretch != stretch || within < drawn.from || drawn.to == 0 {
            *drawn = Drawn { stretch, to: self.draw(phases, stretch, 0), ..Drawn::default() };
        }
        while within >= drawn.to {
            let (number, from) = (drawn.number + 1, drawn.to);
            let to = from + self.draw(phases, stretch, number);
            *drawn = Drawn { stretch, number, from, to };
        }
        Place { is_on: drawn.number.is_multiple_of(2), left: drawn.to.min(length) - within }
    }

    /// How long that phase of that stretch is.
    fn draw(&self, phases: Phases, stretch: u128, number: u64) -> u128 {
        let mean = if number.is_multiple_of(2) { phases.on } else { phases.off };
        let draw = Draw::new(self.dice, u64::try_from(stretch).unwrap_or(u64::MAX));
        exponential(mean, draw.each_unit(Purpose::Phase, number))
    }
}

/// The length of that mean at u.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time: to the nearest nanosecond, and not negative"
)]
fn exponential(mean: Duration, u: f64) -> u128 {
    (-(mean.as_nanos() as f64) * (1.0 - u).ln()).round() as u128
}

#[cfg(test)]
mod tests {
    use super::super::chance;
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn table(starts: Duration, on: Duration, off: Duration, random: bool) -> Timetable {
        let phases = Some(Phases { on, off, random });
        let term = Term { starts, phases, ..Term::default() };
        Timetable::new(term, Dice::new(7, chance::key("slow")))
    }

    #[test]
    fn phases_follow_each_other_from_the_start() {
        let table = table(ms(100), ms(10), ms(20), false);
        for (age, on) in
            [(0, false), (99, false), (100, true), (109, true), (110, false), (129, false)]
        {
            assert_eq!(table.is_on(ms(age)), on, "{age}");
        }
        assert!(table.is_on(ms(130)));
        assert_eq!(table.left_of_phase(ms(133)), Some(ms(7)));
        assert_eq!(table.left_of_phase(ms(111)), None);
        let always = Timetable::new(Term::default(), Dice::new(1, 1));
        assert_eq!(always.left_of_phase(ms(1)), None);
        assert!(always.is_on(Duration::ZERO));
    }

    /// The ends of the first phases of a stretch.
    fn ends(table: &Timetable, stretch: u128, phases: u64) -> Vec<u128> {
        let of = table.term.phases.unwrap();
        let lengths = (0..phases).map(|number| table.draw(of, stretch, number));
        lengths
            .scan(0, |end, length| {
                Some({
                    *end += length;
                    *end
                })
            })
            .collect()
    }

    /// As anybody can compute them: tests/kinds/phases.py does.
    #[test]
    fn random_phases_are_those_of_the_formula() {
        let table = table(ms(0), ms(10), ms(20), true);
        assert_eq!(ends(&table, 0, 4), [3_852_109, 19_852_762, 21_008_794, 80_641_151]);
        assert_eq!(ends(&table, 3, 4), [7_884_862, 18_168_680, 24_758_904, 36_107_596]);
    }

    #[test]
    fn random_phases_are_the_same_in_whatever_order_one_looks() {
        let table = table(ms(5), ms(10), ms(20), true);
        let stretch = ms(30_000);
        let is_on = |ns: u128, from: Duration| {
            table.is_on(ms(5) + from + Duration::from_nanos(u64::try_from(ns).unwrap()))
        };
        for number in [0, 7, 1] {
            let from = stretch * number;
            let ends = ends(&table, number.into(), 200);
            let mut edges: Vec<(usize, u128)> = ends.into_iter().enumerate().collect();
            // Forwards, then backwards.
            for _ in 0..2 {
                for &(phase, end) in &edges {
                    assert_eq!(is_on(end - 1, from), phase % 2 == 0, "{number}: {phase}");
                    assert_eq!(is_on(end, from), phase % 2 == 1, "{number}: {phase}");
                }
                edges.reverse();
            }
            assert!(is_on(0, from), "each stretch begins with an on phase");
            assert!(number == 0 || table.left_of_phase(ms(4) + from + ms(1)).is_some());
        }
        assert!(!table.is_on(ms(4)));
    }

    #[test]
    fn a_phase_ends_with_its_stretch() {
        let table = table(ms(0), ms(10), ms(20), true);
        let end = ms(30_000);
        let ends = (0..40_000).map(|back| end - Duration::from_nanos(back * 1_000 + 1));
        let on = ends.filter_map(|age| Some((age, table.left_of_phase(age)?)));
        let mut seen = 0;
        for (age, left) in on {
            assert!(age + left <= end, "{age:?} {left:?}");
            seen += 1;
        }
        assert!(seen > 0, "nothing was looked at");
    }

    /// Means and spread of exponential lengths, and what is on all in all.
    #[test]
    fn random_phases_have_their_means() {
        let table = table(ms(0), ms(10), ms(40), true);
        let of = table.term.phases.unwrap();
        for (parity, mean) in [(0, 10e6), (1, 40e6)] {
            let drawn: Vec<f64> = (0..100u128)
                .flat_map(|s| (0..200).map(move |k| (s, 2 * k + parity)))
                .map(|(s, k)| table.draw(of, s, k) as f64)
                .collect();
            let n = drawn.len() as f64;
            let average = drawn.iter().sum::<f64>() / n;
            let spread = (drawn.iter().map(|x| (x - average).powi(2)).sum::<f64>() / n).sqrt();
            // The average of 20,000 is off by 0.7%, the spread by 1%, once in three times.
            assert!((average / mean - 1.0).abs() < 0.03, "{average} for {mean}");
            assert!((spread / mean - 1.0).abs() < 0.05, "{spread} for {mean}");
        }
        let looks = 200_000;
        let on = (0..looks).filter(|n| table.is_on(Duration::from_micros(n * 1_000 + 137))).count();
        let share = on as f64 / looks as f64;
        assert!((share - 0.2).abs() < 0.02, "{share} of the time");
    }
}
