//! Which processes serve a mirror whose socket was not found. All of /proc is searched for that, which takes long where
//! there are many processes: so it is done once, until the mount table changes. No locks.

use std::collections::HashMap;
use std::time::Duration;

use crate::daemon::mark::{self, Server};
use crate::daemon::mountinfo::{Device, MountLine, MountTable};

/// What has been found so far.
#[derive(Default)]
pub(super) struct Serving {
    /// None before the first search, and while it cannot be opened.
    table: Option<MountTable>,
    found: HashMap<Device, Vec<Server>>,
}

impl Serving {
    /// Those that serve that mirror, and live.
    pub(super) fn servers_of(&mut self, line: &MountLine) -> &[Server] {
        // Opened before the search: a change during that shows at the next one.
        if self.table.as_ref().is_none_or(MountTable::take_change) {
            self.found.clear();
            self.table = self.table.take().or_else(|| MountTable::open().ok());
        }
        let servers = self.found.entry(line.device).or_insert_with(|| mark::servers_of(line));
        servers.retain(|server| !server.ends_within(Duration::ZERO));
        servers
    }
}
