//! How long, as it is typed: a form, and the longest time of it.

use std::time::Duration;

use super::{DISTRIBUTIONS, Form, Of, Shape, nanoseconds};
use crate::fault::suggest::closest;
use crate::fault::words::{Value, ValueError, time, time_text, whole};
use crate::ops::Call;

/// The longest time of a distribution, unless another is given.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What the longest is given by.
pub(super) const MAX: &str = ",max=";

/// The largest number that is drawn.
const LAST: f64 = 1.0 - f64::EPSILON / 2.0;

/// How long.
#[derive(Debug)]
pub(in crate::fault) struct Length {
    shape: Shape,
    /// Longer than this is none that is drawn.
    longest: Duration,
}

/// What a length comes to for one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::fault) enum Asked {
    /// To wait so long.
    Time(Duration),
    /// To take so many times what the backing takes, and wait no longer than that.
    Times(f64, Duration),
}

impl Length {
    pub(super) fn read(text: &str) -> Result<Length, ValueError> {
        let (typed, longest) = match text.rsplit_once(MAX) {
            Some((typed, longest)) => (typed, Some(time(longest)?)),
            None => (text, None),
        };
        let form = form_of(typed)?;
        let rest = typed.get(form.prefix.len()..).unwrap_or_default();
        let shape = (form.read)(rest).map_err(|why| match form.prefix {
            "" => why,
            _ => format!("{}: {why}", shortened(typed)).into(),
        })?;
        let length = Length { shape, longest: longest.unwrap_or(LONGEST) };
        length.checked(longest.is_some())
    }

    fn checked(self, is_given: bool) -> Result<Length, ValueError> {
        let longest = time_text(self.longest);
        match &self.shape {
            Shape::Fixed(time) if is_given && *time > self.longest => {
                Err(format!("{} is longer than max={longest}", time_text(*time)).into())
            }
            Shape::Fixed(_) => Ok(self),
            Shape::Drawn(by) if by.is_boundless() && !is_given => Err(format!(
                "{} has no mean: say which is to be the longest, as in {}{MAX}10s",
                by.typed(),
                by.typed()
            )
            .into()),
            Shape::Drawn(by) if !is_given && by.at(0.5) > nanoseconds(self.longest) => Err(format!(
                "half of the times are longer than {longest}, the longest unless {MAX}TIME behind it \
                 says otherwise"
            )
            .into()),
            Shape::Drawn(_) | Shape::Times(_) => Ok(self),
        }
    }

    /// How long for that request, for what `unit` draws: an even number between 0 and 1.
    #[inline]
    pub(in crate::fault) fn asked(&self, of: Of, unit: impl FnOnce() -> f64) -> Asked {
        match &self.shape {
            Shape::Fixed(time) => Asked::Time(*time),
            Shape::Drawn(by) => Asked::Time(self.rounded(by.of(of, unit()))),
            Shape::Times(factor) => Asked::Times(*factor, self.longest),
        }
    }

    /// The same, unless it is known only once the operation has run.
    pub(in crate::fault) fn of(&self, of: Of, unit: impl FnOnce() -> f64) -> Option<Duration> {
        match self.asked(of, unit) {
            Asked::Time(time) => Some(time),
            Asked::Times(..) => None,
        }
    }

    /// The same of the request that takes longest.
    pub(in crate::fault) fn at(&self, unit: impl FnOnce() -> f64) -> Option<Duration> {
        match &self.shape {
            Shape::Fixed(time) => Some(*time),
            Shape::Drawn(by) => Some(self.rounded(by.at(unit()))),
            Shape::Times(_) => None,
        }
    }

    /// Whether others were recorded, and none of these.
    pub(in crate::fault) fn lacks(&self, call: Call) -> bool {
        match &self.shape {
            Shape::Drawn(by) => by.lacks(call),
            Shape::Fixed(_) | Shape::Times(_) => false,
        }
    }

    /// Whether its times are those of methods and sizes.
    pub(in crate::fault) fn is_recorded(&self) -> bool {
        matches!(&self.shape, Shape::Drawn(by) if by.is_recorded())
    }

    /// Whether it must know the bytes of a request.
    pub(in crate::fault) fn is_by_bytes(&self) -> bool {
        match &self.shape {
            Shape::Drawn(by) => by.is_by_bytes(),
            Shape::Fixed(_) | Shape::Times(_) => false,
        }
    }

    /// How many times it is what the backing takes, if it is measured by that.
    pub(in crate::fault) fn factor(&self) -> Option<f64> {
        match self.shape {
            Shape::Times(factor) => Some(factor),
            Shape::Fixed(_) | Shape::Drawn(_) => None,
        }
    }

