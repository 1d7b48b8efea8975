//! One path for every request: gate, hold, run, reply.
//!
//! Unarmed, an operation costs one relaxed load here and runs where it arrived, on borrowed
//! arguments. A held one owns its arguments, leaves the loop thread and is concluded by a worker.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use fuser::INodeNo;

use super::journal::Entry;
use super::reads::Span;
use super::reply::Answer;
use super::{Core, Node, SlowFs, Tree};
use crate::fault::{self, Delay, Hit, Memo, Outcome, Subject, Verdict, hold};
use crate::mirror::Caller;
use crate::ops::{MethodSet, Request};
use crate::sys::process::{self, Killed};

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

    fn to_owned(self) -> OwnedArgs {
        OwnedArgs { name: self.name.into(), other: self.other.into(), data: self.data.into() }
    }
}

/// The same, owned by an operation that left its loop thread.
struct OwnedArgs {
    name: OsString,
    other: OsString,
    data: Vec<u8>,
}

impl OwnedArgs {
    fn lend(&self) -> Args<'_> {
        Args { name: &self.name, other: &self.other, data: &self.data }
    }
}

/// What an operation is about.
#[derive(Clone, Copy)]
pub(super) enum On {
    /// A known inode, by whatever names it has.
    Inode(u64),
    /// The entry `args.name` of this directory.
    Name(u64),
    /// The entry `args.other` of this directory.
    Other(u64),
}

/// A request: its kind, and what each path of it consults.
#[derive(Clone, Copy)]
pub(super) struct Op {
    pub(super) request: Request,
    pub(super) caller: Caller,
    pub(super) targets: [Option<(On, MethodSet)>; 2],
    /// Runs even if a fault fails it: what must not leak is given back all the same.
    must_run: bool,
    /// May block long in the backing, and then should not occupy a loop thread.
    slow: bool,
    /// When it arrived, if it is timed: a clock read costs more than the whole gate.
    arrived: Option<Instant>,
    /// What a READ that fills the page cache asks for.
    pub(super) pages: Option<Span>,
}

