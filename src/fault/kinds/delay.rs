//! `delay`: a request waits before it runs.

use std::time::Duration;

use super::{Class, Effect, Kind, when};
use crate::fault::chance::{Draw, Purpose};
use crate::fault::distributions::{self, Asked, Length, Of};
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{After, Hold, Plan, Slower, When};
use crate::fault::words::{Args, Param, ParamType, time_text, whole};

pub(super) struct Delay;

const TIME: &str = "time";
const PER_BYTE: &str = "per_byte";

/// No test runs longer: who writes more has mistaken a unit.
const HARDLY_MEANT: Duration = Duration::from_secs(24 * 60 * 60);

const PARAMS: &[Param] = &[
    Param {
        name: TIME,
        of: ParamType::Distribution,
        first: true,
        required: true,
        about: "how long, as in 300ms, 1us, 2s; or a distribution, as in exp:5ms",
    },
    Param::optional(
        PER_BYTE,
        ParamType::Time,
        "additional time for each byte that is read, written, copied or allocated",
    ),
    when::param("hold the operation, or its answer after it has run"),
];

impl Kind for Delay {
    fn name(&self) -> &'static str {
        "delay"
    }

    fn about(&self) -> &'static str {
        "Delay matching operations"
    }

    fn details(&self) -> &'static str {
        "The operation waits before it runs. The time counts from its arrival. Other operations \
         do not wait. Clearing the fault releases it at once. With `--when after` the operation \
         runs at once, and its answer waits: done, but late.\n\
         \n\
         A distribution is drawn again for each operation. What is drawn is at most an hour long; \
         `,max=TIME` after the distribution sets another maximum. A TIME may be longer.\n\
         \n    slowfs delay 300ms -m fsync,fdatasync -r '.*/wal/.*'\
         \n    slowfs delay lognormal:p50=5ms,p99=80ms -m write,fsync\
         \n    slowfs delay pareto:1ms,0.9,max=2s -m read\
         \n    slowfs delay x10 -m all\
         \n    slowfs delay 2ms --per-byte 10ns -m read,write\
         \n    slowfs delay 50ms --when after -m rename\
         \n    slowfs delay 1ms -m all -p 10%\
         \n    slowfs delay 5ms -m write,fsync --ramp x1..x20/60s"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Time
    }

    fn can_grow(&self) -> bool {
        true
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let time = match args.get(TIME) {
            Some(value) => ParamType::Distribution.write(value),
            None => String::new(),
        };
        let refuse =
            |why| SpecError::Value { of: self.name().to_owned(), param: TIME.to_owned(), why };
        let length = distributions::read(&time).map_err(refuse)?;
        let per_byte = args.time(PER_BYTE).unwrap_or_default();
        if length.is_zero() && per_byte.is_zero() {
            return Err(SpecError::DoesNothing("a delay of no time"));
        }
        let when = when::read(args);
        if when == Some(When::Before) && length.factor().is_some() {
            let why = "what is measured by the backing's own time is waited for after it";
            let (of, param) = (self.name().to_owned(), when::WHEN.to_owned());
            return Err(SpecError::Value { of, param, why: why.into() });
        }
        Ok(Box::new(Delaying { length, per_byte, when: when.unwrap_or_default() }))
    }
}

#[derive(Debug)]
struct Delaying {
    length: Length,
    /// So much longer for each byte.
    per_byte: Duration,
    /// Whether the operation waits, or its answer.
    when: When,
}

impl Delaying {
    /// What the bytes of an operation add.
    fn of_bytes(&self, op: &Operation<'_>) -> Duration {
        match op.span {
            Some(span) if !self.per_byte.is_zero() => {
                let each = u64::try_from(self.per_byte.as_nanos()).unwrap_or(u64::MAX);
                Duration::from_nanos(each.saturating_mul(span.len))
            }
            _ => Duration::ZERO,
        }
    }
}

impl Effect for Delaying {
    fn kind(&self) -> &'static dyn Kind {
        &Delay
    }

    fn args(&self) -> Args {
        let mut args = Args::new().with(TIME, self.length.value());
        if !self.per_byte.is_zero() {
            args = args.with(PER_BYTE, whole(self.per_byte.as_nanos()));
        }
        when::told(args, self.when)
    }

    fn looks_at_bytes(&self) -> bool {
        !self.per_byte.is_zero() || self.length.is_by_bytes()
    }

    fn doubt(&self, _: bool) -> Option<String> {
        if self.length.factor() == Some(1.0) && self.per_byte.is_zero() {
            return Some("x1 is as long as the backing takes anyway".to_owned());
        }
        let half = self.length.at(|| 0.5).filter(|half| *half > HARDLY_MEANT)?;
        Some(format!("it holds for {}; is that the unit you mean?", time_text(half)))
    }

    fn plan(&self, op: &Operation<'_>, draw: &Draw, plan: &mut Plan) {
        let plus = self.of_bytes(op);
        let of = Of { call: op.call, len: op.span.map_or(0, |span| span.len) };
        match self.length.asked(of, || draw.unit(Purpose::Delay)) {
            Asked::Times(times, longest) => {
                plan.after.add(&After::By(Box::new(Slower { times, longest, plus })));
            }
            Asked::Time(time) if self.when == When::After => {
                plan.after.add(&After::For(time.saturating_add(plus)));
            }
            Asked::Time(time) => {
                plan.before.add(Hold::for_time(op.arrived(), time.saturating_add(plus)));
            }
        }
    }
}
