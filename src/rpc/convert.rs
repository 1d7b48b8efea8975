//! The engine's faults as the interface lists them. No locks.

use std::time::SystemTime;

use super::records::ListedFault;
use super::wire::{ns, signed};
use crate::fault::trace::monotonic_ns;
use crate::fault::words::FaultWords;
use crate::fault::{Gone, Listed};

/// A fault in words, with those of its methods that are left.
pub(super) fn words(listed: &Listed) -> FaultWords {
    FaultWords::of(&listed.fault, listed.methods)
}

/// A fault in force.
pub(super) fn listed(listed: &Listed) -> ListedFault {
    ListedFault {
        id: signed(listed.id.0),
        fault: words(listed),
        category: category(listed).to_owned(),
        state: if listed.is_on { "on" } else { "off" }.to_owned(),
        matched: signed(listed.matched),
        fired: signed(listed.fired),
        held: signed(listed.held),
        skipped: signed(listed.skipped),
        let_go: signed(listed.let_go),
        past_cache: signed(listed.past_cache),
        expires_in_ns: listed.expires_in.map(ns),
        set_ns: Some(monotonic_ns(listed.since)),
        ..ListedFault::default()
    }
}

/// A condition and a latch by that name, all others as a fault.
fn category(listed: &Listed) -> &'static str {
    let class = listed.fault.effects().first().map(|effect| effect.kind().class());
    class.filter(|class| !class.is_fault()).map_or("fault", |class| class.name())
}

/// A fault that has gone.
pub(super) fn gone(gone: &Gone) -> ListedFault {
    let at = gone.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ListedFault {
        state: "ended".to_owned(),
        ended_unix_ns: Some(ns(at)),
        why: Some(gone.why.to_string()),
        ..listed(&gone.fault)
    }
}
