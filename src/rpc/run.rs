//! The calls of scenarios, from both sides. A connection loads one and begins it; who else connects sees
//! where it is. No locks.

use super::client::Client;
use super::connection::{ClientError, arguments};
use super::handler::{Handler, Refusal};
use super::record::Wire;
use super::scenario::{Run, RunEvent, RunRead, ScenarioWords};
use super::wire::Fields;
use crate::fault::{Lifted, Origin};
use crate::scenario::Why;

impl Handler {
    pub(super) fn run_load(&self, by: Origin, words: ScenarioWords) -> Result<Run, Refusal> {
        let script = words.script().map_err(Refusal::Own)?;
        let told = self.stage.load(script, by).map_err(Refusal::Own)?;
        Ok(Run::of(&told, self.table.seed()))
    }

    pub(super) fn run_start(&self, by: Origin) -> Result<Run, Refusal> {
        let told = self.stage.start(by).map_err(Refusal::Own)?;
        Ok(Run::of(&told, self.table.seed()))
    }

    pub(super) fn run_read(&self, after: i64) -> RunRead {
        let after = u64::try_from(after).unwrap_or_default();
        let Some((told, events)) = self.stage.look(after) else { return RunRead::default() };
        RunRead {
            run: Some(Run::of(&told, self.table.seed())),
            events: events.into_iter().map(RunEvent::of).collect(),
        }
    }

    /// Ends the scenario of that connection, if it has one.
    pub(super) fn run_stop(&self, by: Origin) -> RunRead {
        let told = self.stage.stop(by);
        RunRead { run: told.map(|told| Run::of(&told, self.table.seed())), events: Vec::new() }
    }

    /// Everything is cleared: the name of the scenario that this ends, if one runs, and what that lifts.
    pub(super) fn end_run(&self, by: Origin) -> Option<(String, Lifted)> {
        let (told, lifted) = self.stage.end(Why::Cleared(by))?;
        Some((told.script.name.clone(), lifted))
    }
}

impl Client {
    /// Has the mount take a scenario, which is checked and waits for its start. It is of this connection,
    /// and ends with it, unless it is detached.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if it cannot be, or another runs.
    pub fn run_load(&mut self, scenario: &ScenarioWords) -> Result<Run, ClientError> {
        self.0.fetch("run_load", arguments([scenario.value()]))
    }

    /// Begins the scenario that this connection has loaded.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if there is none.
    pub fn run_start(&mut self) -> Result<Run, ClientError> {
        self.0.fetch("run_start", Fields::default())
    }

    /// The scenario that runs, or the last that did, and what it did after that event.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn run_read(&mut self, after: i64) -> Result<RunRead, ClientError> {
        self.0.fetch("run_read", arguments([after.value()]))
    }

    /// Ends the scenario of this connection, if it has one: what that has set is cleared.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn run_stop(&mut self) -> Result<RunRead, ClientError> {
        self.0.fetch("run_stop", Fields::default())
    }
}
