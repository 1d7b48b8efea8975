//! What tests of this room share.

use std::sync::Arc;

use super::firing::{Firing, Hit};
use super::live::Live;
use super::operation::{Caller, Operation};
use super::spec::Fault;
use super::words;
use crate::ops::Call;

/// A fault as typed.
pub(super) fn fault(line: &str) -> Fault {
    words::line(line).and_then(|(words, _)| words.fault()).unwrap()
}

/// A request by this thread.
pub(super) fn request(call: Call, tid: u32) -> Operation<'static> {
    Operation::new(call, Caller { tid, uid: 0, gid: 0 }, 7)
}

/// What a fault does to such a request, if it fires.
pub(super) fn strike(live: &Arc<Live>, call: Call, tid: u32) -> Option<Hit> {
    strike_all(&[live], call, tid)
}

/// What several do to it, of which all must fire.
pub(super) fn strike_all(lives: &[&Arc<Live>], call: Call, tid: u32) -> Option<Hit> {
    strike_on(lives, &request(call, tid))
}

/// What they do to this request.
pub(super) fn strike_on(lives: &[&Arc<Live>], op: &Operation<'_>) -> Option<Hit> {
    let mut hit = None;
    for live in lives {
        let strike = live.strike(op)?;
        let firing = Firing::new(live, Some(&strike), op.call.methods());
        let hit = match &mut hit {
            Some(hit) => {
                Hit::add(hit, firing);
                hit
            }
            None => hit.insert(Hit::new(firing, op)),
        };
        hit.fire(op, &strike);
    }
    hit
}
