//! What the calls do that change the table. Each change is logged with its peer, what it set and how
//! that was read. No locks of its own.

use std::collections::BTreeSet;

use tracing::{info, warn};

use super::handler::{Handler, Refusal};
use super::records::{Applied, Cleared, Put, Taken};
use super::wire::{printable, signed};
use crate::fault::name::Name;
use crate::fault::suggest::closest;
use crate::fault::words::{FaultWords, PlainFault, methods, percent};
use crate::fault::{
    self, Change, Fault, FaultId, FaultRef, Lift, Lifted, Listed, MAX_FAULTS, Origin, Placement,
    SpecError, in_the_way,
};
use crate::ops::{Method, MethodSet};

impl Handler {
    pub(super) fn clear_fault(&self, peer: Origin, name: &str, method: &str) {
        match Method::from_name(method) {
            Some(method) => {
                let lifted = self.lift(&Lift { methods: method.into(), ..Lift::default() });
                info!(%peer, "{name}: {method} cleared{lifted}");
            }
            None => warn!(%peer, "{name}: unknown method {} ignored", printable(method)),
        }
    }

    pub(super) fn clear_methods(&self, peer: Origin, names: &[String]) -> Result<(), Refusal> {
        let methods = methods(names).map_err(own)?;
        if methods.is_empty() {
            return Err(Refusal::Own("no method is named".to_owned()));
        }
        let lifted = self.lift(&Lift { methods, ..Lift::default() });
        info!(%peer, "clear_methods: {methods} cleared{lifted}");
        Ok(())
    }

    pub(super) fn clear_all(&self, peer: Origin, name: &str) {
        self.end_run(peer);
        let lifted = self.lift(&Lift { everything: true, ..Lift::default() });
        self.clear_power(peer);
        info!(%peer, "{name}: every fault cleared{lifted}");
    }

    /// Lifts what names no fault, so that none can be missing.
    fn lift(&self, lift: &Lift) -> Lifted {
        self.table.lift(lift).unwrap_or_default()
    }

    /// Lifts methods, and faults by name or id; without any everything.
    pub(super) fn clear(&self, peer: Origin, what: &[String]) -> Result<Cleared, Refusal> {
        let mut lift = Lift { everything: what.is_empty(), ..Lift::default() };
        let mut faults = Vec::new();
        for word in what {
            match Method::from_name(word) {
                Some(method) => lift.methods = lift.methods.union(method.into()),
                None if word == "all" => lift.everything = true,
                None => {
                    lift.faults.push(FaultRef::new(word));
                    faults.push(word);
                }
            }
        }
        let mut lifted = self.table.lift(&lift).map_err(|missing| {
            let missing = missing.into_iter().filter_map(|place| faults.get(place));
            let missing: Vec<_> = missing.map(|fault| self.missing(fault)).collect();
            Refusal::Own(format!(
                "{}; nothing was cleared; `slowfs list` shows those there are",
                missing.join("; ")
            ))
        })?;
        // After what can be refused. What it has set since then goes with it.
        let ended = lift.everything.then(|| self.end_run(peer)).flatten();
        let power = lift.everything.then(|| self.clear_power(peer)).flatten();
        let scenario = ended.map(|(name, own)| {
            lifted.faults.extend(own.faults);
            lifted.released += own.released;
            name
        });
        let what: Vec<_> = what.iter().map(|word| printable(word)).collect();
        let what = if lift.everything { "everything".to_owned() } else { what.join(",") };
        info!(%peer, "clear: {what} cleared{lifted}");
        let warnings = if lift.everything { Vec::new() } else { self.staying(lift.methods) };
        Ok(Cleared {
            faults: lifted.faults.iter().map(|id| signed(id.0)).collect(),
            released: signed(lifted.released),
            taken: lifted.taken.iter().map(Taken::of).collect(),
            scenario,
            power,
            warnings,
        })
    }

    /// That conditions and latches are on these methods, which clearing methods leaves alone.
    fn staying(&self, methods: MethodSet) -> Vec<String> {
        let told = |listed: Listed| {
            let kind = listed.fault.effects().first()?.kind();
            let on = methods.minus(methods.minus(listed.methods));
            if kind.class().is_fault() || listed.fault.is_automatic() || on.is_empty() {
                return None;
            }
            let called = listed.fault.name().map_or(listed.id.to_string(), Name::to_string);
            let (kind, class) = (kind.name(), kind.class().name());
            Some(format!("{kind} {called} on {on} is a {class} and stays: `slowfs clear {called}`"))
        };
        self.table.list().into_iter().filter_map(told).collect()
    }