    /// To the nearest nanosecond.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is negative is 0, what is too long the longest"
    )]
    fn rounded(&self, ns: f64) -> Duration {
        Duration::from_nanos(ns.round() as u64).min(self.longest)
    }

    /// As data: nanoseconds of a time, else the text that reads the same.
    pub(in crate::fault) fn value(&self) -> Value {
        let (typed, says_longest) = match &self.shape {
            Shape::Fixed(time) => return whole(time.as_nanos()),
            Shape::Drawn(by) => (by.typed(), by.is_boundless()),
            Shape::Times(factor) => (format!("x{factor}"), false),
        };
        Value::Text(match says_longest || self.longest != LONGEST {
            true => format!("{typed}{MAX}{}", time_text(self.longest)),
            false => typed,
        })
    }

    /// Whether it never holds anything.
    pub(in crate::fault) fn is_zero(&self) -> bool {
        self.at(|| LAST).is_some_and(|time| time.is_zero())
    }
}

/// The form that a text begins as.
fn form_of(text: &str) -> Result<&'static Form, ValueError> {
    let fits = |form: &&Form| text.starts_with(form.prefix);
    let found = DISTRIBUTIONS.iter().filter(fits).max_by_key(|form| form.prefix.len());
    let (name, is_named) = text.split_once(':').map_or((text, false), |(name, _)| (name, true));
    match found.filter(|form| !form.prefix.is_empty() || !is_named) {
        Some(form) => Ok(form),
        None => {
            let names = || DISTRIBUTIONS.iter().filter_map(|form| form.prefix.strip_suffix(':'));
            let near = closest(name, names()).map(|near| format!("; did you mean {near}?"));
            let known = names().collect::<Vec<_>>().join(", ");
            let hint = near.unwrap_or_else(|| format!("; there are {known}"));
            Err(format!("no distribution is called {}{hint}", shortened(name)).into())
        }
    }
}

