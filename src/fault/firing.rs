//! What fired on one operation, and what it does to it: a fault, conditions, or several.
//!
//! Invariant: a fault that is cleared while the operation is held asks nothing any more, whether it
//! holds it or not, and what the others ask still counts. What is not held is decided when it comes.
//! No locks.

mod shared;
mod spoiler;
mod told;
mod traced;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{fmt, mem};

use super::id::FaultId;
use super::live::{Live, Rank, Strike};
use super::once::Said;
use super::operation::Operation;
use super::plan::{After, Hold, Plan, Reply, When};
use super::words::Errno;
use crate::ops::{Call, MethodSet};
use crate::sys::process::Process;
use shared::Acts;
pub(crate) use shared::Shared;

/// One fault that fired on an operation, or follows it.
pub(super) struct Firing {
    pub(super) live: Arc<Live>,
    /// What it does; nothing, if it only follows.
    pub(super) plan: Plan,
    /// The operation's methods, of the paths that it matched.
    methods: MethodSet,
    /// The number of its match; None if it only follows.
    n: Cell<Option<u64>>,
    /// Whether it may refuse the operation for want of space.
    limits: bool,
    acts: Cell<Acts>,
    /// The fault may not fire any more.
    pub(super) last: bool,
    /// It was cleared while the operation was held, or let it go: it asks nothing any more.
    gone: bool,
    /// It is counted as holding the operation.
    holds: bool,
    /// Of an operation that the kernel repeats: only its outcome counts, and the fault counts those.
    repeated: Option<Arc<()>>,
}

impl Firing {
    /// Of a fault that fired and has yet to say what it does, or of one that follows, on these methods
    /// of the operation.
    #[inline]
    pub(super) fn new(live: &Arc<Live>, strike: Option<&Strike>, methods: MethodSet) -> Firing {
        Firing {
            live: Arc::clone(live),
            plan: Plan::default(),
            methods,
            n: Cell::new(strike.map(|strike| strike.n)),
            limits: strike.is_some(),
            acts: Cell::new(if strike.is_some() { Acts::AsPlanned } else { Acts::No }),
            last: strike.is_some_and(|strike| strike.last),
            gone: false,
            holds: false,
            repeated: None,
        }
    }

    /// After whose rank nobody is asked any more: it is a fault, or it answers.
    pub(super) fn ends(&self) -> Option<Rank> {
        let answers = self.live.is_fault() || self.plan.reply != Reply::Own;
        answers.then(|| self.live.rank())
    }

    /// How long it holds an operation that has run then, or has yet to.
    fn asked(&self, ran: Option<Instant>) -> Hold {
        match ran {
            None => self.plan.before,
            Some(_) if self.plan.after.is_none() => Hold::No,
            Some(ran) => Hold::for_time(ran, self.plan.after.wait(None)),
        }
    }

    /// Whether it fired, and does not only follow.
    fn fired(&self) -> bool {
        self.acts.get() != Acts::No
    }

    /// What only follows may do so on methods that it does not have itself.
    fn is_cleared(&self) -> bool {
        let methods = self.live.methods();
        if self.n.get().is_none() { methods.is_empty() } else { !methods.intersects(self.methods) }
    }

    fn repeat(&self) -> Firing {
        let (before, after) = (Hold::No, After::No);
        Firing {
            live: Arc::clone(&self.live),
            plan: Plan { before, after, kill: false, ..self.plan.clone() },
            last: false,
            n: self.n.clone(),
            acts: self.acts.clone(),
            holds: false,
            repeated: Some(self.live.repeat()),
            ..*self
        }
    }
}

/// What fired on one operation: first it is held, then its caller killed, then it runs as the plan
/// says, or is answered.
///
/// It is handed on several times, so it is small: what few have is apart.
pub struct Hit {
    first: Firing,
    rest: Option<Box<Rest>>,
    caller: u32,
    /// SIGKILL may not wake the caller.
    unwakable: bool,
    /// The caller's process is not looked for.
    unasked: bool,
}

/// What few hits have.
#[derive(Default)]
struct Rest {
    more: Vec<Firing>,
    /// The caller's process, once it was looked for.
    process: Option<Process>,
    /// When it had run, if it has, and its answer is held.
    ran: Option<Instant>,
    /// What was done because of it, of which all have to know before it is answered.
    said: Option<Said>,
}

