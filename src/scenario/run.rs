//! One run of a scenario: its state, and the thread that does its steps at their times.
//!
//! It owns the faults that it has set: when it ends, these are lifted, and no others. Invariant: once it
//! has ended it changes nothing any more.
//! Lock rule: the state's lock is held over memory work only, a change of the table among it; nobody is
//! told of a change under it. A step at a firing takes it under the table's turn.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use std::{io, mem};

use parking_lot::{Condvar, Mutex};
use tracing::{info, warn};

use super::event::{Did, Event, Raw, What};
use super::phase::{Phase, Progress, Why};
use super::prepared::{Act, prepared};
use super::script::{Script, When};
use super::work::{Hands, Work};
use crate::fault::words::{time_text, visible};
use crate::fault::{
    Bounds, Change, FaultId, FaultRef, FaultTable, Lift, Lifted, Once, Origin, Put, Swapped,
};
use crate::stats::Stats;

/// How many warnings are told of what was done at one time.
const MOST_WARNINGS: usize = 8;

pub(super) struct Run {
    pub(super) script: Arc<Script>,
    pub(super) by: Origin,
    pub(super) on: On,
    pub(super) state: Mutex<State>,
    /// Told when there is something to note or to do, and at the end.
    pub(super) woken: Condvar,
    own: Weak<Run>,
}

/// What a run acts on.
#[derive(Clone)]
pub(super) struct On {
    pub(super) table: Arc<FaultTable>,
    pub(super) stats: Arc<Stats>,
    pub(super) bounds: Bounds,
    pub(super) hands: Hands,
}

pub(super) struct State {
    pub(super) phase: Phase,
    began: Option<(Instant, SystemTime)>,
    elapsed: Duration,
    /// What is still to be done; those that are done are taken away.
    acts: Vec<Option<Act>>,
    pub(super) done: usize,
    /// What is to be done by the second thread, and of which step.
    pub(super) to_do: VecDeque<(usize, Work)>,
    /// The step that it does.
    pub(super) doing: Option<usize>,
    /// Whether it has left the power off.
    pub(super) is_dark: bool,
    faults: Vec<FaultId>,
    /// The names of all that it has set.
    names: Vec<FaultRef>,
    /// What was done and is to be told.
    raw: VecDeque<Raw>,
    events: Vec<Event>,
}

impl Run {
    /// A run of that script, all of whose steps can be.
    pub(super) fn new(script: Script, by: Origin, on: On) -> Result<Arc<Run>, String> {
        let acts = prepared(&script, &on.table, (&on.bounds, &on.hands))?;
        let (acts, script) = (acts.into_iter().map(Some).collect(), Arc::new(script));
        let state = State {
            phase: Phase::Loaded,
            began: None,
            elapsed: Duration::ZERO,
            acts,
            done: 0,
            to_do: VecDeque::new(),
            doing: None,
            is_dark: false,
            faults: Vec::new(),
            names: Vec::new(),
            raw: VecDeque::new(),
            events: Vec::new(),
        };
        let (state, woken) = (Mutex::new(state), Condvar::new());
        let own = |own: &Weak<Run>| Run { script, by, on, state, woken, own: Weak::clone(own) };
        Ok(Arc::new_cyclic(own))
    }

    /// Begins it.
    ///
    /// # Errors
    /// It has begun before, or its thread cannot start: it has ended then.
    pub(super) fn start(self: &Arc<Run>) -> Result<(), String> {
        self.begin()?;
        let swapped = self.on.table.catch_up();
        self.on.table.spread(swapped);
        if self.script.steps.iter().any(|step| step.command.is_work()) {
            self.spawn("slowfs-deeds", Run::work)?;
        }
        self.spawn("slowfs-scenario", Run::play)
    }

    fn spawn(self: &Arc<Run>, name: &str, work: fn(Arc<Run>)) -> Result<(), String> {
        let run = Arc::clone(self);
        let thread = thread::Builder::new().name(name.into());
        let started = thread.spawn(move || work(run));
        started.map(drop).map_err(|error| self.cannot_play(&error))
    }

