//! What fired on an operation, as the trace tells it. No locks.

use std::mem;
use std::time::Instant;

use super::{Acts, Firing, Hit};
use crate::fault::plan::{After, Hold, Plan, Reply, Sync};
use crate::fault::trace;

impl Hit {
    /// What fired on it, for the trace, once it is held no longer: once for each time that a fault
    /// counted. A repetition was counted before.
    #[cold]
    #[must_use]
    pub fn traced(&self, arrived: Instant, mut end: trace::End) -> Vec<trace::Fired> {
        let injected = mem::take(&mut end.injected);
        let hits = self.told().filter_map(|firing| firing.traced((arrived, self.ran()), &end));
        let mut hits: Vec<_> = hits.collect();
        let spoiler = self.spoiling().map(|firing| firing.live.id.0);
        if let Some(hit) = hits.iter_mut().find(|hit| Some(hit.id) == spoiler) {
            hit.injection = injected;
        }
        hits
    }
}

impl Firing {
    /// What it asked of an operation that arrived then, and that has run then if it has; and what came
    /// of that. None if it only follows.
    fn traced(
        &self,
        (arrived, ran): (Instant, Option<Instant>),
        end: &trace::End,
    ) -> Option<trace::Fired> {
        if !self.fired() {
            return None;
        }
        let fault = &self.live.fault;
        let kinds: Vec<_> = fault.effects().iter().map(|effect| effect.kind().name()).collect();
        let due = match self.plan.before {
            Hold::Until(due) => Some(due),
            Hold::No | Hold::UntilCleared => None,
        };
        let asked = due.map(|due| due.saturating_duration_since(arrived));
        let after = match self.plan.after {
            After::For(time) => Some(time),
            After::No | After::By(_) => None,
        };
        let late = ran.zip(after).and_then(|(ran, after)| ran.checked_add(after));
        Some(trace::Fired {
            id: self.live.id.0,
            name: fault.name().map(ToString::to_string),
            kind: kinds.join("+"),
            n: self.n.get()?,
            asked: asked.or(after),
            due_ns: due.or(late).map(trace::monotonic_ns),
            action: self.action(end),
            injection: Vec::new(),
        })
    }

    /// As in "held+failed".
    fn action(&self, end: &trace::End) -> String {
        let Plan { before, after, kill, sync, reply, change } = &self.plan;
        let late = self.acts.get();
        let otherwise = change.is_some() || *sync != Sync::Own || *reply == Reply::Whole;
        let otherwise = otherwise || late == Acts::Shortens;
        let fails = self.plan.errno().is_some() || late == Acts::Refuses;
        let acts = end.acts && !self.gone;
        let words = [
            (*before != Hold::No || !after.is_none(), "held"),
            (acts && *kill, "killed"),
            (acts && fails, "failed"),
            (acts && otherwise, "changed"),
        ];
        let done = words.iter().filter(|(done, _)| *done).map(|(_, word)| *word);
        let done: Vec<_> = done.chain((!acts).then_some(end.cut)).collect();
        if done.is_empty() { "passed".to_owned() } else { done.join("+") }
    }
}