impl Hit {
    #[inline]
    pub(super) fn new(first: Firing, op: &Operation<'_>) -> Hit {
        Hit { first, rest: None, caller: op.caller.tid, unwakable: op.is_unwakable, unasked: false }
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// The firings beyond the first.
    fn more(&self) -> &[Firing] {
        self.rest.as_ref().map_or(&[], |rest| &rest.more)
    }

    /// The latest firing.
    #[inline]
    fn latest(&mut self) -> &mut Firing {
        let more = self.rest.as_mut().and_then(|rest| rest.more.last_mut());
        more.unwrap_or(&mut self.first)
    }

    #[cold]
    pub(super) fn add(&mut self, firing: Firing) {
        self.rest().more.push(firing);
    }

    /// The latest only follows, and may refuse the operation all the same.
    #[cold]
    pub(super) fn limit(&mut self) {
        self.latest().limits = true;
    }

    /// The latest has fired: it says what it does.
    #[inline]
    pub(super) fn fire(&mut self, op: &Operation<'_>, strike: &Strike) -> &Firing {
        let latest = self.latest();
        let (n, acts) = latest.live.plan(op, strike, &mut latest.plan);
        latest.n.set(n);
        latest.limits = n.is_some();
        latest.acts.set(if acts { Acts::AsPlanned } else { Acts::No });
        latest
    }

    /// Whom it is going to kill is found now: when it is due the thread may have ended.
    #[inline]
    pub(super) fn find_victim(&mut self, op: &Operation<'_>) {
        if self.process().is_none() && self.firings().any(|firing| firing.plan.kill) {
            self.rest().process = op.victim();
        }
    }

    /// Those that were asked, also if they let it pass: they may have acted on others when these ran.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Live> {
        self.firings().filter(|firing| firing.n.get().is_some()).map(|firing| &*firing.live)
    }

    /// It is not answered before that.
    pub(super) fn awaits(&mut self, said: Said) {
        self.rest().said = Some(said);
    }

    /// What it is to wait for before it is answered, if there is such. For one caller.
    pub(crate) fn take_said(&mut self) -> Option<Said> {
        self.rest.as_mut()?.said.take()
    }

    pub(super) fn firings(&self) -> impl Iterator<Item = &Firing> {
        std::iter::once(&self.first).chain(self.more())
    }

    fn each(&mut self) -> impl Iterator<Item = &mut Firing> {
        let more = self.rest.iter_mut().flat_map(|rest| &mut rest.more);
        std::iter::once(&mut self.first).chain(more)
    }

    /// Those whose fault was not cleared while the operation was held.
    fn asking(&self) -> impl Iterator<Item = &Firing> {
        self.firings().filter(|firing| !firing.gone)
    }

    /// Looks which of the faults were cleared while the operation was held: they hold it no longer.
    /// Whether one is left that fired.
    pub(crate) fn settle(&mut self) -> bool {
        for firing in self.each().filter(|firing| firing.is_cleared()) {
            firing.gone = true;
            if mem::take(&mut firing.holds) {
                firing.live.holding().remove();
            }
        }
        self.asking().any(|firing| firing.fired())
    }

    /// Its caller leaves and is held no longer: what stands still answers, and faults do nothing.
    pub(super) fn let_go(&mut self) {
        let faults = self.each().filter(|firing| firing.live.is_fault());
        faults.for_each(|firing| firing.gone = true);
    }

    /// The same outcome once more, of the same operation that the kernel repeats after a fault failed
    /// it: at once, and without another kill. None if no fault did: what stands is asked again.
    #[must_use]
    pub fn repeat(&self) -> Option<Hit> {
        let failed = |firing: &&Firing| firing.live.is_fault() && firing.plan.errno().is_some();
        let first = self.asking().find(failed)?.repeat();
        let (process, ran) = (self.process(), self.ran());
        let rest = Rest { process, ran, ..Rest::default() };
        Some(Hit { first, rest: Some(Box::new(rest)), ..*self })
    }

    /// Whether it is such a repetition.
    #[must_use]
    pub(crate) fn is_repeated(&self) -> bool {
        self.firings().any(|firing| firing.repeated.is_some())
    }

    /// The outcome of the operation that it repeats counts too.
    pub(super) fn join(&mut self, before: Hit) {
        let more = &mut self.rest().more;
        more.push(before.first);
        more.extend(before.rest.map(|rest| rest.more).into_iter().flatten());
    }

    /// The fault that decided, or the first of the conditions that did.
    #[must_use]
    pub fn id(&self) -> FaultId {
        let fault = self.firings().find(|firing| firing.fired() && firing.live.is_fault());
        let fired = || self.firings().find(|firing| firing.fired());
        fault.or_else(fired).unwrap_or(&self.first).live.id
    }

    /// How long to hold the operation: until the last of those is over that still ask it.
    #[must_use]
    pub fn hold(&self) -> Hold {
        let mut hold = Hold::No;
        let ran = self.ran();
        self.asking().for_each(|firing| hold.add(firing.asked(ran)));
        hold
    }

    /// Whether one asks how long the backing takes, to hold the answer by that.
    #[must_use]
    pub(crate) fn is_timed(&self) -> bool {
        self.asking().any(|firing| matches!(firing.plan.after, After::By(_)))
    }