impl Op {
    /// An operation on one path that consults what the table says.
    pub(super) fn new(req: &fuser::Request, request: Request, on: On) -> Op {
        Op {
            request,
            caller: Caller { uid: req.uid(), gid: req.gid(), tid: req.pid(), umask: 0 },
            targets: [Some((on, request.methods())), None],
            must_run: false,
            slow: false,
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

    pub(super) fn slow(mut self) -> Op {
        self.slow = true;
        self
    }

    pub(super) fn filling(mut self, pages: Option<Span>) -> Op {
        self.pages = pages;
        self
    }

    /// The known inode that it is about first, if it is about one.
    pub(super) fn inode(&self) -> Option<u64> {
        match self.targets {
            [Some((On::Inode(ino), _)), _] => Some(ino),
            _ => None,
        }
    }

    /// Whether it consults all that a request of that kind does.
    pub(super) fn consults(&self, request: Request) -> bool {
        request.methods().minus(self.methods()).is_empty()
    }

    pub(super) fn methods(&self) -> MethodSet {
        let [first, second] = self.targets;
        let of = |t: Option<(On, MethodSet)>| t.map_or(MethodSet::EMPTY, |(_, m)| m);
        of(first).union(of(second))
    }
}

/// The work of a request on the mirror, run at most once.
pub(super) trait Work<R: Answer>:
    FnOnce(&Core, Caller, Args<'_>, &mut R) -> io::Result<R::Value> + Send + 'static
{
}

impl<R: Answer, F> Work<R> for F where
    F: FnOnce(&Core, Caller, Args<'_>, &mut R) -> io::Result<R::Value> + Send + 'static
{
}

/// A request on its way: what it is, how it is answered, what it does.
struct Task<R, F> {
    op: Op,
    reply: R,
    run: F,
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
        request: Request,
        ino: INodeNo,
        reply: R,
        run: F,
    ) where
        R: Answer,
        F: FnOnce(&Core, Caller) -> io::Result<R::Value> + Send + 'static,
    {
        let op = Op::new(req, request, On::Inode(ino.0));
        self.serve(op, Args::default(), reply, move |core, caller, _| run(core, caller));
    }

    /// Serves a request whose operation fills its reply as it goes.
    pub(super) fn serve_filling<R, F>(&self, mut op: Op, args: Args<'_>, reply: R, run: F)
    where
        R: Answer,
        F: FnOnce(&Core, Caller, Args<'_>, &mut R) -> io::Result<R::Value> + Send + 'static,
    {
        let armed = self.core.gate.armed_methods();
        if self.core.options.time_all || !armed.is_empty() {
            op.arrived = Some(Instant::now());
        }
        let task = Task { op, reply, run };
        let repeated = op.pages.is_some() && self.core.readers.pending();
        if !repeated && (armed.is_empty() || !self.core.is_subject(armed, &op)) {
            self.pass(task, args);
        } else {
            self.serve_armed(task, args);
        }
    }

    #[cold]
    fn serve_armed<R: Answer, F: Work<R>>(&self, task: Task<R, F>, args: Args<'_>) {
        let arrived = task.op.arrived.unwrap_or_else(Instant::now);
        let hit = match self.core.decide(&task.op, args) {
            Verdict::Run => return self.pass(task, args),
            Verdict::Hit(hit) => hit,
        };
        match hit.delay() {
            None => self.core.conclude(hit, Outcome::Due, task, args),
            Some(Delay::For(delay)) if delay < hold::SPIN_BELOW => {
                hold::spin(delay.saturating_sub(arrived.elapsed()));
                self.core.conclude(hit, Outcome::Due, task, args);
            }
            Some(_) => {
                let core = Arc::clone(&self.core);
                let args = args.to_owned();
                let job = move |hit: Hit, outcome: Outcome| {
                    core.conclude(hit, outcome, task, args.lend());
                };
                self.core.line.hold(hit, arrived, Box::new(job));
            }
        }
    }

    /// Runs an operation that no fault concerns.
    fn pass<R: Answer, F: Work<R>>(&self, task: Task<R, F>, args: Args<'_>) {
        let core = &self.core;
        if !task.op.slow {
            return core.finish(task, args);
        }
        // Half the loop threads may wait for the backing; the others stay free for quick requests.
        if core.inline_slow.fetch_add(1, Relaxed) < core.options.threads / 2 {
            core.finish(task, args);
            core.inline_slow.fetch_sub(1, Relaxed);
        } else {
            core.inline_slow.fetch_sub(1, Relaxed);
            let args = args.to_owned();
            let away = Arc::clone(core);
            core.line.run(Box::new(move || away.finish(task, args.lend())));
        }
    }
}

impl Core {
    /// Whether the armed methods concern the operation.
    #[cold]
    fn is_subject(&self, armed: MethodSet, op: &Op) -> bool {
        if armed.intersects(Request::Lookup.methods()) && !Core::is_step(op) {
            self.walks.end(op.caller.tid);
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

    /// Ends an operation that a fault fired on.
    fn conclude<R: Answer, F: Work<R>>(
        &self,
        hit: Hit,
        outcome: Outcome,
        task: Task<R, F>,
        args: Args<'_>,
    ) {
        let errno = match outcome {
            Outcome::Released => None,
            Outcome::CallerKilled => Some(libc::EINTR),
            Outcome::Due => {
                if hit.kill() {
                    kill(task.op.caller.tid);
                }
                let errno = hit.errno().map(fault::Errno::raw);
                if errno.is_some() {
                    self.read_fails(&task.op, &hit);
                }
                errno
            }
        };
        drop(hit);
        let Some(errno) = errno else { return self.finish(task, args) };
        let Task { op, mut reply, run } = task;
        if op.must_run {
            // The fault's errno is the answer, whatever the operation itself would say.
            let _ = run(self, op.caller, args, &mut reply);
        }
        self.answer(op, args, reply, Err(io::Error::from_raw_os_error(errno)), None);
    }

    /// Runs the operation and replies.
    fn finish<R: Answer, F: Work<R>>(&self, task: Task<R, F>, args: Args<'_>) {
        let Task { op, mut reply, run } = task;
        let started = self.options.log_ops.then(Instant::now);
        let result = run(self, op.caller, args, &mut reply);
        self.answer(op, args, reply, result, started);
    }

    /// The one place where results become replies and errors become errnos.
    fn answer<R: Answer>(
        &self,
        op: Op,
        args: Args<'_>,
        reply: R,
        result: io::Result<R::Value>,
        started: Option<Instant>,
    ) {
        self.stats.count(op.request, result.is_err());
        if let Some(arrived) = op.arrived {
            self.stats.time(op.request, arrived.elapsed());
        }
        if self.options.log_ops {
            Entry { core: self, op: &op, args, error: result.as_ref().err(), started }.write();
        }
        match result {
            Ok(value) => reply.ok(value),
            Err(error) => {
                reply.err(fuser::Errno::from_i32(error.raw_os_error().unwrap_or(libc::EIO)));
            }
        }
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

/// Sends SIGKILL to the calling process, and says so when that could not be.
fn kill(tid: u32) {
    match process::kill_caller(tid) {
        Ok(Killed::Sent(_)) => {}
        Ok(Killed::Spared(0)) => {
            tracing::warn!(
                "a kill fault fired on a caller in a pid namespace that cannot be seen from here: spared"
            );
        }
        Ok(Killed::Spared(pid)) => {
            tracing::warn!("a kill fault fired on pid {pid}, which is always spared")
        }
        Err(error) => tracing::warn!("cannot kill the process of thread {tid}: {error}"),
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