    /// Has it run, and all begin that its end takes back: under one lock, so that no end comes between.
    fn begin(&self) -> Result<(), String> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Loaded => state.phase = Phase::Running,
            Phase::Running => return Err("it runs already".to_owned()),
            Phase::Ended(_) => return Err("it has ended".to_owned()),
        }
        state.began = Some((Instant::now(), SystemTime::now()));
        let (steps, end) = (self.script.steps.len(), time_text(self.script.end));
        let s = if steps == 1 { "" } else { "s" };
        let told = format!("started: {steps} step{s}, ends at {end}");
        state.note(What::Started, Did::Told(told), Vec::new());
        self.on.table.time_for_run(self.script.timed);
        self.on.table.watch(self.onces(&state));
        Ok(())
    }

    /// Ends it as it has no thread, and tells of it what that would have told. Why, in a line.
    fn cannot_play(&self, error: &io::Error) -> String {
        let why = Why::NoThread(error.to_string());
        let told = why.to_string();
        self.end(why);
        while self.note_next() {}
        told
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress_in(&self.state.lock())
    }

    /// How far it is, and what it has done after that event, at one moment.
    pub(super) fn look(&self, after: u64) -> (Progress, Vec<Event>) {
        let state = self.state.lock();
        let events = state.events.iter().filter(|event| event.seq > after).cloned().collect();
        (self.progress_in(&state), events)
    }

    fn progress_in(&self, state: &State) -> Progress {
        let next = state.acts.iter().flatten().find_map(|act| match act.when {
            When::At(at) => Some((at, self.texts(&act.steps))),
            When::Fired(..) => None,
        });
        Progress {
            phase: state.phase.clone(),
            done: state.done,
            elapsed: state.elapsed(),
            began: state.began,
            next: next.filter(|_| !matches!(state.phase, Phase::Ended(_))),
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.state.lock().phase != Phase::Loaded
    }

    /// Whether another of that connection may take its place.
    pub(super) fn makes_room_for(&self, by: Origin) -> bool {
        match self.state.lock().phase {
            Phase::Loaded => self.by == by,
            Phase::Running => false,
            Phase::Ended(_) => true,
        }
    }

    /// Ends it, and lifts what it has set; that, unless it had ended before.
    pub(super) fn end(&self, why: Why) -> Option<Lifted> {
        let (lifted, swapped) = self.end_with(&mut self.state.lock(), why)?;
        let released = self.on.table.spread(swapped);
        Some(Lifted { released, ..lifted })
    }

    /// The same, told to nobody.
    pub(super) fn end_with(&self, state: &mut State, why: Why) -> Option<(Lifted, Swapped)> {
        if matches!(state.phase, Phase::Ended(_)) {
            return None;
        }
        let waiting = state.to_do.front().map(|(place, _)| *place);
        let left = state.doing.or(waiting).and_then(|place| self.script.steps.get(place));
        let why = match (why, left) {
            (Why::Done, Some(step)) => Why::Late { line: step.line },
            (why, _) => why,
        };
        state.elapsed = state.elapsed();
        let had_begun = state.phase == Phase::Running;
        state.phase = Phase::Ended(why.clone());
        state.acts.clear();
        self.end_dark(state);
        let own: Vec<_> = mem::take(&mut state.faults).into_iter().map(FaultRef::Id).collect();
        let set = own.len();
        let mut done = (Lifted::default(), Swapped::default());
        if had_begun {
            self.on.table.unwatch();
            self.on.table.time_for_run(false);
            let lift = Lift { also: own, ..Lift::default() };
            if let Ok((_, lifted, swapped)) = self.on.table.swap(Change::default(), &lift) {
                done = (lifted, swapped);
            }
            let told = match set {
                0 => format!("ended: {why}"),
                1 => format!("ended: {why}; the fault that it set is gone"),
                _ => format!("ended: {why}; the {set} faults that it set are gone"),
            };
            state.note(What::Ended, Did::Told(told), Vec::new());
        }
        self.woken.notify_all();
        Some(done)
    }

    /// Has the power on again, if it has left it off. What is being cut now is seen to by who does it.
    pub(super) fn end_dark(&self, state: &mut State) {
        if mem::take(&mut state.is_dark)
            && let Ok(supply) = self.on.hands.supply()
        {
            let _ = supply.on();
        }
    }

    /// What its thread does. A step that is due comes before what is told of others.
    fn play(self: Arc<Run>) {
        loop {
            let mut state = self.state.lock();
            let (Phase::Running, Some((began, _))) = (&state.phase, state.began) else {
                drop(state);
                while self.note_next() {}
                return;
            };
            let place = state
                .acts
                .iter()
                .position(|act| act.as_ref().is_some_and(|act| matches!(act.when, When::At(_))));
            let act = place.and_then(|place| state.acts.get(place)?.as_ref());
            let at = match act.map(|act| &act.when) {
                Some(When::At(at)) => *at,
                _ => self.script.end,
            };
            let due = began.checked_add(at);
            if due.is_none_or(|due| Instant::now() < due) {
                if !state.raw.is_empty() {
                    drop(state);
                    self.note_next();
                    continue;
                }
                match due {
                    Some(due) => drop(self.woken.wait_until(&mut state, due)),
                    None => self.woken.wait(&mut state),
                }
                continue;
            }
            let swapped = match place {
                Some(place) => self.act(&mut state, place),
                None => self.end_with(&mut state, Why::Done).map(|(_, swapped)| swapped),
            };
            drop(state);
            if let Some(swapped) = swapped {
                self.on.table.spread(swapped);
            }
        }
    }

    /// What is to be done at firings.
    fn onces(&self, state: &State) -> Vec<Once> {
        let acts = state.acts.iter().enumerate();
        let onces = acts.filter_map(|(place, act)| match &act.as_ref()?.when {
            When::At(_) => None,
            When::Fired(fault, n) => {
                let run = Weak::clone(&self.own);
                let act = move || {
                    let run = run.upgrade()?;
                    let swapped = run.act(&mut run.state.lock(), place);
                    run.woken.notify_all();
                    swapped
                };
                Some(Once::new(FaultRef::new(fault), *n, act))
            }
        });
        onces.collect()
    }

    /// Does what stands at that place, if it runs and that is not done; told to nobody.
    fn act(&self, state: &mut State, place: usize) -> Option<Swapped> {
        if state.phase != Phase::Running {
            return None;
        }
        let mut act = state.acts.get_mut(place)?.take()?;
        if let Some(work) = act.work.take() {
            state.to_do.extend(act.steps.first().map(|step| (*step, work)));
            self.woken.notify_all();
            return None;
        }
        act.spares(|fault| state.names.contains(fault));
        match self.on.table.swap(mem::take(&mut act.change), &act.lift) {
            Ok((put, lifted, swapped)) => {
                self.has_done(state, &act, put, lifted);
                let ended = act.ends.then(|| self.end_with(state, Why::Done)).flatten();
                let (_, ended) = ended.unwrap_or_default();
                Some(swapped.and(ended))
            }
            Err(no) => {
                let (step, why) = act.refused(&no, &self.script);
                let line = step.map_or(0, |step| step.line);
                let (_, swapped) = self.end_with(state, Why::Refused { line, why })?;
                Some(swapped)
            }
        }
    }

    /// Notes what was done by that.
    fn has_done(&self, state: &mut State, act: &Act, put: Vec<Put>, lifted: Lifted) {
        let set: Vec<FaultId> = put.iter().map(|put| put.id).collect();
        state.faults.extend(put.iter().filter(|put| !put.unchanged).map(|put| put.id));
        let (mut put, mut lifted) = (put.into_iter(), Some(lifted));
        let mut steps = act.steps.iter().filter_map(|step| self.script.steps.get(*step)).peekable();
        while let Some(step) = steps.next() {
            let faults = step.command.faults();
            let did = match faults.len() {
                0 if act.ends => Did::Told("ends it".to_owned()),
                0 => Did::Cleared(lifted.take()),
                faults => Did::Put(put.by_ref().take(faults).collect()),
            };
            let names = faults.iter().filter_map(|fault| fault.name.as_deref());
            state.names.extend(names.map(FaultRef::new));
            let is_last = steps.peek().is_none();
            state.note(What::of(step), did, if is_last { set.clone() } else { Vec::new() });
            state.done += 1;
        }
    }

    /// Finds out what else is to be told of the next thing that was done, and logs it. Whether there was
    /// one.
    fn note_next(&self) -> bool {
        let raw = self.state.lock().raw.pop_front();
        let Some(raw) = raw else { return false };
        let event = self.event(raw);
        let mut state = self.state.lock();
        let seq = state.events.len() as u64 + 1;
        state.events.push(Event { seq, ..event });
        true
    }

    fn event(&self, raw: Raw) -> Event {
        let counted =
            self.script.timed.then(|| (self.on.stats.elapsed(), self.on.stats.requests()));
        let faults = raw.did.faults();
        let warnings = self.on.bounds.warnings_of_all(&self.on.table, &raw.set, MOST_WARNINGS);
        let text = visible(&raw.did.text(self.command(&raw.what)));
        self.log(&raw, &text);
        let (peer, name) = (self.by, &self.script.name);
        warnings.iter().for_each(|why| warn!(%peer, "scenario {name}: {why}"));
        Event { seq: 0, what: raw.what, at: raw.at, text, faults, warnings, counted }
    }

    fn log(&self, raw: &Raw, text: &str) {
        let (peer, name) = (self.by, visible(&self.script.name));
        match raw.what {
            What::Started | What::Ended => info!(%peer, "scenario {name}: {text}"),
            What::Step { line, .. } => {
                let at = raw.at.as_secs_f64();
                info!(%peer, "scenario {name}: line {line} at {at:.3}s: {text}");
            }
        }
    }

    /// What was typed in that line.
    fn command(&self, what: &What) -> &str {
        let What::Step { line, .. } = what else { return "" };
        let step = self.script.steps.iter().find(|step| step.line == *line);
        step.map_or("", |step| step.text.as_str())
    }

    fn texts(&self, steps: &[usize]) -> String {
        let steps = steps.iter().filter_map(|step| self.script.steps.get(*step));
        steps.map(|step| step.text.as_str()).collect::<Vec<_>>().join("; ")
    }
}

impl State {
    /// How long it has run, or ran.
    fn elapsed(&self) -> Duration {
        match (&self.phase, self.began) {
            (Phase::Running, Some((began, _))) => began.elapsed(),
            _ => self.elapsed,
        }
    }

    pub(super) fn note(&mut self, what: What, did: Did, set: Vec<FaultId>) {
        let at = self.elapsed();
        self.raw.push_back(Raw { what, at, did, set });
    }
}

#[cfg(test)]
mod tests;
