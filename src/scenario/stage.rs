//! Where scenarios of a mount run: one at a time. It keeps the last one that ended, for those who ask.
//! Lock rule: its lock is taken for the place of a run only, never while that begins or ends.

use std::sync::Arc;

use parking_lot::Mutex;

use super::event::Event;
use super::phase::{Progress, Why};
use super::run::{On, Run};
use super::script::{MOST_STEPS, Script};
use super::work::Hands;
use crate::fault::words::visible;
use crate::fault::{Bounds, FaultTable, Lifted, Origin};
use crate::stats::Stats;

/// The place where the scenarios of a mount run.
pub(crate) struct Stage {
    on: On,
    run: Mutex<Option<Arc<Run>>>,
}

/// A run as it is told of.
pub(crate) struct Told {
    pub(crate) script: Arc<Script>,
    pub(crate) by: Origin,
    pub(crate) progress: Progress,
}

impl Stage {
    pub(crate) fn new(
        table: Arc<FaultTable>,
        stats: Arc<Stats>,
        bounds: Bounds,
        hands: Hands,
    ) -> Stage {
        Stage { on: On { table, stats, bounds, hands }, run: Mutex::default() }
    }

    /// Takes a scenario, and waits for its start. It is of that connection.
    ///
    /// # Errors
    /// One line: it cannot be, or another has the place.
    pub(crate) fn load(&self, script: Script, by: Origin) -> Result<Told, String> {
        if script.steps.len() > MOST_STEPS {
            return Err(format!("it has more than {MOST_STEPS} steps"));
        }
        let is_free = |place: &Option<Arc<Run>>| {
            let other = place.as_ref().filter(|other| !other.makes_room_for(by));
            other.map_or(Ok(()), |other| Err(taken(other)))
        };
        is_free(&self.run.lock())?;
        let run = Run::new(script, by, self.on.clone())?;
        let told = told(&run);
        let before = {
            let mut place = self.run.lock();
            is_free(&place)?;
            place.replace(run)
        };
        if let Some(before) = before {
            before.end(Why::Stopped);
        }
        Ok(told)
    }

    /// Begins the scenario that this connection has loaded.
    ///
    /// # Errors
    /// It has loaded none, or it has begun before.
    pub(crate) fn start(&self, by: Origin) -> Result<Told, String> {
        let run = self.run.lock().clone().filter(|run| run.by == by);
        let run = run.ok_or_else(|| "this connection has loaded no scenario".to_owned())?;
        run.start()?;
        Ok(told(&run))
    }

    /// The scenario that runs, or the last that did, and what it has done after that event.
    pub(crate) fn look(&self, after: u64) -> Option<(Told, Vec<Event>)> {
        let run = self.run.lock().clone()?;
        let (progress, events) = run.look(after);
        Some((Told { script: Arc::clone(&run.script), by: run.by, progress }, events))
    }

    /// Ends what runs, or waits to, and what this has lifted; none if nothing does.
    pub(crate) fn end(&self, why: Why) -> Option<(Told, Lifted)> {
        let run = self.run.lock().clone()?;
        let lifted = run.end(why)?;
        Some((told(&run), lifted))
    }

    /// Ends the scenario of this connection.
    pub(crate) fn stop(&self, by: Origin) -> Option<Told> {
        let run = self.run.lock().clone().filter(|run| run.by == by)?;
        run.end(Why::Stopped).map(|_| told(&run))
    }

    /// A connection has gone: its scenario ends, unless that is detached and has begun.
    pub(crate) fn lose(&self, by: Origin) {
        let Some(run) = self.run.lock().clone().filter(|run| run.by == by) else { return };
        if !run.script.detached || !run.has_begun() {
            run.end(Why::Lost);
        }
    }
}

fn told(run: &Run) -> Told {
    Told { script: Arc::clone(&run.script), by: run.by, progress: run.progress() }
}

fn taken(run: &Run) -> String {
    format!(
        "{} runs scenario {} on this mount, which takes one at a time; `slowfs clear` ends it",
        run.by,
        visible(&run.script.name)
    )
}
