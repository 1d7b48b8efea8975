//! The control socket that each mount has beside its TCP port, under its own name.
//!
//! ```text
//! look, own  ->  place  ->  name
//! ```
//!
//! Invariant: a socket lies in a directory that only its owner may write to, and only the owner may
//! connect. Names come and go under the directory's lock, so that what is taken away for dead is what was
//! seen dead. The lock is a file's (flock(2)) that only the owner may open; nobody holds it across more
//! than a look at one directory, and nobody waits for it for longer than a moment.

mod look;
mod name;
mod own;
mod place;

pub(crate) use look::{Sockets, State, all, connect, live, socket_of};
pub(super) use own::ControlSocket;
