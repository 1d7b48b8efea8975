//! Setting a fault on an original charybdefs server, as far as its calls can say it.
//!
//! Invariant: a fault is set as asked or refused with what cannot be said; never something near
//! it. The original reads a probability out of 100,000, 0 meaning always.

use crate::fault::Fault;
use crate::fault::words::{FaultWords, PlainFault};
use crate::rpc::Client;

/// Sets it; returns warnings.
pub(super) fn put(
    client: &mut Client,
    words: &FaultWords,
    add: bool,
) -> Result<Vec<String>, String> {
    if add {
        return Err("that server is charybdefs, not slowfs, and cannot do --add".to_owned());
    }
    let (fault, plain) = said(words)?;
    let futile = fault.futile();
    let known = client.get_methods().map_err(|e| e.to_string())?;
    if words.methods.iter().any(|m| m == "all") {
        client.set_fault(None, &plain).map_err(|e| e.to_string())?;
        return Ok(futile);
    }
    let (known, unknown): (Vec<_>, Vec<_>) =
        words.methods.iter().cloned().partition(|m| known.contains(m));
    if known.is_empty() {
        return Err(format!("that charybdefs knows no method {}", unknown.join(", ")));
    }
    client.set_fault(Some(&known), &plain).map_err(|e| e.to_string())?;
    let ignored = |m: &String| format!("that charybdefs does not know {m}: ignored");
    Ok(unknown.iter().map(ignored).chain(futile).collect())
}

/// The fault, and what its calls can say of it.
///
/// # Errors
/// What they cannot say.
pub(super) fn said(words: &FaultWords) -> Result<(Fault, PlainFault), String> {
    let fault = words.fault().map_err(|e| e.to_string())?;
    let plain = PlainFault::exactly(&fault)?;
    Ok((fault, plain))
}
