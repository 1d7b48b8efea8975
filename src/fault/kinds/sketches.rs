//! Kinds for tests only, with bodies of a line and a state that a test reads: a spot on a disk, a full disk, what takes
//! time, a cut of the power, a failing sync, wrong bytes. What goes beside what, and what is told of a request, is tested
//! by these, whatever the real kinds do.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::chance::Draw;
use crate::fault::edit::EditBy;
use crate::fault::error::SpecError;
use crate::fault::operation::{Done, Extent, Extents, Operation, Span, Wants};
use crate::fault::plan::{Edit, Hold, Plan, Reply, Run, Space, Sync, When};
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
    asks: fn(&mut State, &Operation<'_>, &mut Plan),
    learns: fn(&mut State, &Operation<'_>, &Done<'_>),
}

/// How long a sketched condition of time takes.
pub(in crate::fault) const SERVICE: Duration = Duration::from_millis(50);

/// How large the blocks of an extent are.
const BLOCK: u64 = 512;

fn fails(plan: &mut Plan, errno: i32, when: When) {
    plan.reply = Reply::Errno(Errno::new(errno).unwrap(), when);
}

const fn param(name: &'static str, of: ParamType) -> Param {
    Param::optional(name, of, "to come")
}

const NOTHING: Wants = Wants { size: false, replaced: false, took: false };

/// Sectors are bad until a write covers them.
static BAD_SECTOR: Sketch = Sketch {
    name: "bad-spot",
    params: &[
        param("range", ParamType::Range),
        param("density", ParamType::Share),
        param("sticky", ParamType::Flag),
    ],
    class: Class::Condition,
    reach: Call::Read.methods(),
    follows: Call::Write.methods(),
    read_point: ReadPoint::Request,
    wants: NOTHING,
    asks: |state, op, plan| {
        let healed = |span: Span| state.written.iter().any(|written| written.holds(span));
        if !op.span.is_some_and(healed) {
            fails(plan, libc::EIO, When::Before);
        }
    },
    learns: |state, op, done| {
        if let (Some(span), true, Call::Write) = (op.span, done.ran, op.call) {
            state.written.push(Span { len: done.bytes, ..span });
        }
    },
};

/// So much is free, `free` bytes: less what files take, and more by what they give back.
static FULL: Sketch = Sketch {
    name: "filled",
    params: &[param("free", ParamType::Size), param("inodes", ParamType::Count)],
    class: Class::Condition,
    reach: MethodSet::ALL,
    follows: Call::Unlink.methods().union(Call::Release.methods()),
    read_point: ReadPoint::Request,
    wants: Wants { size: true, ..NOTHING },
    asks: |state, op, plan| match (op.call, op.span) {
        (Call::Statfs, _) => {
            plan.changed().space = Some(Space { free: state.free, inodes: state.inodes });
        }
        (Call::Write, _) if state.free == 0 => fails(plan, libc::ENOSPC, When::Before),
        (Call::Write, Some(span)) if span.len > state.free => {
            plan.changed().run = Run::Part(std::iter::once(0..state.free).collect());
        }
        _ => {}
    },
    learns: |state, _, done| {
        let Some(Extents { before, after }) = done.extents else { return };
        let taken = |of: Option<Extent>| of.map_or(0, |extent| extent.blocks * BLOCK);
        let there = |of: Option<Extent>| u64::from(of.is_some());
        state.free = (state.free + taken(before)).saturating_sub(taken(after));
        state.inodes = (state.inodes + there(before)).saturating_sub(there(after));
    },
};

/// It takes its time, which the backing's own counts towards.
static TIMED: Sketch = Sketch {
    name: "timed",
    params: &[param("disk", ParamType::Choice(&["hdd", "ssd"]))],
    class: Class::Condition,
    reach: MethodSet::ALL,
    follows: MethodSet::EMPTY,
    read_point: ReadPoint::Request,
    wants: Wants { took: true, ..NOTHING },
    asks: |_, op, plan| plan.before.add(Hold::for_time(op.arrived(), SERVICE)),
    learns: |state, _, done| state.took += done.took.unwrap_or_default(),
};

static CUT_AT: Sketch = Sketch {
    name: "shut-off",
    params: &[param("keep", ParamType::Form("none|all|prefix:N|random"))],
    class: Class::Latch,
    reach: MethodSet::ALL,
    follows: MethodSet::EMPTY,
    read_point: ReadPoint::Request,
    wants: NOTHING,
    asks: |_, _, plan| fails(plan, libc::ESHUTDOWN, When::Before),
    learns: |_, _, _| {},
};

