//! What was asked, what was got, what it is held to, and the verdict. Pure: it measures nothing.

use serde::Serialize;

use crate::measure::Interval;

/// What the figures of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    /// Nanoseconds.
    Ns,
    /// From 0 to 1.
    Share,
    /// How many times as much as beside it.
    Ratio,
    Count,
}

/// Between what it has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bar {
    pub(super) from: Option<f64>,
    pub(super) to: Option<f64>,
}

/// A promise is kept or broken; a speed can also be hidden by the noise of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    /// Why nothing can be said.
    Noisy(String),
    /// What is not as it has to be.
    Failed(String),
}

/// A line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Which part of the test it belongs to.
    pub(super) test: &'static str,
    /// Of what.
    pub(super) what: String,
    pub(super) unit: Unit,
    pub(super) asked: f64,
    pub(super) got: Interval,
    pub(super) p99: Option<f64>,
    /// The same wait without slowfs, or the same work through slowfs without the fault.
    pub(super) floor: Option<f64>,
    /// What it exceeds the floor by, pair by pair. The bar holds for this then.
    pub(super) over: Option<Interval>,
    pub(super) bar: Bar,
    pub(super) verdict: Verdict,
}

impl Bar {
    pub(super) fn at_most(to: f64) -> Bar {
        Bar { from: None, to: Some(to) }
    }

    pub(super) fn at_least(from: f64) -> Bar {
        Bar { from: Some(from), to: None }
    }

    fn encloses(&self, figure: f64) -> bool {
        self.from.is_none_or(|from| figure >= from) && self.to.is_none_or(|to| figure <= to)
    }
}

impl Verdict {
    /// Of something that has to be so on every machine.
    pub(super) fn of_promise(broken: Option<String>) -> Verdict {
        broken.map_or(Verdict::Ok, Verdict::Failed)
    }

    /// Of a speed: ok if the median is as it has to be, failed if all of the interval is not.
    pub(super) fn of_speed(got: Interval, bar: Bar, noise: Option<String>) -> Verdict {
        let fits = [got.low, got.at, got.high].map(|figure| bar.encloses(figure));
        match (hidden(got, noise), fits) {
            (Some(noise), _) => noise,
            (None, [_, true, _]) => Verdict::Ok,
            (None, [false, false, false]) => Verdict::Failed("beyond the bar".to_owned()),
            (None, _) => Verdict::Noisy("the interval spans the bar".to_owned()),
        }
    }

    /// Of what a time exceeds the floor by: ok if its interval reaches down to the bar, failed if all of it is above.
    pub(super) fn of_excess(over: Interval, bar: Bar, noise: Option<String>) -> Verdict {
        match hidden(over, noise) {
            Some(noise) => noise,
            None if bar.encloses(over.low) => Verdict::Ok,
            None => Verdict::Failed("beyond the bar".to_owned()),
        }
    }

    /// Of what was tried too seldom to tell.
    pub(super) fn of_few(n: usize) -> Verdict {
        Verdict::Noisy(format!("only {n} {}", if n == 1 { "try" } else { "tries" }))
    }

    /// The word for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Noisy(_) => "noisy",
            Verdict::Failed(_) => "failed",
        }
    }

    pub(super) fn why(&self) -> Option<&str> {
        match self {
            Verdict::Ok => None,
            Verdict::Noisy(why) | Verdict::Failed(why) => Some(why),
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self, Verdict::Failed(_))
    }
}

/// What hides what these figures would say.
fn hidden(figures: Interval, noise: Option<String>) -> Option<Verdict> {
    let few = figures.is_of_few().then(|| Verdict::of_few(figures.n));
    noise.map(Verdict::Noisy).or(few)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_fails_only_with_all_of_its_interval_and_without_noise() {
        let of = |low, at, high, noise: Option<&str>| {
            let got = Interval { at, low, high, n: 100 };
            Verdict::of_speed(got, Bar::at_most(10.0), noise.map(str::to_owned)).word()
        };
        assert_eq!(of(1.0, 2.0, 3.0, None), "ok");
        assert_eq!(of(1.0, 9.0, 30.0, None), "ok");
        assert_eq!(of(9.0, 11.0, 30.0, None), "noisy");
        assert_eq!(of(11.0, 12.0, 13.0, None), "failed");
        assert_eq!(of(11.0, 12.0, 13.0, Some("busy")), "noisy");
        assert_eq!(of(1.0, 2.0, 3.0, Some("busy")), "noisy");
        let ratio = Interval { at: 0.5, low: 0.4, high: 0.6, n: 100 };
        assert!(Verdict::of_speed(ratio, Bar::at_least(0.95), None).has_failed());
    }

    #[test]
    fn an_excess_fails_only_with_all_of_its_interval_above_and_without_noise() {
        let of = |low, at, high, noise: Option<&str>| {
            let over = Interval { at, low, high, n: 100 };
            Verdict::of_excess(over, Bar::at_most(3.0), noise.map(str::to_owned)).word()
        };
        assert_eq!(of(-9.0, -8.0, -7.0, None), "ok");
        assert_eq!(of(3.0, 5.0, 7.0, None), "ok");
        assert_eq!(of(3.1, 3.2, 3.3, None), "failed");
        assert_eq!(of(3.1, 3.2, 3.3, Some("busy")), "noisy");
        assert_eq!(of(-9.0, -8.0, -7.0, Some("busy")), "noisy");
    }

    #[test]
    fn too_few_figures_say_nothing() {
        for figure in [1.0, 99.0] {
            let of = |n| Interval { at: figure, low: figure, high: figure, n };
            let bar = Bar::at_most(10.0);
            for judge in [Verdict::of_speed, Verdict::of_excess] {
                assert_eq!(judge(of(1), bar, None), Verdict::Noisy("only 1 try".to_owned()));
                assert_eq!(judge(of(5), bar, None), Verdict::Noisy("only 5 tries".to_owned()));
                assert_ne!(judge(of(6), bar, None).word(), "noisy");
            }
        }
    }

    #[test]
    fn no_noise_excuses_a_broken_promise() {
        assert_eq!(Verdict::of_promise(None), Verdict::Ok);
        assert!(Verdict::of_promise(Some("1 was short".to_owned())).has_failed());
    }
}
