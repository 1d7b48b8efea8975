//! Kinds to come, written against the traits with empty bodies: that these suffice for them is what
//! compiling shows. A state on a disk, a full disk, a device, a cut of the power, a failing sync.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::{Done, Operation, Wants};
use crate::fault::plan::Plan;
use crate::fault::words::{Args, Param, ParamType, Value};
use crate::fault::{
    DelayLine, Fault, FaultTable, Gate, Memo, Placement, Subject, Verdict, testing,
};
use crate::ops::{Call, MethodSet};

/// One sketch: all that a kind says of itself.
struct Sketch {
    name: &'static str,
    params: &'static [Param],
    class: Class,
    reach: MethodSet,
    follows: MethodSet,
    read_point: ReadPoint,
    wants: Wants,
}

const fn param(name: &'static str, of: ParamType) -> Param {
    Param { name, of, first: false, required: false, about: "to come" }
}

static BAD_SECTOR: Sketch = Sketch {
    name: "bad-sector",
    params: &[
        param("range", ParamType::Range),
        param("density", ParamType::Share),
        param("sticky", ParamType::Flag),
    ],
    class: Class::Condition,
    reach: Call::Read.methods(),
    follows: Call::Write.methods(),
    read_point: ReadPoint::Request,
    wants: Wants { size: false, took: false },
};

static FULL: Sketch = Sketch {
    name: "full",
    params: &[param("free", ParamType::Size), param("inodes", ParamType::Count)],
    class: Class::Condition,
    reach: MethodSet::ALL,
    follows: Call::Unlink.methods().union(Call::Release.methods()),
    read_point: ReadPoint::Request,
    wants: Wants { size: true, took: false },
};

static DEVICE: Sketch = Sketch {
    name: "device",
    params: &[param("preset", ParamType::Choice(&["hdd", "ssd", "nvme"]))],
    class: Class::Condition,
    reach: MethodSet::ALL,
    follows: MethodSet::EMPTY,
    read_point: ReadPoint::Request,
    wants: Wants { size: false, took: true },
};

static CUT_AT: Sketch = Sketch {
    name: "cut-at",
    params: &[param("keep", ParamType::Form("none|all|prefix:N|random"))],
    class: Class::Latch,
    reach: MethodSet::ALL,
    follows: MethodSet::EMPTY,
    read_point: ReadPoint::Request,
    wants: Wants { size: false, took: false },
};

static FSYNC_FAIL: Sketch = Sketch {
    name: "fsync-fail",
    params: &[param("mode", ParamType::Choice(&["lost", "dirty"]))],
    class: Class::Sync,
    reach: Call::Fdatasync.methods().union(Call::Fsyncdir.methods()),
    follows: Call::Write.methods(),
    read_point: ReadPoint::Call,
    wants: Wants { size: false, took: false },
};

static SKETCHES: [&Sketch; 5] = [&BAD_SECTOR, &FULL, &DEVICE, &CUT_AT, &FSYNC_FAIL];

impl Kind for Sketch {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        "to come"
    }

    fn details(&self) -> &'static str {
        "to come"
    }

    fn params(&self) -> &'static [Param] {
        self.params
    }

    fn class(&self) -> Class {
        self.class
    }

    fn reach(&self) -> MethodSet {
        self.reach
    }

    fn read_point(&self) -> ReadPoint {
        self.read_point
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let own = SKETCHES.iter().find(|sketch| sketch.name == self.name).unwrap();
        Ok(Box::new(Sketched { own, args: args.clone(), state: Arc::default() }))
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    planned: u64,
    done: u64,
}

struct Sketched {
    own: &'static Sketch,
    args: Args,
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for Sketched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.own.name)
    }
}

impl Effect for Sketched {
    fn kind(&self) -> &'static dyn Kind {
        self.own
    }

    fn args(&self) -> Args {
        self.args.clone()
    }

    fn applies(&self, op: &Operation<'_>) -> bool {
        op.call.methods().intersects(self.own.reach)
    }

    fn plan(&self, _: &Operation<'_>, _: &Draw, _: &mut Plan) {
        self.state.lock().planned += 1;
    }

    fn follows(&self) -> MethodSet {
        self.own.follows
    }

    fn wants(&self) -> Wants {
        self.own.wants
    }

    fn done(&self, _: &Operation<'_>, _: &Done) {
        self.state.lock().done += 1;
    }
}

#[test]
fn conditions_latches_and_kinds_for_syncs_are_checked_as_their_classes_ask() {
    use crate::fault::chance::Chance;

    for sketch in SKETCHES {
        let args = Args::new().with("any", Value::Flag(true));
        let made = || sketch.make(&args).unwrap();
        let on = || Fault::on(sketch.reach).unwrap();
        let fault = on().doing(made()).unwrap();
        assert_eq!(fault.effects()[0].args(), args);
        let after = Chance { after: 1, ..Chance::default() };
        let refused = fault.with_chance(after).is_err();
        assert_eq!(refused, sketch.class == Class::Condition, "{}", sketch.name);
        let kill = super::make("kill", &Args::new()).unwrap();
        let alone = on().doing(made()).unwrap().doing(kill).is_err();
        assert_eq!(alone, !sketch.class.is_fault(), "{}", sketch.name);
        assert!(on().doing(made()).unwrap().doing(made()).is_err(), "{}", sketch.name);
    }
    let sync = Fault::on(FSYNC_FAIL.reach).unwrap();
    let sync = sync.doing(FSYNC_FAIL.make(&Args::new()).unwrap()).unwrap();
    let error = Args::new().with("errnos", Value::Text("EIO".into()));
    assert!(sync.doing(super::make("error", &error).unwrap()).is_err());
    let beyond = Fault::on(Call::Write.methods()).unwrap();
    let refused = beyond.doing(FSYNC_FAIL.make(&Args::new()).unwrap()).unwrap_err();
    assert!(refused.to_string().starts_with("fsync-fail makes no sense on write"), "{refused}");
}

/// A file that every pattern matches.
struct Any(Call);

impl Subject for Any {
    fn methods(&self) -> MethodSet {
        self.0.methods()
    }

    fn memo(&self) -> Option<&Memo> {
        None
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(b"/f");
    }
}

#[test]
fn what_follows_learns_of_requests_that_it_did_not_plan_for() {
    let state: Arc<Mutex<State>> = Arc::default();
    let effect = Sketched { own: &BAD_SECTOR, args: Args::new(), state: Arc::clone(&state) };
    let bad_sector = Fault::on(BAD_SECTOR.reach).unwrap().doing(Box::new(effect)).unwrap();
    let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
    let gate = Gate::new(Arc::clone(&table));
    table.put(bad_sector, Placement::Add).unwrap();
    table.put(testing::fault("error EIO -m write"), Placement::Add).unwrap();
    assert!(gate.armed(Call::Write.methods()), "the writes that heal it");
    for (call, planned, done) in [(Call::Read, 1, 1), (Call::Write, 1, 2)] {
        let op = testing::request(call, 0);
        let Verdict::Hit(hit) = gate.decide(&[&Any(call)], &op) else { unreachable!("{call:?}") };
        assert_eq!(hit.errno().is_some(), call == Call::Write);
        hit.done(&op, &Done::default());
        hit.repeat().done(&op, &Done::default());
        assert_eq!(*state.lock(), State { planned, done }, "{call:?}");
    }
    table.clear_all();
    assert!(!gate.armed(MethodSet::ALL));
}
