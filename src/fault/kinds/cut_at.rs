//! `cut-at`: the power goes at an operation.

use std::sync::atomic::{AtomicBool, Ordering};

use super::latch::{AT, at_of, named};
use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::keeping::{Keeping, Unit};
use crate::fault::operation::Operation;
use crate::fault::plan::{CutPower, Plan, Reply, When};
use crate::fault::words::{Args, Errno, Param, ParamType, Value, whole};
use crate::ops::MethodSet;

pub(super) struct CutAt;

const WHEN: &str = "when";
const BEFORE: &str = "before";
const AFTER: &str = "after";
const KEEP: &str = "keep";
const UNIT: &str = "unit";
const SEED: &str = "seed";
const KILL: &str = "kill";
const STAY_OFF: &str = "stay_off";

static PARAMS: &[Param] = &[
    Param {
        name: AT,
        of: ParamType::Methods,
        first: true,
        required: true,
        about: "at the first operation of these methods; with `--after N` let N of them pass",
    },
    Param::optional(
        WHEN,
        ParamType::Choice(&[BEFORE, AFTER]),
        "before the operation, which is then not done, or after it is done [default: before]",
    ),
    Param::optional(
        KEEP,
        ParamType::Form("none|all|prefix:N|random"),
        "what to keep of what is not durable [default: none]",
    ),
    Param::optional(
        UNIT,
        ParamType::Choice(Unit::NAMES),
        "how many bytes are written as a whole or not at all [default: 512]",
    ),
    Param::optional(SEED, ParamType::Count, "make the dice repeatable [default: a random seed]"),
    Param::optional(
        KILL,
        ParamType::Flag,
        "send SIGKILL to every process that has files of the mount open or mapped",
    ),
    Param::optional(
        STAY_OFF,
        ParamType::Flag,
        "leave the power off until `slowfs power-on` or `clear`",
    ),
];

impl Kind for CutAt {
    fn name(&self) -> &'static str {
        "cut-at"
    }

    fn about(&self) -> &'static str {
        "Cut the power at an operation, as `slowfs power-cut --now` does"
    }

    fn details(&self) -> &'static str {
        "When the operation comes, the power is cut, and the operation fails with EIO. With \
         `--when after` it is done first, and what it did is kept or lost like everything else. \
         Other running operations end before the cut. Then the fault is over: it cuts once, and \
         `slowfs list --ended` shows it. If another cut comes first, so that the operation is not \
         done, it cuts nothing and is over all the same; the log says so.\n\
         \n\
         Reads count when they arrive, not when the program asks for them. It needs a mount with \
         --track-unsynced. docs/power-cut.md says what a cut leaves.\n\
         \n    slowfs cut-at fsync,fdatasync --after 3\
         \n    slowfs cut-at rename --when after --keep random --seed 7 --kill\
         \n    slowfs cut-at write -r '.*/wal/.*' --after 100 --stay-off"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Latch
    }

    fn answers(&self) -> bool {
        true
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Request
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let refuse = |param: &str, why: String| SpecError::Value {
            of: self.name().to_owned(),
            param: param.to_owned(),
            why: why.into(),
        };
        let keep = args.text(KEEP).map(str::parse::<Keeping>).transpose();
        let keep = keep.map_err(|why| refuse(KEEP, why))?;
        let unit = args.text(UNIT).map(str::parse::<Unit>).transpose();
        let unit = unit.map_err(|why| refuse(UNIT, why))?;
        let is_set = |name| args.get(name) == Some(&Value::Flag(true));
        let cut = CutPower {
            keep: keep.unwrap_or_default(),
            unit: unit.unwrap_or_default(),
            seed: args.whole(SEED),
            kills: is_set(KILL),
            stays_off: is_set(STAY_OFF),
        };
        let when = if args.text(WHEN) == Some(AFTER) { When::After } else { When::Before };
        let at = at_of(args).unwrap_or(MethodSet::EMPTY);
        Ok(Box::new(Cutting { at, cut, when, done: AtomicBool::new(false) }))
    }
}

#[derive(Debug)]
struct Cutting {
    at: MethodSet,
    cut: CutPower,
    when: When,
    /// It cuts once.
    done: AtomicBool,
}

impl Effect for Cutting {
    fn kind(&self) -> &'static dyn Kind {
        &CutAt
    }

    fn args(&self) -> Args {
        let CutPower { keep, unit, seed, kills, stays_off } = self.cut;
        let after = (self.when == When::After).then(|| Value::Text(AFTER.to_owned()));
        let keep = (keep != Keeping::default()).then(|| Value::Text(keep.to_string()));
        let unit = (unit != Unit::default()).then(|| Value::Text(unit.to_string()));
        let flag = |is_set: bool| is_set.then_some(Value::Flag(true));
        let values = [
            (AT, Some(named(self.at))),
            (WHEN, after),
            (KEEP, keep),
            (UNIT, unit),
            (SEED, seed.map(whole)),
            (KILL, flag(kills)),
            (STAY_OFF, flag(stays_off)),
        ];
        values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    fn reach(&self) -> MethodSet {
        self.at
    }

    fn sets_in_at(&self) -> Option<MethodSet> {
        Some(self.at)
    }

    fn needs_tracking(&self) -> Option<&'static str> {
        Some(CutAt.name())
    }

    fn plan(&self, _: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        if !self.done.swap(true, Ordering::Relaxed) {
            plan.reply = Reply::Errno(Errno::EIO, self.when);
            plan.changed().cut = Some(self.cut);
        }
    }
}
