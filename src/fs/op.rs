//! A request as it was decoded: what it is, what it is about, what came with it. No locks.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Instant;

use super::altered::{Altered, Parts};
use super::noted::Noted;
use super::underway::{Claim, Share};
use crate::fault::operation::{self, Operation, Span};
use crate::fault::plan::Sync;
use crate::mirror::{Caller, Fh, Ino};
use crate::ops::{Call, MethodSet};

/// The names and data that came with a request.
#[derive(Clone, Copy, Default)]
pub(super) struct Operands<'a> {
    pub(super) name: &'a OsStr,
    pub(super) other: &'a OsStr,
    pub(super) data: &'a [u8],
    /// What is otherwise about it, where a fault says so.
    pub(super) altered: Option<&'a Altered<'a>>,
    /// How it was when it arrived, if somebody is told of it.
    pub(super) noted: Option<&'a Arc<Noted>>,
    /// Something is remembered of what is stored, which it may write over. Who runs it later looks again.
    pub(super) guarded: bool,
    /// How often the power had been cut when it left the thread on which it came.
    pub(super) cuts: u32,
}

impl<'a> Operands<'a> {
    pub(super) fn name(name: &'a OsStr) -> Operands<'a> {
        Operands { name, ..Operands::default() }
    }

    pub(super) fn data(data: &'a [u8]) -> Operands<'a> {
        Operands { data, ..Operands::default() }
    }

    pub(super) fn names(name: &'a OsStr, other: &'a OsStr) -> Operands<'a> {
        Operands { name, other, ..Operands::default() }
    }

    /// What of the data is to be written, where a fault says so.
    pub(super) fn parts(&self) -> Option<Parts<'a>> {
        self.altered.and_then(Altered::parts)
    }

    /// Whether the answer waits once it has run.
    pub(super) fn is_answered_late(&self) -> bool {
        self.altered.is_some_and(|altered| altered.late)
    }

    /// Whether its sync is to be done.
    pub(super) fn sync(&self) -> Sync {
        self.altered.map_or(Sync::Own, |altered| altered.sync)
    }

    pub(super) fn to_owned(self) -> OwnedOperands {
        OwnedOperands {
            name: self.name.into(),
            other: self.other.into(),
            data: self.data.into(),
            noted: self.noted.cloned(),
            cuts: self.cuts,
        }
    }
}

/// The same, owned by an operation that left its loop thread.
pub(super) struct OwnedOperands {
    name: OsString,
    other: OsString,
    data: Vec<u8>,
    noted: Option<Arc<Noted>>,
    cuts: u32,
}

impl OwnedOperands {
    pub(super) fn lend(&self) -> Operands<'_> {
        Operands {
            name: &self.name,
            other: &self.other,
            data: &self.data,
            altered: None,
            noted: self.noted.as_ref(),
            guarded: false,
            cuts: self.cuts,
        }
    }

    /// With these data in place of its own.
    pub(super) fn lend_with<'a>(&'a self, data: &'a [u8]) -> Operands<'a> {
        Operands { data, ..self.lend() }
    }
}

/// What an operation is about.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// A known inode, by whatever names it has.
    Inode(Ino),
    /// The entry `operands.name` of this directory.
    Name(Ino),
    /// The entry `operands.other` of this directory.
    Other(Ino),
}

impl Target {
    /// The inode, or the directory of the entry.
    pub(super) fn ino(self) -> Ino {
        match self {
            Target::Inode(ino) | Target::Name(ino) | Target::Other(ino) => ino,
        }
    }
}

/// A request: its kind, and what each path of it consults.
#[derive(Clone, Copy)]
pub(super) struct Op {
    pub(super) call: Call,
    pub(super) caller: Caller,
    /// As a reader expects them: what it is done with, then what that comes to be.
    pub(super) targets: [Option<(Target, MethodSet)>; 2],
    /// Its number on the connection.
    unique: u64,
    /// Runs even if a fault fails it: what must not leak is given back all the same.
    pub(super) must_run: bool,
    /// How many loop threads it may find busy and still run on one.
    pub(super) share: Share,
    /// When it arrived, if it is timed: a clock read costs more than the whole gate.
    pub(super) arrived: Option<Instant>,
    /// The open file that it came with.
    pub(super) fh: Option<Fh>,
    /// What it reads, writes or allocates.
    pub(super) span: Option<Span>,
    /// Where a copy reads.
    from: u64,
    /// How the file was opened; 0 if it did not say.
    pub(super) flags: i32,
    /// Whether it is a READ that fills the page cache.
    pub(super) paged: bool,
    /// Whether the kernel itself asks: it writes back, or releases.
    pub(super) kernel: bool,
    /// Whether its handle goes past the page cache, if it writes.
    direct: bool,
    /// Whether it gives space back, whatever its bytes are.
    pub(super) frees: bool,
    /// Whether it has two files take each other's names.
    pub(super) exchanges: bool,
    /// Whether somebody is told of it: it is logged, or the reader of a trace wants to see it.
    pub(super) told: bool,
}

impl Op {
    /// An operation on one path that consults what the table says.
    pub(super) fn new(req: &fuser::Request, call: Call, target: Target) -> Op {
        let (uid, gid, tid) = (req.uid(), req.gid(), req.pid());
        let caller = Caller { uid, gid, tid, process: None, umask: 0 };
        Op::asked(req.unique().0, caller, call, target)
    }