    /// That there is no such fault, and what may have been meant.
    pub(super) fn missing(&self, fault: &str) -> String {
        let hint = match Method::comes_as(fault) {
            Some(methods) => Some(format!(" (if a method is meant, write {methods})")),
            None => closest(fault, Method::all().map(Method::name))
                .map(|near| format!(" (did you mean the method {near}?)")),
        };
        let listed = self.table.list();
        let names = || listed.iter().filter_map(|listed| listed.fault.name());
        let near = closest(fault, names().map(|name| name.as_str()));
        let hint = near.map(|near| format!(" (did you mean {near}?)")).or(hint);
        format!("there is no fault {}{}", printable(fault), hint.unwrap_or_default())
    }

    /// Whether there was one of that name or id.
    pub(super) fn remove(&self, peer: Origin, fault: &str) -> bool {
        let lift = Lift { faults: vec![FaultRef::new(fault)], ..Lift::default() };
        let lifted = self.table.lift(&lift).ok();
        let found =
            lifted.as_ref().map_or("is not there".to_owned(), |lifted| format!("cleared{lifted}"));
        info!(%peer, "remove_fault: fault {} {found}", printable(fault));
        lifted.is_some()
    }

    /// `set_fault` and, where the methods are none, `set_all_fault`.
    pub(super) fn set_fault(
        &self,
        peer: Origin,
        name: &str,
        names: Option<Vec<String>>,
        fault: &PlainFault,
    ) -> Result<(), Refusal> {
        let methods = match names {
            None => MethodSet::ALL,
            Some(names) => known(peer, name, &names),
        };
        // Judged also when no method is left, so that a client's mistake is told in any case.
        let device = self.config.auto_delay.as_ref();
        let faults = fault.faults(methods, self.config.scale, device);
        let (faults, notes) = faults.map_err(Refusal::Plain)?;
        for note in notes {
            warn!(%peer, "{name}: {note}");
        }
        let Some(last) = faults.last() else {
            warn!(%peer, "{name}: no known method is named, so nothing was set");
            return Ok(());
        };
        // As read: it is not always what a client of another scale means.
        let read = percent(last.chance().probability.as_fraction());
        let name = format!("{name}: {read}");
        let faults = faults.into_iter().map(|fault| (fault, Placement::Replace)).collect();
        let change = Change { faults, ..Change::default() };
        self.change(peer, &name, change).map_err(Refusal::Plain)?;
        Ok(())
    }

    pub(super) fn put(&self, peer: Origin, words: &FaultWords, add: bool) -> Result<Put, Refusal> {
        let fault = words.fault().map_err(own)?;
        let placement = if add { Placement::Add } else { Placement::Replace };
        let name = if add { "put_fault: added" } else { "put_fault" };
        let mut put = self.change(peer, name, one(fault, placement)).map_err(Refusal::Own)?;
        put.pop().ok_or_else(|| Refusal::Own("nothing was set".to_owned()))
    }

    pub(super) fn put_all(
        &self,
        peer: Origin,
        faults: &[FaultWords],
        remove: &[i64],
        only_these: bool,
    ) -> Result<Vec<Put>, Refusal> {
        let faults = several(faults)?.into_iter().map(|fault| (fault, Placement::Replace));
        let mut change = Change { faults: faults.collect(), only_these, ..Change::default() };
        for id in remove {
            // One that has gone meanwhile, of itself or by another client, is what was asked for.
            let known = u64::try_from(*id).ok().filter(|id| *id > 0).map(FaultId);
            let known = known.filter(|id| self.table.has_set(*id));
            let refuse = || Refusal::Own(format!("remove: {id} is no fault's id"));
            change.remove.push(known.ok_or_else(refuse)?);
        }
        self.change(peer, "put_faults", change).map_err(Refusal::Own)
    }

    /// Has a list of faults in force, each beside the others; `prune`: and no other one.
    pub(super) fn apply(
        &self,
        peer: Origin,
        faults: &[FaultWords],
        prune: bool,
    ) -> Result<Applied, Refusal> {
        let faults = several(faults)?;
        let all = faults.len();
        if all > MAX_FAULTS {
            let why = format!("there are {all} faults, and a mount takes {MAX_FAULTS} at most");
            return Err(of_place(MAX_FAULTS, &why));
        }
        for (place, fault) in faults.iter().enumerate() {
            if let Some(why) = self.config.bounds.refuses(fault) {
                return Err(of_place(place, &why));
            }
        }
        if let Some((first, second)) = in_the_way(&faults.iter().collect::<Vec<_>>()) {
            let why = format!("it would take the place of fault {}: give both names", first + 1);
            return Err(of_place(second, &why));
        }
        let applied = self.table.apply(faults, prune);
        let (set, lifted) = applied.map_err(|e| Refusal::Own(e.to_string()))?;
        let (same, new): (Vec<_>, Vec<_>) = set.iter().partition(|set| set.unchanged);
        let gone = lifted.to_string();
        info!(%peer, "apply_faults: {} set, {} unchanged{gone}", new.len(), same.len());
        let together = set.iter().map(|set| set.id).collect();
        let told = |set: &fault::Put| match set.unchanged {
            // A list may be applied over and over.
            true => self.judged(peer, "apply_faults", set, &together),
            false => self.told(peer, "apply_faults", set, &together),
        };
        Ok(Applied {
            faults: set.iter().map(told).collect(),
            cleared: lifted.faults.iter().map(|id| signed(id.0)).collect(),
            released: signed(lifted.released),
        })
    }

