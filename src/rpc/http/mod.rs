//! HTTP/1.1 beside Thrift: the same calls, answered by the objects of `--json`; figures for Prometheus; and a
//! page to look at. On the mount's socket the first byte tells which of the two a peer speaks.
//!
//! ```text
//! service            one connection: requests in, answers out, until either side ends it
//! routes             the table: each path, and what is done there
//! faults, told, scenario, doing  what that is
//! asked, given, metrics, page, health   what is asked for, and what is told
//! guard, route       who may ask; which route a request means
//! request, query, json, answer   bytes <-> requests and answers, within limits
//! ```
//!
//! The connections are the server's, so that its promises hold here too. httparse reads the heads: the
//! servers that there are without an asynchronous runtime bring connections of their own, which they neither
//! bound nor time. Invariant: whatever a request costs is bounded before it is known who asks. No locks.

mod answer;
mod asked;
mod doing;
mod faults;
#[cfg(any(test, fuzzing))]
#[allow(clippy::panic, reason = "a fuzzer finds by panicking")]
pub(super) mod fuzzing;
mod given;
mod guard;
mod health;
mod json;
mod metrics;
mod page;
mod query;
mod request;
mod route;
mod routes;
mod scenario;
mod service;
mod told;

pub use guard::Access;
pub use health::Health;
pub(super) use service::Service;

/// Whether that is the first byte of a request: a method's name. Thrift begins with 0x80, or with the high byte
/// of a length far below that of a letter.
pub(super) fn begins(first: u8) -> bool {
    first.is_ascii_uppercase()
}
