//! The kinds of fault: what can happen to a request. A kind is one file here and one line of
//! [`KINDS`]; command line, Thrift, JSON, help, listings, log and reference are read off that table.
//!
//! A [`Kind`] is the description, an [`Effect`] one setting of it. An effect adds to the [`Plan`] of
//! a request, and nothing else: `fs` carries plans out. Lock rule: an effect that keeps a state has
//! a mutex of its own, for memory work only.

mod bad_sector;
mod corrupt;
mod cut_at;
mod delay;
mod device;
mod error;
mod fsync_fail;
mod full;
mod hang;
mod hidden;
mod kill;
mod latch;
mod lost_write;
mod lying_sync;
mod read_only;
mod short;
mod shutdown;
#[cfg(test)]
pub(crate) mod sketches;
#[cfg(test)]
pub(crate) mod tests;
mod throttle;
mod torn_write;
mod when;

use std::fmt;

use super::chance::Draw;
use super::error::SpecError;
use super::ledger::Ledger;
use super::operation::{Done, Operation, Wants};
use super::plan::Plan;
use super::suggest::closest;
use super::words::{Args, Param, ValueError};
use crate::ops::MethodSet;

/// Every kind, in the order in which they are shown.
pub static KINDS: &[&dyn Kind] = &[
    &delay::Delay,
    &hang::Hang,
    &error::Error,
    &kill::Kill,
    &short::Short,
    &lost_write::LostWrite,
    &torn_write::TornWrite,
    &corrupt::Corrupt,
    &fsync_fail::FsyncFail,
    &lying_sync::LyingSync,
    &bad_sector::BadSector,
    &full::Full,
    &throttle::Throttle,
    &device::Device,
    &read_only::ReadOnly,
    &shutdown::Shutdown,
    &cut_at::CutAt,
];

/// What a fault of a kind does to a request, by which it is decided what may stand beside what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It takes longer.
    Time,
    /// It is answered otherwise, or its caller is killed.
    Answer,
    /// Its bytes are others.
    Data,
    /// Its sync is none.
    Sync,
    /// A state of the disk: it stays beside faults, and all that match add up.
    Condition,
    /// A state that ends all: set once, it answers before anything else.
    Latch,
}

impl Class {
    /// Its name, for people and programs.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Time => "time",
            Class::Answer => "answer",
            Class::Data => "data",
            Class::Sync => "sync",
            Class::Condition => "condition",
            Class::Latch => "latch",
        }
    }

    /// Whether such a fault is on all that its kind makes sense on, unless methods are named.
    #[must_use]
    pub(crate) fn has_own_reach(self) -> bool {
        self == Class::Sync || !self.is_fault()
    }

    /// Whether it is that of a fault, several of whose effects may stand together.
    #[must_use]
    pub(crate) fn is_fault(self) -> bool {
        !matches!(self, Class::Condition | Class::Latch)
    }
}

/// Where a fault on reads of cached files is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPoint {
    /// Once for each read(2).
    Call,
    /// At each READ that arrives.
    Request,
}

/// A kind of fault.
pub trait Kind: Sync {
    /// Its name, `[a-z-]+`: the command, the name in Thrift and JSON, the heading of the reference.
    fn name(&self) -> &'static str;

    /// What it does, in one line.
    fn about(&self) -> &'static str;

    /// What it means, and examples: each line that begins with four blanks and `slowfs` is one.
    fn details(&self) -> &'static str;

    /// What it takes, that which needs no name first.
    fn params(&self) -> &'static [Param];

    /// Beside what it may stand.
    fn class(&self) -> Class;

    /// The methods on which it makes sense, whatever its values; most refuse others.
    fn reach(&self) -> MethodSet {
        MethodSet::ALL
    }

    /// Whether it decides what a request is answered.
    fn answers(&self) -> bool {
        false
    }

    /// Methods on which it can be set and does nothing, and why, as in "no caller comes with them".
    fn idle_on(&self) -> (MethodSet, &'static str) {
        (MethodSet::EMPTY, "")
    }

    /// Whether what it fires on waits until the fault has gone: nothing that the fault does besides
    /// ever comes.
    fn holds_for_good(&self) -> bool {
        false
    }

    /// Whether it holds for a time that `--ramp` can let grow.
    fn can_grow(&self) -> bool {
        false
    }

    /// Where it decides reads of cached files.
    fn read_point(&self) -> ReadPoint {
        ReadPoint::Call
    }

    /// Texts that come with it, by name: to be shown, changed and given as files.
    fn files(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Its values with those of the file that they name, if they do. Whoever types them has it read; the
    /// daemon opens no file that a client names.
    ///
    /// # Errors
    /// The file cannot be read, or is none for it.
    fn with_file(
        &self,
        args: Args,
        _read: &dyn Fn(&str) -> Result<String, ValueError>,
    ) -> Result<Args, SpecError> {
        Ok(args)
    }

    /// A setting of it, from values that are straightened and complete ([`make`]).
    ///
    /// # Errors
    /// Values that do not go together.
    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError>;
}

/// How a fault is put in force.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// What is drawn for whatever is no match comes from here.
    pub draw: Draw,
    /// It is for every path.
    pub everywhere: bool,
    /// On these methods.
    pub methods: MethodSet,
}

