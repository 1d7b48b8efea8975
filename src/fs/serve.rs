//! One path for every request: gate, hold, and then `run`.
//!
//! Unarmed, an operation costs one relaxed load here. A held one owns its arguments, leaves the loop
//! thread and goes on when the delay line says so.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use fuser::INodeNo;

use super::kept::Kept;
use super::reads::Span;
use super::reply::Answer;
use super::run::{Struck, Task, Work};
use super::underway::{Claim, Share};
use super::{Core, Node, SlowFs, Tree};
use crate::fault::{Delay, Hit, Memo, Outcome, Subject, Verdict, hold};
use crate::mirror::{Caller, Ino};
use crate::ops::{Call, MethodSet};

/// The names and data that came with a request.
#[derive(Clone, Copy, Default)]
pub(super) struct Args<'a> {
    pub(super) name: &'a OsStr,
    pub(super) other: &'a OsStr,
    pub(super) data: &'a [u8],
}

impl<'a> Args<'a> {
    pub(super) fn name(name: &'a OsStr) -> Args<'a> {
        Args { name, ..Args::default() }
    }

    pub(super) fn data(data: &'a [u8]) -> Args<'a> {
        Args { data, ..Args::default() }
    }

    pub(super) fn names(name: &'a OsStr, other: &'a OsStr) -> Args<'a> {
        Args { name, other, data: &[] }
    }

    pub(super) fn to_owned(self) -> OwnedArgs {
        OwnedArgs { name: self.name.into(), other: self.other.into(), data: self.data.into() }
    }
}

/// The same, owned by an operation that left its loop thread.
pub(super) struct OwnedArgs {
    name: OsString,
    other: OsString,
    data: Vec<u8>,
}

impl OwnedArgs {
    pub(super) fn lend(&self) -> Args<'_> {
        Args { name: &self.name, other: &self.other, data: &self.data }
    }

    /// With these data in place of its own.
    pub(super) fn lend_with<'a>(&'a self, data: &'a [u8]) -> Args<'a> {
        Args { data, ..self.lend() }
    }
}

/// What an operation is about.
#[derive(Clone, Copy)]
pub(super) enum On {
    /// A known inode, by whatever names it has.
    Inode(Ino),
    /// The entry `args.name` of this directory.
    Name(Ino),
    /// The entry `args.other` of this directory.
    Other(Ino),
}

/// A request: its kind, and what each path of it consults.
#[derive(Clone, Copy)]
pub(super) struct Op {
    pub(super) call: Call,
    pub(super) caller: Caller,
    pub(super) targets: [Option<(On, MethodSet)>; 2],
    /// Its number on the connection.
    unique: u64,
    /// Runs even if a fault fails it: what must not leak is given back all the same.
    pub(super) must_run: bool,
    /// How many loop threads it may find busy and still run on one.
    pub(super) share: Share,
    /// When it arrived, if it is timed: a clock read costs more than the whole gate.
    pub(super) arrived: Option<Instant>,
    /// What a READ that fills the page cache asks for.
    pub(super) pages: Option<Span>,
}

impl Op {
    /// An operation on one path that consults what the table says.
    pub(super) fn new(req: &fuser::Request, call: Call, on: On) -> Op {
        Op {
            call,
            caller: Caller {
                uid: req.uid(),
                gid: req.gid(),
                tid: req.pid(),
                process: None,
                umask: 0,
            },
            targets: [Some((on, call.methods())), None],
            unique: req.unique().0,
            must_run: false,
            share: Share::Any,
            arrived: None,
            pages: None,
        }
    }

    pub(super) fn and(mut self, on: On, methods: MethodSet) -> Op {
        self.targets[1] = Some((on, methods));
        self
    }