/// As much of what was typed as belongs in a message.
fn shortened(typed: &str) -> String {
    const SHOWN: usize = 40;
    match typed.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", typed.get(..end).unwrap_or_default()),
        None => typed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        let why = Length::read(text).unwrap_err().to_string();
        assert!(!why.contains('\n') && why.len() < 200, "{why}");
        why
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for text in ["300ms", "0s", "1h", "2h"] {
            let value = Length::read(text).unwrap().value();
            let Value::Whole(ns) = value else { unreachable!("{value:?}") };
            let again = Length::read(text).unwrap().at(|| unreachable!("it is not drawn"));
            assert_eq!(again.unwrap().as_nanos(), u128::from(ns.unsigned_abs()));
        }
        for text in [
            "uniform:1ms..5ms",
            "uniform:0s..1us500ns",
            "uniform:2s..2s",
            "exp:5ms",
            "normal:10ms,2ms",
            "lognormal:p50=5ms,p99=80ms",
            "pareto:1ms,1.5",
            "pareto:1ms,0.5,max=1h",
            "pareto:1ms,1,max=2s",
            "table:0=1ms,50=2ms,99=30ms,100=2s",
            "table:0=0s,99.9=2ms,100=2ms",
            "recorded:fsync+fdatasync:0=1ms,100=2s",
            "recorded:write.4KiB:0=1ms,100=2ms;write.1MiB:0=3ms,50=4ms,100=5ms,max=4ms",
            "exp:5ms,max=1s",
            "x10",
            "x1.5",
            "x1",
            "x10000,max=9s",
        ] {
            assert_eq!(Length::read(text).unwrap().value(), Value::Text(text.to_owned()));
        }
        for (text, told) in [
            ("exp:5ms,max=1h", Value::Text("exp:5ms".into())),
            ("exp:5000us", Value::Text("exp:5ms".into())),
            ("5ms,max=1s", Value::Whole(5_000_000)),
        ] {
            assert_eq!(Length::read(text).unwrap().value(), told);
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_to_do() {
        for (text, told) in [
            ("300", "it has no unit: write 300ms, 300us or 300s"),
            ("-1ms", "negative"),
            ("5ms,max=1ms", "5ms is longer than max=1ms"),
            ("exp:5ms,max=soon", "write it as in 300ms"),
            ("even:1ms", "no distribution is called even; there are uniform, exp, normal"),
            ("expo:1ms", "did you mean exp?"),
            ("exp:-1ms", "exp:-1ms: it must not be negative"),
            ("exp:NaN", "exp:NaN: "),
            (
                "exp:2h",
                "half of the times are longer than 1h, the longest unless ,max=TIME behind it says",
            ),
            ("exp:", "write it as in"),
            ("exp:1ms,2ms", "write it as in exp:5ms"),
            ("uniform:5ms..1ms", "uniform:5ms..1ms: it ends before it begins"),
            ("uniform:1ms", "write it as in uniform:1ms..5ms"),
            ("uniform:..", "write it as in"),
            ("uniform:1..2", "uniform:1..2: it has no unit: write 1ms"),
            ("uniform:3h..4h", "half of the times"),
            ("normal:10ms", "write it as in normal:10ms,2ms"),
            ("normal:10ms,-2ms", "negative"),
            ("lognormal:p50=5ms,p99=5ms", "p99 must be longer than p50"),
            ("lognormal:p50=5ms,p99=1ms", "p99 must be longer than p50"),
            ("lognormal:p50=0s,p99=1ms", "p50 must be longer than 0"),
            ("lognormal:5ms,80ms", "write it as in lognormal:p50=5ms,p99=80ms"),
            ("lognormal:p99=5ms", "write it as in lognormal:p50=5ms,p99=80ms"),
            ("pareto:1ms,1", "pareto:1ms,1 has no mean: say which is to be the longest"),
            ("pareto:1ms,0.5", "as in pareto:1ms,0.5,max=10s"),
            ("pareto:1ms,0", "above 0"),
            ("pareto:1ms,-1", "above 0"),
            ("pareto:1ms,NaN", "above 0"),
            ("pareto:1ms,inf", "above 0"),
            ("pareto:1ms", "write it as in pareto:1ms,1.5"),
            ("table:", "write it as in"),
            ("table:0=1ms,50=3ms,100=2ms", "it falls at 100: no time may be below that before it"),
            ("table:0=1ms,50=2ms,50=3ms,100=4ms", "50 is not above the quantile before it"),
            ("table:50=1ms,100=2ms", "begin with 0 and end with 100"),
            ("table:0=1ms,50=2ms", "begin with 0 and end with 100"),
            ("table:0=1ms,101=2ms", "101 is no quantile"),
            ("table:0=1ms,NaN=2ms,100=3ms", "NaN is no quantile"),
            ("table:0=1ms", "begin with 0 and end with 100"),
            ("table:0=-1ms,100=2ms", "negative"),
            ("recorded:", "write it as in recorded:fsync:0=1ms,100=2s;write.4KiB:0=1ms,100=9ms"),
            ("recorded:fsycn:0=1ms,100=2ms", "no method \"fsycn\""),
            ("recorded:write.big:0=1ms,100=2ms", "write.SIZE: write a size"),
            ("recorded:fsync:0=1ms,99=2ms", "fsync: it must begin with 0 and end with 100"),
            ("recorded:fsync:0=1ms,100=2ms;fsync:0=1ms,100=2ms", "fsync is there twice"),
            ("recorded:write:0=1ms,100=2ms;write.4KiB:0=1ms,100=2ms", "with and without a size"),
            ("recorded:fsync.4KiB:0=1ms,100=2ms", "fsync moves no bytes, so it has no size"),
            ("x0.5", "x0.5: N is a number from 1 to 10000, as in x10"),
            ("x10001", "from 1 to 10000"),
            ("xNaN", "from 1 to 10000"),
            ("x-2", "from 1 to 10000"),
            ("x", "from 1 to 10000"),
            ("file:recorded", "the command line reads"),
        ] {
            assert!(why(text).contains(told), "{text}: {}", why(text));
        }
    }

    #[test]
    fn no_time_is_longer_than_the_longest() {
        for (text, longest) in [
            ("pareto:1ms,0.5,max=2s", Duration::from_secs(2)),
            ("exp:59m", LONGEST),
            ("exp:5ms,max=1ms", Duration::from_millis(1)),
            ("uniform:1ms..9years,max=8years", Duration::from_secs(8 * 31_557_600)),
        ] {
            assert_eq!(Length::read(text).unwrap().at(|| LAST), Some(longest), "{text}");
        }
        for text in ["uniform:0s..0s", "exp:0s", "normal:0s,0s", "table:0=0s,100=0s", "0s"] {
            assert!(Length::read(text).unwrap().is_zero(), "{text}");
        }
        assert!(!Length::read("normal:0s,1ms").unwrap().is_zero());
        assert_eq!(Length::read("normal:1ms,2ms").unwrap().at(|| 0.01), Some(Duration::ZERO));
        let of = Of { call: Call::Fsync, len: 0 };
        let factor =
            Length::read("x10,max=5s").unwrap().asked(of, || unreachable!("it is not drawn"));
        assert_eq!(factor, Asked::Times(10.0, Duration::from_secs(5)));
    }
}
