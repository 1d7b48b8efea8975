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
    /// The same without slowfs: what this machine can do at best.
    pub(super) floor: Option<f64>,
    pub(super) bar: Bar,
    /// How often it was measured.
    pub(super) n: usize,
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
        match (noise, fits) {
            (Some(noise), _) => Verdict::Noisy(noise),
            (None, [_, true, _]) => Verdict::Ok,
            (None, [false, false, false]) => Verdict::Failed("beyond the bar".to_owned()),
            (None, _) => Verdict::Noisy("the interval spans the bar".to_owned()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_fails_only_with_all_of_its_interval_and_without_noise() {
        let of = |low, at, high, noise: Option<&str>| {
            let got = Interval { at, low, high };
            Verdict::of_speed(got, Bar::at_most(10.0), noise.map(str::to_owned)).word()
        };
        assert_eq!(of(1.0, 2.0, 3.0, None), "ok");
        assert_eq!(of(1.0, 9.0, 30.0, None), "ok");
        assert_eq!(of(9.0, 11.0, 30.0, None), "noisy");
        assert_eq!(of(11.0, 12.0, 13.0, None), "failed");
        assert_eq!(of(11.0, 12.0, 13.0, Some("busy")), "noisy");
        assert_eq!(of(1.0, 2.0, 3.0, Some("busy")), "noisy");
        let ratio = Interval { at: 0.5, low: 0.4, high: 0.6 };
        assert!(Verdict::of_speed(ratio, Bar::at_least(0.95), None).has_failed());
    }

    #[test]
    fn no_noise_excuses_a_broken_promise() {
        assert_eq!(Verdict::of_promise(None), Verdict::Ok);
        assert!(Verdict::of_promise(Some("1 was short".to_owned())).has_failed());
    }
}