    pub(super) fn consulting(mut self, methods: MethodSet) -> Op {
        self.targets[0] = self.targets[0].map(|(on, _)| (on, methods));
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

    pub(super) fn filling(mut self, pages: Option<Span>) -> Op {
        self.pages = pages;
        self
    }

    /// The known inode that it is about first, if it is about one.
    pub(super) fn inode(&self) -> Option<Ino> {
        match self.targets {
            [Some((On::Inode(ino), _)), _] => Some(ino),
            _ => None,
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
        let of = |t: Option<(On, MethodSet)>| t.map_or(MethodSet::EMPTY, |(_, m)| m);
        of(first).union(of(second))
    }
}

impl SlowFs {
    /// Serves one request.
    pub(super) fn serve<R, F>(&self, op: Op, args: Args<'_>, reply: R, run: F)
    where
        R: Answer,
        F: FnOnce(&Core, Caller, Args<'_>) -> io::Result<R::Value> + Send + 'static,
    {
        self.serve_filling(op, args, reply, move |core, caller, args, _| run(core, caller, args));
    }

    /// Serves a request on an inode that came without names or data.
    pub(super) fn serve_inode<R, F>(
        &self,
        req: &fuser::Request,
        call: Call,
        ino: INodeNo,
        reply: R,
        run: F,
    ) where
        R: Answer,
        F: FnOnce(&Core, Ino, Caller) -> io::Result<R::Value> + Send + 'static,
    {
        let ino = Ino(ino.0);
        let op = Op::new(req, call, On::Inode(ino));
        self.serve(op, Args::default(), reply, move |core, caller, _| run(core, ino, caller));
    }

    /// Serves a request whose operation fills its reply as it goes.
    pub(super) fn serve_filling<R, F>(&self, mut op: Op, args: Args<'_>, reply: R, run: F)
    where
        R: Answer,
        F: FnOnce(&Core, Caller, Args<'_>, &mut R) -> io::Result<R::Value> + Send + 'static,
    {
        self.core.underway.sit();
        let armed = self.core.gate.armed_methods();
        if self.core.options.time_all || !armed.is_empty() {
            op.arrived = Some(Instant::now());
        }
        let repeated = op.pages.is_some() && self.core.readers.pending();
        if !repeated && (armed.is_empty() || !self.core.is_subject(armed, &op)) {
            self.core.run(&op, args, None, reply, run);
        } else {
            self.serve_armed(Task { op, reply, run }, args);
        }
    }

    #[cold]
    fn serve_armed<R: Answer, F: Work<R>>(&self, mut task: Task<R, F>, args: Args<'_>) {
        let arrived = task.op.arrived.unwrap_or_else(Instant::now);
        let Verdict::Hit(hit) = self.core.decide(&task.op, args) else {
            return self.core.run(&task.op, args, None, task.reply, task.run);
        };
        match hit.delay() {
            None => {
                let struck = self.core.struck(&mut task.op, &hit, Outcome::Due);
                self.core.go_on(task, args, struck);
            }
            Some(Delay::For(delay)) if delay < hold::SPIN_BELOW => {
                let struck = self.core.struck(&mut task.op, &hit, Outcome::Due);
                self.core.go_on(task, args, struck.at(arrived.checked_add(delay)));
            }
            Some(_) => {
                self.hold(hit, arrived, task, args);
            }
        }
    }

    /// Holds an operation, and what it keeps where there is room.
    fn hold<R: Answer, F: Work<R>>(
        &self,
        hit: Hit,
        arrived: Instant,
        mut task: Task<R, F>,
        args: Args<'_>,
    ) {
        let (core, must_run) = (Arc::clone(&self.core), task.op.must_run);
        let kept = (!args.data.is_empty()).then(|| Kept::new(&core.keep, args.data));
        let (args, own) = (Args { data: &[], ..args }.to_owned(), kept.clone());
        let job = move |hit: Hit, outcome: Outcome| {
            let struck = core.struck(&mut task.op, &hit, outcome);
            drop(hit);
            core.go_on_held(task, &args, own, struck);
        };
        self.core.line.hold(hit, arrived, must_run, Box::new(job));
        if let Some(kept) = kept.filter(|kept| kept.is_too_much()) {
            self.core.line.help(Box::new(move || kept.store()));
        }
    }
}

impl Core {
    /// Whether the armed methods concern the operation.
    #[cold]
    fn is_subject(&self, armed: MethodSet, op: &Op) -> bool {
        if armed.intersects(Call::Lookup.methods()) && !Core::is_step(op) {
            self.walks.end(op.caller.tid, op.call);
        }
        armed.intersects(op.methods())
    }

    fn decide(&self, op: &Op, args: Args<'_>) -> Verdict {
        let [first, second] = op.targets.map(|t| t.and_then(|t| self.place(t, args)));
        match (&first, &second) {
            (Some(a), Some(b)) => self.gate.decide(&[a, b], op.caller.tid),
            (Some(one), None) if Core::is_step(op) => self.decide_step(op, one),
            (Some(one), None) if Core::is_cached_read(op) => self.decide_read(op, one),
            (Some(one), None) | (None, Some(one)) => self.gate.decide(&[one], op.caller.tid),
            (None, None) => Verdict::Run,
        }
    }

    fn place<'a>(&'a self, (on, methods): (On, MethodSet), args: Args<'a>) -> Option<Place<'a>> {
        let (ino, name) = match on {
            On::Inode(ino) => (ino, None),
            On::Name(parent) => (parent, Some(args.name)),
            On::Other(parent) => (parent, Some(args.other)),
        };
        // An inode that is gone has no path; the operation itself will say ESTALE.
        let inode = self.tree.inode(ino).ok()?;
        Some(Place { tree: &self.tree, inode, name, methods })
    }

    /// What a fault still does to an operation that is held no longer. Whose it is, is known by now.
    fn struck(&self, op: &mut Op, hit: &Hit, outcome: Outcome) -> Struck {
        op.caller.process = hit.process();
        if outcome == Outcome::CallerKilled {
            self.walks.end(op.caller.tid, op.call);
        }
        if outcome == Outcome::Due && hit.errno().is_some() {
            self.read_fails(op, hit);
        }
        Struck::after(hit, outcome)
    }

    /// Whether a fault on these methods matches the inode: no dice, nothing counted.
    pub(super) fn concerned(&self, inode: &Arc<Node>, methods: MethodSet) -> bool {
        self.gate.armed(methods) && self.gate.concerns(&[&self.place_of(inode, methods)])
    }

    /// An inode, by whatever names it has, as what an operation with these methods is about.
    pub(super) fn place_of(&self, inode: &Arc<Node>, methods: MethodSet) -> Place<'_> {
        Place { tree: &self.tree, inode: Arc::clone(inode), name: None, methods }
    }

    /// The backing path of a target, for people.
    pub(super) fn path_of(&self, target: (On, MethodSet), args: Args<'_>) -> Option<Vec<u8>> {
        Some(self.place(target, args)?.path())
    }
}

/// One file or entry that an operation is about, as the gate sees it.
pub(super) struct Place<'a> {
    tree: &'a Tree,
    inode: Arc<Node>,
    name: Option<&'a OsStr>,
    methods: MethodSet,
}

impl<'a> Place<'a> {
    pub(super) fn inode(&self) -> &Arc<Node> {
        &self.inode
    }

    /// The same place, of a request that consults these methods.
    pub(super) fn consulting(&self, methods: MethodSet) -> Place<'a> {
        Place { tree: self.tree, inode: Arc::clone(&self.inode), name: self.name, methods }
    }

    /// The path by the name that the request came with, or else the one used last.
    fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        match self.name {
            Some(name) => self.tree.child_path(&self.inode, name, &mut path),
            None => self.tree.path(&self.inode, &mut path),
        }
        path
    }
}

impl Subject for Place<'_> {
    fn methods(&self) -> MethodSet {
        self.methods
    }

    fn memo(&self) -> Option<&Memo> {
        self.name.is_none().then_some(&self.inode.note.memo)
    }

    fn epoch(&self) -> u64 {
        self.tree.epoch(&self.inode)
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        match self.name {
            Some(_) => visit(&self.path()),
            None => self.tree.paths(&self.inode, visit),
        }
    }
}
