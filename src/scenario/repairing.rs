//! The second thread of a run, which changes what is stored while the other steps go on. It holds no lock
//! meanwhile, and ends with the run.

use std::sync::Arc;

use tracing::info;

use super::event::{Did, What};
use super::phase::{Phase, Why};
use super::repair::Repair;
use super::run::Run;
use crate::fault::words::visible;

impl Run {
    /// Does what there is to do, until the run has ended.
    pub(super) fn repair(self: Arc<Run>) {
        let Some(repairs) = self.on.repairer.clone() else { return };
        while let Some((place, repair)) = self.next_repair() {
            let goes_on = || self.state.lock().phase == Phase::Running;
            let done = repair.carry_out(&*repairs, &goes_on);
            self.has_repaired(place, done);
        }
    }

    fn next_repair(&self) -> Option<(usize, Repair)> {
        let mut state = self.state.lock();
        loop {
            if state.phase != Phase::Running {
                return None;
            }
            if let Some((place, repair)) = state.to_repair.pop_front() {
                state.repairing = Some(place);
                return Some((place, repair));
            }
            self.woken.wait(&mut state);
        }
    }

    fn has_repaired(&self, place: usize, done: Result<String, String>) {
        let Some(step) = self.script.steps.get(place) else { return };
        let line = step.line;
        let swapped = {
            let mut state = self.state.lock();
            if state.phase != Phase::Running {
                let (peer, name) = (self.by, visible(&self.script.name));
                let text = visible(&done.unwrap_or_else(|why| why));
                drop(state);
                info!(%peer, "scenario {name}: line {line} was cut short by the end: {text}");
                return;
            }
            state.repairing = None;
            match done {
                Ok(text) => {
                    state.note(What::of(step), Did::Told(text), Vec::new());
                    state.done += 1;
                    None
                }
                Err(why) => self.end_with(&mut state, Why::Refused { line, why }),
            }
        };
        self.woken.notify_all();
        if let Some((_, swapped)) = swapped {
            self.on.table.spread(swapped);
        }
    }
}
