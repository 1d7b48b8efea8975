//! What the calls do that change the table. Each change is logged with its peer, what it set and how
//! that was read. No locks of its own.

use std::net::SocketAddr;

use tracing::{info, warn};

use super::handler::{Handler, Refusal};
use super::records::Put;
use super::wire::{printable, signed};
use crate::fault::words::{FaultWords, PlainFault, methods, percent};
use crate::fault::{self, Change, Fault, FaultId, Placement, SpecError, shorten};
use crate::ops::{Method, MethodSet};

impl Handler {
    pub(super) fn clear_fault(&self, peer: SocketAddr, name: &str, method: &str) {
        match Method::from_name(method) {
            Some(method) => {
                self.table.clear_methods(method.into());
                info!(%peer, "{name}: {method} cleared");
            }
            None => warn!(%peer, "{name}: unknown method {} ignored", printable(method)),
        }
    }

    pub(super) fn clear_methods(&self, peer: SocketAddr, names: &[String]) -> Result<(), Refusal> {
        let methods = methods(names).map_err(own)?;
        if methods.is_empty() {
            return Err(Refusal::Own("no method is named".to_owned()));
        }
        self.table.clear_methods(methods);
        info!(%peer, "clear_methods: {methods} cleared");
        Ok(())
    }

    /// Whether there was one of that name or id.
    pub(super) fn remove(&self, peer: SocketAddr, fault: &str) -> bool {
        let removed = self.find(fault).is_some_and(|id| self.table.remove(id));
        let found = if removed { "cleared" } else { "is not there" };
        info!(%peer, "remove_fault: fault {} {found}", printable(fault));
        removed
    }

    /// `set_fault` and, where the methods are none, `set_all_fault`.
    pub(super) fn set_fault(
        &self,
        peer: SocketAddr,
        name: &str,
        names: Option<Vec<String>>,
        fault: &PlainFault,
    ) -> Result<(), Refusal> {
        let methods = match names {
            None => MethodSet::ALL,
            Some(names) => known(peer, name, &names),
        };
        // Judged also when no method is left, so that a client's mistake is told in any case.
        let (fault, notes) = fault.fault(methods, self.config.scale).map_err(Refusal::Plain)?;
        for note in notes {
            warn!(%peer, "{name}: {note}");
        }
        let Some(fault) = fault else {
            warn!(%peer, "{name}: no known method is named, so nothing was set");
            return Ok(());
        };
        // As read: it is not always what a client of another scale means.
        let read = percent(fault.chance().probability.as_fraction());
        let name = format!("{name}: {read}");
        self.change(peer, &name, one(fault, Placement::Replace)).map_err(Refusal::Plain)?;
        Ok(())
    }

    pub(super) fn put(
        &self,
        peer: SocketAddr,
        words: &FaultWords,
        add: bool,
    ) -> Result<Put, Refusal> {
        let fault = words.fault().map_err(own)?;
        let placement = if add { Placement::Add } else { Placement::Replace };
        let name = if add { "put_fault: added" } else { "put_fault" };
        let mut put = self.change(peer, name, one(fault, placement)).map_err(Refusal::Own)?;
        put.pop().ok_or_else(|| Refusal::Own("nothing was set".to_owned()))
    }

    pub(super) fn put_all(
        &self,
        peer: SocketAddr,
        faults: &[FaultWords],
        remove: &[i64],
        only_these: bool,
    ) -> Result<Vec<Put>, Refusal> {
        let mut change = Change { only_these, ..Change::default() };
        for (place, words) in faults.iter().enumerate() {
            let fault = words.fault();
            let fault = fault.map_err(|e| Refusal::Own(format!("fault {}: {e}", place + 1)))?;
            change.faults.push((fault, Placement::Replace));
        }
        let id = |id: &i64| u64::try_from(*id).ok().map(FaultId);
        change.remove.extend(remove.iter().filter_map(id));
        self.change(peer, "put_faults", change).map_err(Refusal::Own)
    }

    /// Makes the change, logs it under `name`, and tells what it did.
    fn change(&self, peer: SocketAddr, name: &str, change: Change) -> Result<Vec<Put>, String> {
        let (removed, only_these) = (change.remove.clone(), change.only_these);
        let set = self.table.put_all(change).map_err(|e| e.to_string())?;
        for id in removed {
            info!(%peer, "{name}: fault {id} cleared");
        }
        if only_these {
            info!(%peer, "{name}: every other fault cleared");
        }
        Ok(set.iter().map(|set| self.told(peer, name, set)).collect())
    }

    fn told(&self, peer: SocketAddr, name: &str, set: &fault::Put) -> Put {
        let (id, fault) = (set.id, &*set.fault);
        let words = FaultWords::of(fault, fault.scope().methods);
        let changed = set
            .before
            .as_ref()
            .map(|before| words.differences(&FaultWords::of(before, before.scope().methods)));
        let line = FaultWords { pattern: shorten(&words.pattern), ..words }.line();
        info!(%peer, "{name}: fault {id}: {line}");
        let scope = fault.scope();
        let missed = self.out_of_reach(scope.methods, &scope.pattern);
        if let Some(files) = &missed {
            let open = self.stats.passthrough().open();
            warn!(%peer, "{name}: fault {id} does not reach {files}; {open} are open");
        }
        let cannot = self.cannot_fire(scope.methods);
        if let Some(why) = &cannot {
            warn!(%peer, "{name}: fault {id}: {why}");
        }
        let missed = missed.map(|files| format!("it does not reach {files}"));
        Put {
            id: signed(id.0),
            replaced: set.replaced.iter().map(|id| signed(id.0)).collect(),
            released: signed(set.released),
            unchanged: set.unchanged,
            warnings: missed.into_iter().chain(cannot).collect(),
            changed: changed.unwrap_or_default(),
        }
    }
}

fn one(fault: Fault, placement: Placement) -> Change {
    Change { faults: vec![(fault, placement)], ..Change::default() }
}

/// The methods of these names; who asks for others is told in the log.
fn known(peer: SocketAddr, call: &str, names: &[String]) -> MethodSet {
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
