//! The calls about what a power cut would take back, from both sides. Who serves the mount knows and does
//! it; no path that a client names is opened. No locks.

use std::time::Duration;

use tracing::info;

use super::client::Client;
use super::connection::{ClientError, arguments};
use super::handler::{Handler, Refusal};
use super::record::Wire;
use super::unsynced::{Cut, PowerCut, Unsynced, UnsyncedLog};
use super::wire::Fields;
use crate::fault::Origin;

/// How long a client waits for an image, which may have to be copied.
const PATIENCE: Duration = Duration::from_secs(600);

impl Handler {
    fn unsynced_log(&self) -> Result<&dyn UnsyncedLog, Refusal> {
        let why = "this mount does not remember what is not durable: mount with --track-unsynced";
        self.config.unsynced.get().ok_or_else(|| Refusal::Own(why.to_owned()))
    }

    pub(super) fn unsynced(&self) -> Result<Unsynced, Refusal> {
        Ok(self.unsynced_log()?.unsynced())
    }

    pub(super) fn checkpoint(&self, peer: Origin) -> Result<i64, Refusal> {
        let entries = self.unsynced_log()?.checkpoint();
        info!(%peer, "checkpoint: {entries} entries are durable");
        Ok(entries)
    }

    pub(super) fn power_cut(&self, peer: Origin, cut: &Cut) -> Result<PowerCut, Refusal> {
        let done = self.unsynced_log()?.cut(cut).map_err(Refusal::Own)?;
        let PowerCut { image, keep, seed, .. } = &done;
        info!(%peer, "power_cut: {} keeps {keep}, seed {seed}", image.0.display());
        Ok(done)
    }
}

impl Client {
    /// What a power cut could take back now.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if the mount does not remember it.
    pub fn unsynced(&mut self) -> Result<Unsynced, ClientError> {
        self.0.fetch_within(PATIENCE, "unsynced", Fields::default())
    }

    /// All that is there is durable now: how many entries of the log that concerned.
    ///
    /// # Errors
    /// As [`Client::unsynced`].
    pub fn checkpoint(&mut self) -> Result<i64, ClientError> {
        self.0.fetch_within(PATIENCE, "checkpoint", Fields::default())
    }

    /// Builds a directory that a disk could hold if the power went now.
    ///
    /// # Errors
    /// Any of [`ClientError`]; nothing is left of it if it is `Refused`.
    pub fn power_cut(&mut self, cut: &Cut) -> Result<PowerCut, ClientError> {
        let Cut { name, keep, unit, seed } = cut.clone();
        let wanted = [name.value(), keep.value(), unit.value(), seed.value()];
        self.0.fetch_within(PATIENCE, "power_cut", arguments(wanted))
    }
}