    /// It has run, or been answered without, and the backing took so long, if that was asked: from now
    /// on its answer is what is held.
    pub(crate) fn has_run(&mut self, took: Option<Duration>) {
        self.rest().ran = Some(Instant::now());
        for firing in self.each() {
            if !firing.plan.after.is_none() {
                firing.plan.after = After::For(firing.plan.after.wait(took));
            }
        }
    }

    /// When it had run, if it has and its answer may be held.
    pub(crate) fn ran(&self) -> Option<Instant> {
        self.rest.as_ref()?.ran
    }

    /// What it is answered once it was held, whatever the operation itself would say; else that.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        self.asking().find_map(|firing| firing.plan.errno())
    }

    /// Whether it is then answered with an error, and nothing of it runs.
    #[must_use]
    pub(crate) fn only_answers(&self) -> bool {
        let mut answers = false;
        for Firing { plan, .. } in self.asking() {
            match plan.reply {
                _ if plan.changes_data() => return false,
                Reply::Errno(_, When::After) => return false,
                Reply::Errno(_, When::Before) => answers = true,
                Reply::Own | Reply::Whole => {}
            }
        }
        answers && self.ran().is_none()
    }

    /// What is to be done now that it is held no longer, unless that is what its first fault asks:
    /// several ask, or it was cleared meanwhile and asks nothing.
    #[must_use]
    pub(crate) fn joint_plan(&self) -> Option<Plan> {
        if self.more().is_empty() && !self.first.gone {
            return None;
        }
        let mut plan = Plan::default();
        self.asking().for_each(|firing| plan.add(&firing.plan));
        Some(plan)
    }

    /// What its first fault asks.
    #[must_use]
    pub(crate) fn first_plan(&self) -> &Plan {
        &self.first.plan
    }

    /// The fault that kills, if one does.
    #[must_use]
    pub(crate) fn killer(&self) -> Option<FaultId> {
        self.asking().find(|firing| firing.plan.kill).map(|firing| firing.live.id)
    }

    /// The thread that asked for the operation; 0 if unknown.
    #[must_use]
    pub fn caller(&self) -> u32 {
        self.caller
    }

    /// The process of that thread, as it was when the operation came. None if it was not looked for
    /// (nothing is held, nobody killed) or not found.
    pub(crate) fn process(&self) -> Option<Process> {
        self.rest.as_ref()?.process
    }

    /// Says whether its caller is looked for.
    pub(super) fn ask_for_caller(&mut self, asked: bool) {
        self.unasked = !asked;
    }

    /// The faults that have the power cut at it; the first says how.
    pub(crate) fn cutters(&self) -> Vec<FaultId> {
        let cuts = |firing: &&Firing| firing.plan.change.as_ref().is_some_and(|c| c.cut.is_some());
        self.firings().filter(cuts).map(|firing| firing.live.id).collect()
    }

    /// Whether one of its firings is about one of these methods.
    pub(super) fn concerns(&self, methods: MethodSet) -> bool {
        self.firings().any(|firing| firing.methods.intersects(methods))
    }

    pub(super) fn know_caller(&mut self, process: Process) {
        self.rest().process = Some(process);
    }

    /// Whether it is a read or a write without a known caller: somebody may wait for it who does not
    /// show, as for the kernel's own write-back.
    pub(super) fn is_nobodys(&self) -> bool {
        let data = Call::Read.methods().union(Call::Write.methods());
        let is_unknown = self.process().is_none() && !self.unasked;
        is_unknown && self.concerns(data)
    }

    /// Whether the thread that waits for it may be one that SIGKILL does not wake.
    pub(super) fn is_unwakable(&self) -> bool {
        self.unwakable
    }

    /// Process and thread of the caller, if they are known.
    pub(super) fn known_caller(&self) -> Option<(Process, u32)> {
        self.process().map(|process| (process, self.caller))
    }

    /// Whether one that holds it was cleared.
    pub(super) fn has_lost(&self) -> bool {
        self.firings().any(|firing| firing.holds && firing.is_cleared())
    }

    /// It is held from now on.
    pub(super) fn count_held(&mut self) {
        let ran = self.ran();
        for firing in self.each().filter(|firing| !firing.gone) {
            firing.holds = firing.asked(ran) != Hold::No;
            if firing.holds {
                firing.live.holding().add();
            }
        }
    }

    /// It is held no longer, cut short or not.
    pub(super) fn count_freed(&mut self, let_go: bool) {
        for firing in self.each() {
            if mem::take(&mut firing.holds) {
                firing.live.holding().remove();
                firing.live.let_go.fetch_add(u64::from(let_go), Ordering::Relaxed);
            }
        }
    }
}

impl fmt::Debug for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hit")
            .field("id", &self.id().0)
            .field("firings", &(1 + self.more().len()))
            .field("caller", &self.caller)
            .field("plan", self.joint_plan().as_ref().unwrap_or(self.first_plan()))
            .finish_non_exhaustive()
    }
}
