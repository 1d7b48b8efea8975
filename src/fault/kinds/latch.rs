//! What the kinds that set once and stay have in common: at which operation they set in, and what they
//! answer then. No locks.

use std::fmt;

use super::{Effect, Kind};
use crate::fault::chance::Draw;
use crate::fault::operation::Operation;
use crate::fault::plan::{Plan, Reply, When};
use crate::fault::words::{Args, Errno, Param, ParamType, Value};
use crate::ops::{Call, Method, MethodSet};

/// When it sets in.
pub(super) const AT: &str = "at";

pub(super) static PARAMS: &[Param] = &[Param::optional(
    AT,
    ParamType::Methods,
    "set in at the first operation of these methods; with `--after N` let N of them pass \
            [default: at once]",
)];

/// Whether an operation is one of close(2), which fails on no filesystem for want of the disk: the kernel
/// gives back what it holds.
pub(super) fn closes(call: Call) -> bool {
    matches!(call, Call::Flush | Call::Release | Call::Releasedir)
}

/// At whose operation it sets in, by its values.
pub(super) fn at_of(args: &Args) -> Option<MethodSet> {
    match args.get(AT) {
        // Straightened: they are methods.
        Some(Value::Texts(names)) => {
            Some(names.iter().filter_map(|name| Method::from_name(name)).collect())
        }
        _ => None,
    }
}

/// The same as a value.
pub(super) fn named(at: MethodSet) -> Value {
    Value::Texts(at.names().into_iter().map(str::to_owned).collect())
}

/// A latch that answers some operations with an errno.
pub(super) struct Latch {
    kind: &'static dyn Kind,
    at: Option<MethodSet>,
    errno: Errno,
    /// Which of the operations that its kind reaches it answers.
    fails: fn(&Operation<'_>) -> bool,
}

impl Latch {
    /// Of a kind with [`PARAMS`], from their values.
    pub(super) fn new(
        kind: &'static dyn Kind,
        args: &Args,
        errno: Errno,
        fails: fn(&Operation<'_>) -> bool,
    ) -> Latch {
        Latch { kind, at: at_of(args), errno, fails }
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.kind.name()).field(AT, &self.at).finish()
    }
}

impl Effect for Latch {
    fn kind(&self) -> &'static dyn Kind {
        self.kind
    }

    fn args(&self) -> Args {
        let at = self.at.map(|at| (AT.to_owned(), named(at)));
        at.into_iter().collect()
    }

    fn reach(&self) -> MethodSet {
        self.kind.reach().union(self.at.unwrap_or_default())
    }

    fn sets_in_at(&self) -> Option<MethodSet> {
        self.at
    }

    fn plan(&self, op: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        if (self.fails)(op) {
            plan.reply = Reply::Errno(self.errno, When::Before);
        }
    }
}