    /// Makes the change, logs it under `name`, and tells what it did.
    fn change(&self, peer: Origin, name: &str, change: Change) -> Result<Vec<Put>, String> {
        let refused = change.faults.iter().find_map(|(fault, _)| self.config.bounds.refuses(fault));
        if let Some(why) = refused {
            return Err(why);
        }
        let only_these = change.only_these;
        let in_force = |id: &&FaultId| self.table.find(&FaultRef::Id(**id)).is_some();
        let removed: Vec<FaultId> = change.remove.iter().filter(in_force).copied().collect();
        let set = self.table.put_all(change).map_err(|e| e.to_string())?;
        for id in removed {
            info!(%peer, "{name}: fault {id} cleared");
        }
        if only_these {
            info!(%peer, "{name}: every other fault cleared");
        }
        let together = set.iter().map(|set| set.id).collect();
        Ok(set.iter().map(|set| self.told(peer, name, set, &together)).collect())
    }

    fn told(
        &self,
        peer: Origin,
        name: &str,
        set: &fault::Put,
        together: &BTreeSet<FaultId>,
    ) -> Put {
        info!(%peer, "{name}: {set}");
        self.judged(peer, name, set, together)
    }

    /// What it did, with what the fault cannot do here.
    fn judged(
        &self,
        peer: Origin,
        name: &str,
        set: &fault::Put,
        together: &BTreeSet<FaultId>,
    ) -> Put {
        let (id, fault) = (set.id, &*set.fault);
        let listed = self.table.find(&FaultRef::Id(id));
        let missed = listed.and_then(|listed| self.out_of_reach(&listed));
        if let Some(files) = &missed {
            let served = self.config.bounds.out_of_reach(fault.scope().methods, fault.pattern());
            let open = served.map(|_| format!("; {} are open", self.stats.passthrough().open()));
            warn!(%peer, "{name}: fault {id} does not reach {files}{}", open.unwrap_or_default());
        }
        let missed = missed.map(|files| format!("it does not reach {files}"));
        let warnings = self.config.bounds.warnings_of(&self.table, id, together);
        for why in &warnings {
            warn!(%peer, "{name}: fault {id}: {why}");
        }
        Put {
            id: signed(id.0),
            replaced: set.replaced.iter().map(|id| signed(id.0)).collect(),
            released: signed(set.released),
            unchanged: set.unchanged,
            warnings: missed.into_iter().chain(warnings).collect(),
            changed: set.changed(),
            taken: set.taken.iter().map(Taken::of).collect(),
        }
    }
}

/// The faults that these words ask for, no two of one name.
fn several(words: &[FaultWords]) -> Result<Vec<Fault>, Refusal> {
    let mut faults: Vec<Fault> = Vec::new();
    for (place, words) in words.iter().enumerate() {
        let fault = words.fault().map_err(|e| of_place(place, &e.to_string()))?;
        let namesake = |other: &Fault| other.name().is_some_and(|n| fault.name() == Some(n));
        if let (Some(other), Some(name)) = (faults.iter().position(namesake), fault.name()) {
            let other = other + 1;
            let why = format!("fault {other} is called {name} already: give it another name");
            return Err(of_place(place, &why));
        }
        faults.push(fault);
    }
    Ok(faults)
}

/// Why the fault at that place of a list is refused.
fn of_place(place: usize, why: &str) -> Refusal {
    Refusal::Own(format!("fault {}: {why}", place + 1))
}

fn one(fault: Fault, placement: Placement) -> Change {
    Change { faults: vec![(fault, placement)], ..Change::default() }
}

/// The methods of these names; who asks for others is told in the log.
fn known(peer: Origin, call: &str, names: &[String]) -> MethodSet {
    let (known, unknown): (Vec<_>, Vec<_>) =
        names.iter().partition(|n| Method::from_name(n).is_some());
    if !unknown.is_empty() {
        let shown: Vec<_> = unknown.iter().take(10).map(|n| printable(n)).collect();
        let more = unknown.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        warn!(%peer, "{call}: unknown methods ignored: {}{more}", shown.join(", "));
    }
    known.into_iter().filter_map(|n| Method::from_name(n)).collect()
}

/// The engine's own words, on one line whatever they quote.
fn own(error: SpecError) -> Refusal {
    Refusal::Own(error.to_string().replace(['\n', '\r'], " "))
}
