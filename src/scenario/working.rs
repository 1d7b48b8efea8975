//! The second thread of a run, which works on what is stored while the other steps go on. It holds no lock
//! meanwhile, and ends with the run.

use std::sync::Arc;

use tracing::info;

use super::event::{Did, What};
use super::phase::{Phase, Why};
use super::run::Run;
use super::work::Work;
use crate::fault::words::visible;

impl Run {
    /// Does what there is to do, until the run has ended.
    pub(super) fn work(self: Arc<Run>) {
        while let Some((place, work)) = self.next_work() {
            let goes_on = || self.state.lock().phase == Phase::Running;
            let done = work.carry_out(&self.on.hands, &goes_on);
            let dark = work.leaves_dark().filter(|_| done.is_ok());
            self.has_worked(place, done, dark);
        }
    }

    fn next_work(&self) -> Option<(usize, Work)> {
        let mut state = self.state.lock();
        loop {
            if state.phase != Phase::Running {
                return None;
            }
            if let Some((place, work)) = state.to_do.pop_front() {
                state.doing = Some(place);
                return Some((place, work));
            }
            self.woken.wait(&mut state);
        }
    }

    fn has_worked(&self, place: usize, done: Result<String, String>, dark: Option<bool>) {
        let Some(step) = self.script.steps.get(place) else { return };
        let line = step.line;
        let swapped = {
            let mut state = self.state.lock();
            state.is_dark = dark.unwrap_or(state.is_dark);
            if state.phase != Phase::Running {
                self.end_dark(&mut state);
                let (peer, name) = (self.by, visible(&self.script.name));
                let text = visible(&done.unwrap_or_else(|why| why));
                drop(state);
                info!(%peer, "scenario {name}: line {line} was cut short by the end: {text}");
                return;
            }
            state.doing = None;
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
