//! `--hidden`, of the kinds that change what is stored.

use crate::fault::words::{Args, Param, ParamType, Value};

/// The parameter.
pub(super) const HIDDEN: Param = Param::optional(
    "hidden",
    ParamType::Flag,
    "do not change the modification time: the kernel's cache then hides the change",
);

/// Whether it is set.
pub(super) fn read(args: &Args) -> bool {
    args.get(HIDDEN.name) == Some(&Value::Flag(true))
}

/// These values, and this one if it is set.
pub(super) fn told(args: Args, hidden: bool) -> Args {
    if hidden { args.with(HIDDEN.name, Value::Flag(true)) } else { args }
}
