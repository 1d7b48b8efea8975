//! Kinds to come, written against the traits with bodies of a line: that these suffice for them is
//! what compiling shows. A state on a disk, a full disk, a device, a cut of the power, a failing
//! sync. Other tests see by them how what stands goes beside faults.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::{Done, Operation, Wants};
use crate::fault::plan::{Hold, Plan, Reply, When};
use crate::fault::spec::Fault;
use crate::fault::term::{Phases, Term};
use crate::fault::words::{Args, Errno, Param, ParamType, Value};
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
    asks: fn(&Operation<'_>, &mut Plan),
}

/// How long a sketched device takes.
pub(in crate::fault) const SERVICE: Duration = Duration::from_millis(50);

fn fails(plan: &mut Plan, errno: i32) {
    plan.reply = Reply::Errno(Errno::new(errno).unwrap(), When::Before);
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
    asks: |_, plan| fails(plan, libc::EIO),
};

static FULL: Sketch = Sketch {
    name: "full",
    params: &[param("free", ParamType::Size), param("inodes", ParamType::Count)],
    class: Class::Condition,
    reach: MethodSet::ALL,
    follows: Call::Unlink.methods().union(Call::Release.methods()),
    read_point: ReadPoint::Request,
    wants: Wants { size: true, took: false },
    asks: |_, plan| fails(plan, libc::ENOSPC),
};

static DEVICE: Sketch = Sketch {
    name: "device",
    params: &[param("preset", ParamType::Choice(&["hdd", "ssd", "nvme"]))],
    class: Class::Condition,
    reach: MethodSet::ALL,
    follows: MethodSet::EMPTY,
    read_point: ReadPoint::Request,
    wants: Wants { size: false, took: true },
    asks: |op, plan| plan.before.add(Hold::for_time(op.arrived(), SERVICE)),
};

static CUT_AT: Sketch = Sketch {
    name: "cut-at",
    params: &[param("keep", ParamType::Form("none|all|prefix:N|random"))],
    class: Class::Latch,
    reach: MethodSet::ALL,
    follows: MethodSet::EMPTY,
    read_point: ReadPoint::Request,
    wants: Wants { size: false, took: false },
    asks: |_, plan| fails(plan, libc::ESHUTDOWN),
};

static FSYNC_FAIL: Sketch = Sketch {
    name: "fsync-fail",
    params: &[param("mode", ParamType::Choice(&["lost", "dirty"]))],
    class: Class::Sync,
    reach: Call::Fdatasync.methods().union(Call::Fsyncdir.methods()),
    follows: Call::Write.methods(),
    read_point: ReadPoint::Call,
    wants: Wants { size: false, took: false },
    asks: |_, plan| fails(plan, libc::EIO),
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
        Ok(Box::new(sketched(self.name, args).0))
    }
}

/// What a sketch was asked and told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::fault) struct State {
    pub(in crate::fault) planned: u64,
    /// Of each request that is done, whether it ran.
    pub(in crate::fault) done: Vec<bool>,
}

struct Sketched {
    own: &'static Sketch,
    args: Args,
    state: Arc<Mutex<State>>,
}

fn sketched(name: &str, args: &Args) -> (Sketched, Arc<Mutex<State>>) {
    let own = SKETCHES.iter().find(|sketch| sketch.name == name).unwrap();
    let state = Arc::default();
    (Sketched { own, args: args.clone(), state: Arc::clone(&state) }, state)
}

/// A sketch on these methods, and its state.
pub(in crate::fault) fn sketch(name: &str, methods: MethodSet) -> (Fault, Arc<Mutex<State>>) {
    let (effect, state) = sketched(name, &Args::new());
    (Fault::on(methods).unwrap().doing(Box::new(effect)).unwrap(), state)
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

    fn plan(&self, op: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        self.state.lock().planned += 1;
        (self.own.asks)(op, plan);
    }

    fn follows(&self) -> MethodSet {
        self.own.follows
    }

    fn wants(&self) -> Wants {
        self.own.wants
    }

    fn done(&self, _: &Operation<'_>, done: &Done) {
        self.state.lock().done.push(done.ran);
    }
}

fn terms() -> [(&'static str, Term); 3] {
    let time = Duration::from_secs(1);
    let phases = Some(Phases { on: time, off: time });
    [
        ("starts", Term { starts: time, ..Term::default() }),
        ("for", Term { lasts: Some(time), ..Term::default() }),
        ("on-for", Term { phases, ..Term::default() }),
    ]
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
        for (option, term) in terms() {
            let refused = on().doing(made()).unwrap().with_term(term).err().map(|e| e.to_string());
            let why = || format!("{} takes no {option}: it stays until it is cleared", sketch.name);
            assert_eq!(refused, (sketch.class == Class::Latch).then(why), "{}", sketch.name);
        }
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
