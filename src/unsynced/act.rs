//! What requests do, as far as moments before them are told apart. No locks.

use std::fmt;
use std::str::FromStr;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Fsync,
    Fdatasync,
    Fsyncdir,
    Rename,
    /// Makes anything.
    Create,
    Link,
    /// Removes anything.
    Unlink,
    Write,
    /// Sets a size.
    Truncate,
}

const NAMES: [(Act, &str); 9] = [
    (Act::Fsync, "fsync"),
    (Act::Fdatasync, "fdatasync"),
    (Act::Fsyncdir, "fsyncdir"),
    (Act::Rename, "rename"),
    (Act::Create, "create"),
    (Act::Link, "link"),
    (Act::Unlink, "unlink"),
    (Act::Write, "write"),
    (Act::Truncate, "truncate"),
];

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(act, _)| act == self).map_or("", |(_, name)| *name);
        f.write_str(name)
    }
}

impl FromStr for Act {
    type Err = String;

    fn from_str(text: &str) -> Result<Act, String> {
        let found = NAMES.iter().find(|(_, name)| *name == text).map(|(act, _)| *act);
        found.ok_or_else(|| format!("one of {}", NAMES.map(|(_, name)| name).join(", ")))
    }
}