/// One setting of a kind.
pub trait Effect: fmt::Debug + Send + Sync {
    /// The kind.
    fn kind(&self) -> &'static dyn Kind;

    /// Its values: [`Kind::make`] makes the same of them.
    fn args(&self) -> Args;

    /// The methods on which it makes sense: those of its kind, or fewer; of a latch, those at which it sets
    /// in, too.
    fn reach(&self) -> MethodSet {
        self.kind().reach()
    }

    /// Of a latch that waits for one of them: the methods at whose operation it sets in.
    fn sets_in_at(&self) -> Option<MethodSet> {
        None
    }

    /// Whether what has been done is reported as failed.
    fn fails_late(&self) -> bool {
        false
    }

    /// It is in force from now on.
    fn begins(&self, _: &Begun) {}

    /// The space that it counts, if it does: what requests take is reserved there and settled.
    fn ledger(&self) -> Option<&Ledger> {
        None
    }

    /// Whether it can do anything to this request. If not, the fault skips it, and rolls no dice.
    fn applies(&self, _: &Operation<'_>) -> bool {
        true
    }

    /// Which operations `applies` leaves out, for the log: what follows "skips operations". Empty if
    /// it leaves out none.
    fn skips(&self) -> &'static str {
        ""
    }

    /// Whether it leaves alone what the kernel writes back by itself.
    fn spares_the_kernel(&self) -> bool {
        false
    }

    /// As it is typed, if what it does can be seen only where what is not durable is remembered.
    fn needs_tracking(&self) -> Option<&'static str> {
        None
    }

    /// Whether it does more the more bytes a request has.
    fn looks_at_bytes(&self) -> bool {
        false
    }

    /// Whether it asks where the file ends of which this request reads. That takes a system call, which is
    /// made before any lock is taken.
    fn looks_at_end(&self, _: &Operation<'_>) -> bool {
        false
    }

    /// What of its values is hardly meant, or not seen by who may look for it, in one clause; whether it is
    /// for every path.
    fn doubt(&self, _everywhere: bool) -> Option<String> {
        None
    }

    /// Adds what it does to this request. A condition that adds nothing has not fired on it.
    fn plan(&self, op: &Operation<'_>, draw: &Draw, plan: &mut Plan);

    /// Methods whose requests it must learn the outcome of although it did not plan for them.
    fn follows(&self) -> MethodSet {
        MethodSet::EMPTY
    }

    /// What it must be told when this request is done.
    fn wants(&self, _: &Operation<'_>) -> Wants {
        Wants::default()
    }

    /// A request that it planned for, or follows, is done and about to be answered. Called once,
    /// also if the request was released, failed, or its caller killed.
    fn done(&self, _: &Operation<'_>, _: &Done<'_>) {}
}

/// The kind of that name.
///
/// # Errors
/// There is none; the nearest is named.
pub(crate) fn find(name: &str) -> Result<&'static dyn Kind, SpecError> {
    let found = KINDS.iter().find(|kind| kind.name() == name).copied();
    found.ok_or_else(|| SpecError::UnknownKind {
        name: name.chars().take(40).collect(),
        near: closest(name, KINDS.iter().map(|kind| kind.name())).map(str::to_owned),
    })
}

/// A setting of the kind of that name, from values as they came: as typed, or as data.
///
/// # Errors
/// What is unknown, missing or wrong, by name.
pub(crate) fn make(name: &str, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
    let kind = find(name)?;
    let mut straight = Args::new();
    for (name, value) in args {
        let param = param(kind, name)?;
        let value = param.of.straighten(value).map_err(|why| SpecError::Value {
            of: kind.name().to_owned(),
            param: name.clone(),
            why,
        })?;
        straight.insert(name, value);
    }
    let missing = kind.params().iter().find(|p| p.required && straight.get(p.name).is_none());
    match missing {
        Some(Param { name, about, .. }) => {
            Err(SpecError::Missing { kind: kind.name(), param: name, about })
        }
        None => kind.make(&straight),
    }
}

/// A kind's parameter of that name.
///
/// # Errors
/// There is none; the nearest is named.
pub(crate) fn param(kind: &dyn Kind, name: &str) -> Result<&'static Param, SpecError> {
    let found = kind.params().iter().find(|param| param.name == name);
    found.ok_or_else(|| SpecError::UnknownParam {
        of: kind.name().to_owned(),
        name: name.chars().take(40).collect(),
        near: closest(name, kind.params().iter().map(|param| param.name)).map(str::to_owned),
    })
}
