//! `--when before|after`, of the kinds that take it.

use crate::fault::plan::When;
use crate::fault::words::{Args, Param, ParamType, Value};

/// The parameter's name.
pub(super) const WHEN: &str = "when";

const BEFORE: &str = "before";
const AFTER: &str = "after";

/// The parameter, with what it says.
pub(super) const fn param(about: &'static str) -> Param {
    let of = ParamType::Choice(&[BEFORE, AFTER]);
    Param::optional(WHEN, of, about)
}

/// What it is set to, if it is.
pub(super) fn read(args: &Args) -> Option<When> {
    match args.text(WHEN)? {
        AFTER => Some(When::After),
        _ => Some(When::Before),
    }
}

/// These values, and this one if it is not what is meant without.
pub(super) fn told(args: Args, when: When) -> Args {
    match when {
        When::Before => args,
        When::After => args.with(WHEN, Value::Text(AFTER.to_owned())),
    }
}
