//! The calls about injections, from both sides: they are listed and healed, and stored bytes rot. Who serves the
//! mount changes what is stored; no path that a client names is opened. No locks.

use std::time::Duration;

use serde::Serialize;
use tracing::info;

use super::client::Client;
use super::connection::{ClientError, arguments};
use super::handler::{Handler, Refusal};
use super::record::{Wire, record};
use super::values::WirePath;
use super::wire::signed;
use crate::fault::Origin;
use crate::fault::injections::{
    Healing, MOST_AT_ONCE, Outcome, Repairs, RotWords, Rotted as Spoilt, State, Told,
};

/// Injections that are told of at once.
pub(super) const MOST: i64 = 1_000;

/// How long a client waits for what reads and writes files.
const PATIENCE: Duration = Duration::from_secs(600);

record! {
    /// What a fault has made of bytes.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Injection = "Injection" {
        /// Its number, from 1.
        1: id: i64,
        /// The fault's id; none of `rot`.
        2: fault: Option<i64>,
        /// The fault's name, if it has one.
        3: name: Option<String>,
        /// The kind that did it, or `rot`.
        4: kind: String,
        /// Upon which request.
        5: method: String,
        /// The file's backing path then.
        6: path: WirePath,
        /// Its inode number.
        7: inode: i64,
        /// The first byte.
        8: offset: i64,
        /// How many.
        9: len: i64,
        /// The SHA-256 of what should be there, where that is known.
        10: expected_sha256: Option<String>,
        /// The SHA-256 of what is there.
        11: found_sha256: Option<String>,
        /// `standing`, `transient`, `overwritten`, `healed` or `gone`.
        12: state: String,
        /// How many bytes of it stand.
        13: left: i64,
        /// Whether its bytes are kept, so that it can be healed.
        14: kept: bool,
    }
}

record! {
    /// Some injections.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Injections = "Injections" {
        /// In the order in which they came.
        1: injections: Vec<Injection>,
        /// How many are kept in all.
        2: all: i64,
        /// How many there were that are not kept.
        3: dropped: i64,
        /// Bytes that are kept of those that stand.
        4: kept_bytes: i64,
    }
}

record! {
    /// What has come of one that was to be healed.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Healed = "Healed" {
        /// The injection.
        1: id: i64,
        /// `healed`, `overwritten`, `gone`, `transient`, `unknown` or `failed`.
        2: outcome: String,
        /// Why it failed.
        3: error: Option<String>,
    }
}

record! {
    /// What has rotted.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
    pub struct Rotted = "Rotted" {
        /// How many files match.
        1: files: i64,
        /// How many bytes they have.
        2: bytes: i64,
        /// How many spots are spoilt now.
        3: spots: i64,
        /// What the dice were seeded with, a number of 64 bits.
        4: seed: String,
        /// Why others are not.
        5: failed: Vec<String>,
    }
}

impl Handler {
    fn repairs(&self) -> Result<&dyn Repairs, Refusal> {
        let repairs = self.config.repairer.get();
        repairs.ok_or_else(|| Refusal::Own("this server does not serve the files".to_owned()))
    }

    /// Those after that number, `most` at most.
    pub(super) fn injections(&self, after: i64, most: i64) -> Injections {
        let after = u64::try_from(after).unwrap_or_default();
        let most = usize::try_from(most.clamp(0, MOST)).unwrap_or_default();
        let page = self.table.injections().page(after, most);
        Injections {
            injections: page.injections.iter().map(Injection::of).collect(),
            all: signed(page.all),
            dropped: signed(page.dropped),
            kept_bytes: signed(page.bytes),
        }
    }

    /// Heals these, or without any those after that number.
    pub(super) fn heal(
        &self,
        peer: Origin,
        ids: &[i64],
        after: i64,
    ) -> Result<Vec<Healed>, Refusal> {
        if ids.len() > MOST_AT_ONCE {
            let why = format!("{} ids; name {MOST_AT_ONCE} at most", ids.len());
            return Err(Refusal::Own(why));
        }
        let state = |id: i64| {
            let known = u64::try_from(id).ok().and_then(|id| self.table.injections().state(id));
            known.map(|state| (id, state)).ok_or_else(|| {
                Refusal::Own(format!(
                    "there is no injection {id}; `slowfs injections` shows those there are"
                ))
            })
        };
        let states = ids.iter().map(|id| state(*id)).collect::<Result<Vec<_>, _>>()?;
        let stand = states.iter().filter(|(_, state)| *state == State::Standing);
        let stand: Vec<u64> = stand.filter_map(|(id, _)| u64::try_from(*id).ok()).collect();
        let over = states.iter().filter(|(_, state)| *state != State::Standing);
        let over = over.map(|(id, state)| Healed::by(*id, state.name()));
        let mut healed: Vec<Healed> = over.collect();
        if ids.is_empty() || !stand.is_empty() {
            let after = u64::try_from(after).unwrap_or_default();
            healed.extend(self.repairs()?.heal(&stand, after).into_iter().map(Healed::of));
        }
        healed.sort_by_key(|healed| healed.id);
        if !healed.is_empty() {
            let count = healed.iter().filter(|one| one.outcome == State::Healed.name()).count();
            info!(%peer, "{count} of {} injections healed", healed.len());
        }
        Ok(healed)
    }