/// No sync is done and each fails, also that which a write includes; what was written over since is
/// remembered.
static FSYNC_FAIL: Sketch = Sketch {
    name: "failing-sync",
    params: &[param("mode", ParamType::Choice(&["lost", "dirty"]))],
    class: Class::Sync,
    reach: Call::Fdatasync.methods().union(Call::Fsyncdir.methods()),
    follows: Call::Write.methods(),
    read_point: ReadPoint::Call,
    wants: Wants { replaced: true, ..NOTHING },
    asks: |_, _, plan| {
        plan.sync = Sync::Not;
        fails(plan, libc::EIO, When::After);
    },
    learns: |state, op, done| {
        if let (Some(span), Some(bytes)) = (op.span, done.replaced) {
            state.undo.push((span.offset, bytes.into()));
        }
    },
};

/// The first byte of what is read has a bit flipped, that of what is written is zero.
static CORRUPT: Sketch = Sketch {
    name: "corrupt",
    params: &[],
    class: Class::Data,
    reach: Call::Read.methods().union(Call::Write.methods()),
    follows: MethodSet::EMPTY,
    read_point: ReadPoint::Request,
    wants: NOTHING,
    asks: |_, op, plan| {
        let (byte, how) = match op.call {
            Call::Read => (1, EditBy::Flipping),
            _ => (0, EditBy::Putting),
        };
        plan.changed().edits.push(Edit { at: 0, bytes: [byte].into(), how });
    },
    learns: |_, _, _| {},
};

/// It has run, and fails all the same.
static LATE_ERROR: Sketch = Sketch {
    name: "late-error",
    params: &[],
    class: Class::Answer,
    reach: MethodSet::ALL,
    follows: MethodSet::EMPTY,
    read_point: ReadPoint::Call,
    wants: NOTHING,
    asks: |_, _, plan| fails(plan, libc::EIO, When::After),
    learns: |_, _, _| {},
};

static SKETCHES: [&Sketch; 7] =
    [&BAD_SECTOR, &FULL, &TIMED, &CUT_AT, &FSYNC_FAIL, &CORRUPT, &LATE_ERROR];

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
pub(crate) struct State {
    pub(crate) planned: u64,
    /// Of each request that is done, whether it ran.
    pub(crate) done: Vec<bool>,
    /// What the backing said of the last.
    pub(crate) errno: i32,
    /// What was written.
    pub(crate) written: Vec<Span>,
    /// Bytes and inodes that are free.
    pub(crate) free: u64,
    pub(crate) inodes: u64,
    /// What was there before, and where.
    pub(crate) undo: Vec<(u64, Vec<u8>)>,
    /// How long the backing took.
    pub(crate) took: Duration,
}

struct Sketched {
    own: &'static Sketch,
    args: Args,
    state: Arc<Mutex<State>>,
}

fn sketched(name: &str, args: &Args) -> (Sketched, Arc<Mutex<State>>) {
    let own = SKETCHES.iter().find(|sketch| sketch.name == name).unwrap();
    let figure = |name| args.whole(name).unwrap_or_default();
    let (free, inodes) = (figure("free"), figure("inodes"));
    let state = Arc::new(Mutex::new(State { free, inodes, ..State::default() }));
    (Sketched { own, args: args.clone(), state: Arc::clone(&state) }, state)
}

/// A sketch on these methods, and its state.
pub(crate) fn sketch(name: &str, methods: MethodSet) -> (Fault, Arc<Mutex<State>>) {
    sketch_of(name, &Args::new(), methods)
}

/// The same with these values.
pub(crate) fn sketch_of(name: &str, args: &Args, methods: MethodSet) -> (Fault, Arc<Mutex<State>>) {
    let (effect, state) = sketched(name, args);
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
        let mut state = self.state.lock();
        state.planned += 1;
        (self.own.asks)(&mut state, op, plan);
    }

    fn follows(&self) -> MethodSet {
        self.own.follows
    }

    fn wants(&self, _: &Operation<'_>) -> Wants {
        self.own.wants
    }

    fn done(&self, op: &Operation<'_>, done: &Done<'_>) {
        let mut state = self.state.lock();
        state.done.push(done.ran);
        state.errno = done.errno;
        (self.own.learns)(&mut state, op, done);
    }
}

fn terms() -> [(&'static str, Term); 3] {
    let time = Duration::from_secs(1);
    let phases = Some(Phases { on: time, off: time, random: false });
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
    assert!(refused.to_string().starts_with("failing-sync makes no sense on write"), "{refused}");
}