    /// The same by this caller, with this number on the connection.
    pub(super) fn asked(unique: u64, caller: Caller, call: Call, target: Target) -> Op {
        Op {
            call,
            caller,
            targets: [Some((target, call.methods())), None],
            unique,
            must_run: false,
            share: Share::Any,
            arrived: None,
            fh: None,
            span: None,
            from: 0,
            flags: 0,
            paged: false,
            kernel: false,
            direct: false,
            frees: false,
            exchanges: false,
            told: false,
        }
    }

    pub(super) fn and(mut self, target: Target, methods: MethodSet) -> Op {
        self.targets[1] = Some((target, methods));
        self
    }

    /// With this one as its source, from that byte on.
    pub(super) fn from(mut self, (source, offset): (Target, u64), methods: MethodSet) -> Op {
        self.targets = [Some((source, methods)), self.targets[0]];
        self.from = offset;
        self
    }

    pub(super) fn consulting(mut self, methods: MethodSet) -> Op {
        self.targets[0] = self.targets[0].map(|(target, _)| (target, methods));
        self
    }

    pub(super) fn umask(mut self, umask: u32) -> Op {
        self.caller.umask = umask;
        self
    }

    pub(super) fn must_run(mut self) -> Op {
        self.must_run = true;
        self
    }

    /// It may block long in the backing whatever the device, as a sync does.
    pub(super) fn slow(mut self) -> Op {
        self.share = Share::Half;
        self
    }

    /// By this open file, these bytes of it.
    pub(super) fn bytes(mut self, fh: Fh, offset: u64, len: u64) -> Op {
        self.fh = Some(fh);
        self.span = Some(Span { offset, len });
        self
    }

    /// By this open file.
    pub(super) fn by(mut self, fh: Fh) -> Op {
        self.fh = Some(fh);
        self
    }

    /// Which was opened so, and whether the kernel itself asks.
    pub(super) fn opened(mut self, flags: i32, kernel: bool) -> Op {
        (self.flags, self.kernel) = (flags, kernel);
        self
    }

    /// Whether its handle goes past the page cache.
    pub(super) fn direct(mut self, direct: bool) -> Op {
        self.direct = direct;
        self
    }

    /// Whether it gives space back.
    pub(super) fn freeing(mut self, frees: bool) -> Op {
        self.frees = frees;
        self
    }

    /// Whether it has two files take each other's names.
    pub(super) fn exchanging(mut self, exchanges: bool) -> Op {
        self.exchanges = exchanges;
        self
    }

    /// Whether SIGKILL may not wake the thread that waits for it. The kernel has a close waited for to its
    /// end. It asks for a read ahead of its reader, who then waits for the page to its end if it truncates
    /// the file. What goes past the page cache may be asynchronous: who ends or executes a program waits
    /// for that to its end, too, as does whoever waits at all where O_DIRECT came by fcntl(2).
    fn is_unwakable(&self) -> bool {
        match self.call {
            Call::Flush | Call::Read => true,
            Call::Write => self.direct || self.flags & libc::O_DIRECT != 0,
            _ => false,
        }
    }

    /// Whether it fills the page cache.
    pub(super) fn filling(mut self, paged: bool) -> Op {
        self.paged = paged;
        self
    }

    /// The bytes that it brings into the page cache, if it does.
    pub(super) fn pages(&self) -> Option<Span> {
        self.span.filter(|_| self.paged)
    }

    /// The request as faults see it.
    pub(super) fn view<'a>(&self, operands: Operands<'a>) -> Operation<'a> {
        let Caller { tid, uid, gid, .. } = self.caller;
        let inode = self.own().map_or(0, |target| target.ino().0);
        let caller = operation::Caller { tid, uid, gid };
        let mut view = Operation::new(self.call, caller, inode);
        view.handle = self.fh.map(|fh| fh.0);
        view.span = self.span;
        view.source = self.source();
        view.data = operands.data;
        view.open_flags = self.flags;
        view.writeback = self.kernel;
        view.is_unwakable = self.is_unwakable();
        view.is_paged = self.paged;
        if let Some(arrived) = self.arrived {
            view.arrives(arrived);
        }
        view
    }

    /// Of a copy what it reads.
    fn source(&self) -> Option<(u64, Span)> {
        let ino = self.inode().filter(|_| self.call == Call::CopyTo)?;
        Some((ino.0, Span { offset: self.from, len: self.span?.len }))
    }

    /// The known inode that it is about first, if it is about one.
    pub(super) fn inode(&self) -> Option<Ino> {
        match self.targets {
            [Some((Target::Inode(ino), _)), _] => Some(ino),
            _ => None,
        }
    }

    /// What its handle and its bytes are of: the first, but of a copy what is written.
    fn own(&self) -> Option<Target> {
        let [first, second] = self.targets.map(|target| target.map(|(target, _)| target));
        if self.call == Call::CopyTo { second } else { first }
    }

    /// What it makes, changes or removes.
    pub(super) fn changes(&self) -> Option<Target> {
        match self.call {
            Call::Rename => self.targets[1].map(|(target, _)| target),
            _ => self.own(),
        }
    }

    /// Whether it consults all that a request of that kind does.
    pub(super) fn consults(&self, call: Call) -> bool {
        call.methods().minus(self.methods()).is_empty()
    }

    pub(super) fn claim(&self) -> Claim {
        Claim { unique: self.unique, tid: self.caller.tid }
    }

    pub(super) fn methods(&self) -> MethodSet {
        let [first, second] = self.targets;
        let of = |t: Option<(Target, MethodSet)>| t.map_or(MethodSet::EMPTY, |(_, m)| m);
        of(first).union(of(second))
    }
}