    /// Spoils stored bytes.
    pub(super) fn rot(
        &self,
        peer: Origin,
        words: &RotWords,
        waits: &dyn Fn() -> bool,
    ) -> Result<Rotted, Refusal> {
        let (rot, seed) = words.rot(rand::random()).map_err(Refusal::Own)?;
        let rotted = self.repairs()?.rot(&rot, waits).map_err(Refusal::Own)?;
        info!(%peer, "{rotted}, with seed {seed}");
        let Spoilt { files, bytes, spots, failed } = rotted;
        let [files, bytes, spots] = [files, bytes, spots].map(signed);
        Ok(Rotted { files, bytes, spots, seed: seed.to_string(), failed })
    }
}

impl Injection {
    fn of(told: &Told) -> Injection {
        Injection {
            id: signed(told.id),
            fault: told.source.fault.map(|id| signed(id.0)),
            name: told.source.name.as_deref().map(str::to_owned),
            kind: told.source.kind.to_owned(),
            method: told.source.method.to_owned(),
            path: WirePath::of(&told.place.path),
            inode: signed(told.place.file.number),
            offset: signed(told.offset),
            len: signed(told.len),
            expected_sha256: told.should.map(|sha| sha.to_string()),
            found_sha256: told.is.map(|sha| sha.to_string()),
            state: told.state.name().to_owned(),
            left: signed(told.left),
            kept: told.kept,
        }
    }
}

impl Healed {
    fn by(id: i64, outcome: &str) -> Healed {
        Healed { id, outcome: outcome.to_owned(), error: None }
    }

    fn of(Healing { id, outcome }: Healing) -> Healed {
        let healed = Healed::by(signed(id), outcome.name());
        match outcome {
            Outcome::Failed(why) => Healed { error: Some(why), ..healed },
            Outcome::Over(_) | Outcome::Unknown => healed,
        }
    }
}

/// What has come of those that were to be healed, a line for each outcome and each failure.
pub(crate) fn outcomes(healed: &[Healed]) -> Vec<String> {
    let all = ["healed", "overwritten", "gone", "transient", "unknown", "failed"];
    let counted = all.into_iter().filter_map(|outcome| {
        let count = healed.iter().filter(|one| one.outcome == outcome).count();
        (count > 0).then(|| format!("{count} {outcome}{}", meaning(outcome)))
    });
    let failure = |one: &Healed| Some(format!("injection {}: {}", one.id, one.error.as_ref()?));
    counted.chain(healed.iter().filter_map(failure)).collect()
}

/// That some of them stand still, if any do.
pub(crate) fn unhealed(healed: &[Healed]) -> Option<String> {
    let stands = |one: &&Healed| ["unknown", "failed"].contains(&one.outcome.as_str());
    let n = healed.iter().filter(stands).count();
    let s = if n == 1 { " stands" } else { "s stand" };
    (n > 0).then(|| format!("{n} injection{s} still: {}", outcomes(healed).join("; ")))
}

fn meaning(outcome: &str) -> &'static str {
    match outcome {
        "overwritten" => ": other bytes were written there since",
        "gone" => ": the file no longer exists, or was moved behind the mount",
        "transient" => ": nothing was stored",
        "unknown" => ": only the digests of their bytes were kept",
        _ => "",
    }
}

impl Client {
    /// What faults have made of bytes: those after that number, `most` at most and 1,000.
    ///
    /// # Errors
    /// Any of [`ClientError`].
    pub fn injections(&mut self, after: i64, most: i64) -> Result<Injections, ClientError> {
        self.0.fetch("injections", arguments([after.value(), most.value()]))
    }

    /// Heals these injections, or without any those after that number that stand; 1,000 at most.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if there is no such injection.
    pub fn heal(&mut self, ids: &[i64], after: i64) -> Result<Vec<Healed>, ClientError> {
        let arguments = arguments([ids.to_vec().value(), after.value()]);
        self.0.fetch_within(PATIENCE, "heal", arguments)
    }

    /// Spoils stored bytes.
    ///
    /// # Errors
    /// Any of [`ClientError`]; `Refused` if that cannot be meant.
    pub fn rot(&mut self, words: &RotWords) -> Result<Rotted, ClientError> {
        self.0.fetch_within(PATIENCE, "rot", arguments([words.value()]))
    }
}
