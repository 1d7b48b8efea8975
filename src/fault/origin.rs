//! Who commands a table: the other end of a control connection, as it is told of.

use std::fmt;
use std::net::SocketAddr;

/// Who is at the other end of a connection. Two that live at once are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An address and port of the network.
    Net(SocketAddr),
    /// A process of this machine, as the kernel vouches for it.
    Local {
        /// Its id when it connected; 0 if it is in a pid namespace that cannot be seen.
        pid: u32,
        /// Its user then.
        uid: u32,
        /// Its group then.
        gid: u32,
        /// A number that no other connection gets.
        connection: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Net(address) => address.fmt(f),
            Origin::Local { pid, uid, gid, .. } => write!(f, "pid:{pid},uid:{uid},gid:{gid}"),
        }
    }
}
