//! What is behind the fuzzer's server: files that are names, injections that are numbers, a power that is a word. So
//! the calls about them go all their way, and nothing is done. Lock rule: one lock, for memory work only.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::fault::injections::{Healing, Outcome, Repairs, Rot, Rotted, State};
use crate::fault::{Keeping, Unit, seed_of};
use crate::rpc::behind::Behind;
use crate::rpc::files::{Files, Visited};
use crate::rpc::unsynced::{
    Cut, CutNow, PowerCut, PowerLoss, Unsynced, UnsyncedLog, UnsyncedMoment,
};
use crate::rpc::values::WirePath;

/// What there is, a directory before what it has.
const PATHS: [&[u8]; 4] = [b"/b", b"/b/wal", b"/b/wal/0.log", b"/b/\xff"];

/// What may rot: so many bytes in each file.
const SIZES: [u64; 3] = [0, 1, 4097];

/// What a cut that is prepared is known by: always the same, so that it is soon found.
const TICKET: i64 = 7;

/// So many injections and moments there are.
const MOST: i64 = 3;

pub(super) fn files() -> Files {
    Files::new(|goes_on, visit| {
        let visited = PATHS.iter().all(|path| goes_on() && visit(path).is_continue());
        Ok(Visited { left_out: 0, whole: visited })
    })
}

pub(super) fn repairs() -> Behind<dyn Repairs> {
    Behind::new(Arc::new(Stored))
}

pub(super) fn unsynced() -> Behind<dyn UnsyncedLog> {
    Behind::new(Arc::new(Power::default()))
}

struct Stored;

impl Repairs for Stored {
    fn heal(&self, _: &[u64], after: u64) -> Vec<Healing> {
        let outcomes = [
            Outcome::Over(State::Healed),
            Outcome::Unknown,
            Outcome::Failed("no such file".to_owned()),
        ];
        let all = (1..).zip(outcomes).map(|(id, outcome)| Healing { id, outcome });
        all.filter(|healing| healing.id > after).collect()
    }

    /// Nobody waits here, and it is done all the same.
    fn rot(&self, wanted: &Rot, _: &dyn Fn() -> bool) -> Result<Rotted, String> {
        let spots = wanted.spoil.over(&SIZES).take(4).inspect(|(file, edit)| {
            let end = edit.at.saturating_add(edit.bytes.len() as u64);
            assert!(SIZES.get(*file).is_some_and(|size| end <= *size), "{file}: {edit:?}");
        });
        Ok(Rotted { spots: spots.count() as u64, ..Rotted::default() })
    }
}

#[derive(Default)]
struct Power(Mutex<Now>);

#[derive(Default)]
struct Now {
    is_prepared: bool,
    is_off: bool,
    cuts: i64,
}

/// What is kept of what is not durable, looked at as a mount does.
fn looked_at(keep: &str, unit: i64, seed: &str) -> Result<(), String> {
    if !keep.is_empty() {
        keep.parse::<Keeping>()?;
    }
    if unit != 0 {
        unit.to_string().parse::<Unit>()?;
    }
    if !seed.is_empty() {
        seed_of(seed)?;
    }
    Ok(())
}

impl UnsyncedLog for Power {
    fn unsynced(&self) -> Unsynced {
        let Now { is_off: off, cuts, .. } = *self.0.lock();
        Unsynced { cuts, off, ..Unsynced::default() }
    }

    fn checkpoint(&self) -> i64 {
        MOST
    }

    fn moments(&self, after: i64, most: i64) -> Vec<UnsyncedMoment> {
        let after = after.clamp(0, MOST);
        let moment = |n| UnsyncedMoment { n, ..UnsyncedMoment::default() };
        (after + 1..=MOST.min(after.saturating_add(most))).map(moment).collect()
    }

    fn allows(&self, Cut { keep, unit, seed, .. }: &Cut) -> Result<(), String> {
        looked_at(keep, *unit, seed)
    }

    fn cut(&self, cut: &Cut, moment: i64) -> Result<PowerCut, String> {
        self.allows(cut)?;
        if !(0..=MOST).contains(&moment) {
            return Err(format!("there is no moment {moment}"));
        }
        let image = WirePath::of(cut.name.as_bytes());
        Ok(PowerCut { image, keep: cut.keep.clone(), ..PowerCut::default() })
    }

    fn prepare(&self, _: Duration) -> Result<i64, String> {
        let mut now = self.0.lock();
        if now.is_prepared || now.is_off {
            return Err("the power is off, or is being cut".to_owned());
        }
        now.is_prepared = true;
        Ok(TICKET)
    }

    fn abort(&self, ticket: i64) -> bool {
        let mut now = self.0.lock();
        let aborts = now.is_prepared && ticket == TICKET;
        now.is_prepared &= !aborts;
        aborts
    }

    fn commit(&self, cut: &CutNow) -> Result<PowerLoss, String> {
        looked_at(&cut.keep, cut.unit, &cut.seed)?;
        if !self.abort(cut.ticket) {
            return Err("no such cut is prepared".to_owned());
        }
        let mut now = self.0.lock();
        now.is_off = cut.stay_off;
        now.cuts = now.cuts.saturating_add(1);
        let keep = cut.keep.clone();
        Ok(PowerLoss { keep, off: now.is_off, cuts: now.cuts, ..PowerLoss::default() })
    }

    fn power_on(&self) -> Result<bool, String> {
        let mut now = self.0.lock();
        if now.is_prepared {
            return Err("it is being cut".to_owned());
        }
        Ok(std::mem::take(&mut now.is_off))
    }
}
