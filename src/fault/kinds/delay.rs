//! `delay`: a request waits before it runs.

use std::time::Duration;

use super::{Class, Effect, Kind};
use crate::fault::chance::{Draw, Purpose};
use crate::fault::distributions::{self, Distribution};
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Hold, Plan};
use crate::fault::words::{Args, Param, ParamType, Value, time_text};

pub(super) struct Delay;

const TIME: &str = "time";
const WHEN: &str = "when";
const BEFORE: &str = "before";
const AFTER: &str = "after";

/// No test runs longer: who writes more has mistaken a unit.
const HARDLY_MEANT: Duration = Duration::from_secs(24 * 60 * 60);

impl Kind for Delay {
    fn name(&self) -> &'static str {
        "delay"
    }

    fn about(&self) -> &'static str {
        "Delay matching operations"
    }

    fn details(&self) -> &'static str {
        "An operation waits so long, from its arrival, before it runs. It holds up nothing else. \
         Clearing the fault lets it go at once. With `--when after` it runs at once, and its answer \
         waits so long from when it has run: done, but late.\n\
         \n    slowfs delay 300ms -m fsync,fdatasync -r '.*/wal/.*'\
         \n    slowfs delay 50ms --when after -m rename\
         \n    slowfs delay 1ms -m all -p 10%\
         \n    slowfs delay 5ms -m write,fsync --ramp x1..x20/60s"
    }

    fn params(&self) -> &'static [Param] {
        &[
            Param {
                name: TIME,
                of: ParamType::Distribution,
                first: true,
                required: true,
                about: "how long, as in 300ms, 1us, 2s",
            },
            Param {
                name: WHEN,
                of: ParamType::Choice(&[BEFORE, AFTER]),
                first: false,
                required: false,
                about: "whether the operation waits, or its answer once it has run",
            },
        ]
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
        let by = distributions::read(&time).map_err(refuse)?;
        if by.is_zero() {
            return Err(SpecError::DoesNothing("a delay of no time"));
        }
        Ok(Box::new(Delaying { by, after: args.text(WHEN) == Some(AFTER) }))
    }
}

#[derive(Debug)]
struct Delaying {
    by: Box<dyn Distribution>,
    /// The answer waits, and not the operation.
    after: bool,
}

impl Effect for Delaying {
    fn kind(&self) -> &'static dyn Kind {
        &Delay
    }

    fn args(&self) -> Args {
        let args = Args::new().with(TIME, self.by.value());
        if self.after { args.with(WHEN, Value::Text(AFTER.to_owned())) } else { args }
    }

    fn doubt(&self) -> Option<String> {
        let half = self.by.at(0.5);
        let told = || {
            let half = time_text(half);
            format!("it holds for {half}: m is a minute, M a month; is that the unit you mean?")
        };
        (half > HARDLY_MEANT).then(told)
    }

    fn plan(&self, op: &Operation<'_>, draw: &Draw, plan: &mut Plan) {
        let time = self.by.at(draw.unit(Purpose::Delay));
        match self.after {
            true => plan.after = plan.after.max(time),
            false => plan.before.add(Hold::for_time(op.arrived(), time)),
        }
    }
}
