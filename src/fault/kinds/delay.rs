//! `delay`: a request waits before it runs.

use super::{Class, Effect, Kind};
use crate::fault::chance::{Draw, Purpose};
use crate::fault::distributions::{self, Distribution};
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Hold, Plan};
use crate::fault::words::{Args, Param, ParamType};

pub(super) struct Delay;

const TIME: &str = "time";

impl Kind for Delay {
    fn name(&self) -> &'static str {
        "delay"
    }

    fn about(&self) -> &'static str {
        "Delay matching operations"
    }

    fn details(&self) -> &'static str {
        "An operation waits so long, from its arrival, before it runs. It holds up nothing else. \
         Clearing the fault lets it go at once.\n\
         \n    slowfs delay 300ms -m fsync,fdatasync -r '.*/wal/.*'\
         \n    slowfs delay 1ms -m all -p 10%"
    }

    fn params(&self) -> &'static [Param] {
        &[Param {
            name: TIME,
            of: ParamType::Distribution,
            first: true,
            required: true,
            about: "how long, as in 300ms, 1us, 2s",
        }]
    }

    fn class(&self) -> Class {
        Class::Time
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
            return Err(refuse("a delay of no time does nothing".into()));
        }
        Ok(Box::new(Delaying { by }))
    }
}

#[derive(Debug)]
struct Delaying {
    by: Box<dyn Distribution>,
}

impl Effect for Delaying {
    fn kind(&self) -> &'static dyn Kind {
        &Delay
    }

    fn args(&self) -> Args {
        Args::new().with(TIME, self.by.value())
    }

    fn plan(&self, op: &Operation<'_>, draw: &Draw, plan: &mut Plan) {
        let time = self.by.at(draw.unit(Purpose::Delay));
        plan.before.add(Hold::for_time(op.arrived(), time));
    }
}
