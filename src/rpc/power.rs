//! The calls about what a power cut would take back, from both sides. Who serves the mount knows and does
//! it; no path that a client names is opened. No locks.

use std::time::Duration;

use tracing::info;

use super::client::Client;
use super::connection::{ClientError, arguments};
use super::handler::{Handler, Refusal};
use super::record::Wire;
use super::unsynced::{Cut, CutNow, PowerCut, PowerLoss, Unsynced, UnsyncedLog, UnsyncedMoment};
use super::wire::Fields;
use crate::fault::Origin;

/// How long a client waits for an image, which may have to be copied.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long one waits for a mount to be ready, which itself waits 10 s for what is under way.
const PREPARING: Duration = Duration::from_secs(15);

/// For how long a cut may be prepared: what comes meanwhile waits.
const LONGEST: Duration = Duration::from_secs(60);

/// Moments that are told at once.
const MOST_MOMENTS: i64 = 1000;

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

    pub(super) fn unsynced_moments(&self, after: i64) -> Result<Vec<UnsyncedMoment>, Refusal> {
        Ok(self.unsynced_log()?.moments(after, MOST_MOMENTS))
    }

    pub(super) fn power_cut(
        &self,
        peer: Origin,
        cut: &Cut,
        moment: i64,
    ) -> Result<PowerCut, Refusal> {
        let done = self.unsynced_log()?.cut(cut, moment).map_err(Refusal::Own)?;
        let PowerCut { image, keep, seed, .. } = &done;
        info!(%peer, "power_cut: {} keeps {keep}, seed {seed}", image.0.display());
        Ok(done)
    }

    pub(super) fn power_prepare(&self, peer: Origin, stays_ns: i64) -> Result<i64, Refusal> {
        let stays = u64::try_from(stays_ns).ok().map(Duration::from_nanos);
        let stays =
            stays.filter(|stays| !stays.is_zero() && *stays <= LONGEST).ok_or_else(|| {
                Refusal::Own(format!(
                    "stays_ns is {stays_ns}: it must be more than 0, and a minute at most"
                ))
            })?;
        let ticket = self.unsynced_log()?.prepare(stays).map_err(Refusal::Own)?;
        *self.prepared.lock() = Some((peer, ticket));
        info!(%peer, "power_prepare: requests wait for {stays:?} at most");
        Ok(ticket)
    }

    pub(super) fn power_abort(&self, peer: Origin, ticket: i64) -> Result<bool, Refusal> {
        let aborted = self.unsynced_log()?.abort(ticket);
        info!(%peer, "power_abort: {}", if aborted { "requests go on" } else { "nothing waits" });
        Ok(aborted)
    }

    pub(super) fn power_commit(&self, peer: Origin, cut: &CutNow) -> Result<PowerLoss, Refusal> {
        self.cut_in_place(peer, "power_commit", |log| log.commit(cut))
    }

    /// The same of this mount alone, and at once.
    pub(super) fn power_cut_now(&self, peer: Origin, cut: &CutNow) -> Result<PowerLoss, Refusal> {
        self.cut_in_place(peer, "power_cut", |log| log.cut_now(cut))
    }

    fn cut_in_place(
        &self,
        peer: Origin,
        call: &str,
        cut: impl FnOnce(&dyn UnsyncedLog) -> Result<PowerLoss, String>,
    ) -> Result<PowerLoss, Refusal> {
        let done = cut(self.unsynced_log()?).map_err(Refusal::Own)?;
        let PowerLoss { keep, seed, dropped, reverted, killed, .. } = &done;
        info!(
            %peer,
            "{call}: the power was cut, keeps {keep}, seed {seed}; {dropped} changes dropped, {reverted} \
             files with other content; killed {killed:?}"
        );
        Ok(done)
    }

    pub(super) fn power_on(&self, peer: Origin) -> Result<bool, Refusal> {
        let was_off = self.unsynced_log()?.power_on().map_err(Refusal::Own)?;
        info!(%peer, "power_on: it was {}", if was_off { "off" } else { "on already" });
        Ok(was_off)
    }

    /// Everything is cleared, and so the power is on: what there is to tell of that.
    pub(super) fn clear_power(&self, peer: Origin) -> Option<String> {
        let told = match self.config.unsynced.get()?.power_on() {
            Ok(false) => return None,
            Ok(true) => "the power is on again".to_owned(),
            Err(why) => why,
        };
        info!(%peer, "{told}");
        Some(told)
    }

    /// That connection is gone: what it has prepared it does not do, and nobody waits for it.
    pub(super) fn lose_prepared(&self, peer: Origin) {
        let own = self.prepared.lock().take_if(|(whose, _)| *whose == peer);
        if let (Some((_, ticket)), Some(log)) = (own, self.config.unsynced.get())
            && log.abort(ticket)
        {
            info!(%peer, "who has prepared a power cut is gone: requests go on");
        }
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

    /// The moments that were noted after the one of that number, 1,000 at most.
    ///
    /// # Errors
    /// As [`Client::unsynced`].
    pub(crate) fn unsynced_moments(
        &mut self,
        after: i64,
    ) -> Result<Vec<UnsyncedMoment>, ClientError> {
        self.0.fetch_within(PATIENCE, "unsynced_moments", arguments([after.value()]))
    }

    /// Builds a directory that a disk could hold if the power went now.
    ///
    /// # Errors
    /// Any of [`ClientError`]; nothing is left of it if it is `Refused`.
    pub fn power_cut(&mut self, cut: &Cut) -> Result<PowerCut, ClientError> {
        self.power_cut_at(0, cut)
    }

    /// The same as if the power had gone at the moment of that number; 0 is now.
    ///
    /// # Errors
    /// As [`Client::power_cut`].
    pub(crate) fn power_cut_at(&mut self, moment: i64, cut: &Cut) -> Result<PowerCut, ClientError> {
        let Cut { name, keep, unit, seed, max_stall_ns } = cut.clone();
        let wanted = [
            name.value(),
            keep.value(),
            unit.value(),
            seed.value(),
            moment.value(),
            max_stall_ns.value(),
        ];
        self.0.fetch_within(PATIENCE, "power_cut", arguments(wanted))
    }

    /// Has what is under way end, and what comes wait, for that long: a ticket to cut the power within it.
    ///
    /// # Errors
    /// Any of [`ClientError`]; all goes on if it is `Refused`.
    pub fn power_prepare(&mut self, stays: Duration) -> Result<i64, ClientError> {
        let stays = i64::try_from(stays.as_nanos()).unwrap_or(i64::MAX);
        self.0.fetch_within(PREPARING, "power_prepare", arguments([stays.value()]))
    }

    /// Cuts the power in place.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn power_commit(&mut self, cut: &CutNow) -> Result<PowerLoss, ClientError> {
        let CutNow { ticket, keep, unit, seed, stay_off, kill, client } = cut.clone();
        let wanted = [
            ticket.value(),
            keep.value(),
            unit.value(),
            seed.value(),
            stay_off.value(),
            kill.value(),
            client.value(),
        ];
        self.0.fetch_within(PATIENCE, "power_commit", arguments(wanted))
    }

    /// All goes on as if no cut had been prepared; false if it does so already.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn power_abort(&mut self, ticket: i64) -> Result<bool, ClientError> {
        self.0.fetch("power_abort", arguments([ticket.value()]))
    }

    /// Has the power on again; whether it was off.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn power_on(&mut self) -> Result<bool, ClientError> {
        self.0.fetch("power_on", Fields::default())
    }
}
