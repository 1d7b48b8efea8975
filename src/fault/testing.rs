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
    let op = request(call, tid);
    let strike = live.strike(&op)?;
    let mut hit = Hit::new(Firing::new(live, Some(&strike)), call.methods(), &op);
    hit.fire(&op, &strike);
    Some(hit)
}
