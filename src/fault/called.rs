//! How faults are called. No locks.

use std::fmt;

use super::id::FaultId;
use super::live::Live;

/// A fault as people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultRef {
    /// By its number.
    Id(FaultId),
    /// By its name; of those that were spent all of that name.
    Name(String),
}

impl FaultRef {
    /// A number, else a name.
    #[must_use]
    pub(crate) fn new(name_or_id: &str) -> FaultRef {
        match name_or_id.parse() {
            Ok(id) => FaultRef::Id(FaultId(id)),
            Err(_) => FaultRef::Name(name_or_id.to_owned()),
        }
    }

    /// Whether that fault is meant.
    #[must_use]
    pub(crate) fn is(&self, id: FaultId, name: Option<&str>) -> bool {
        match self {
            FaultRef::Id(own) => *own == id,
            FaultRef::Name(own) => name == Some(own),
        }
    }

    /// Whether that fault is meant.
    pub(super) fn means(&self, live: &Live) -> bool {
        self.is(live.id, live.fault.name().map(|name| name.as_str()))
    }
}

/// As it was called.
impl fmt::Display for FaultRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultRef::Id(id) => id.fmt(f),
            FaultRef::Name(name) => write!(f, "{}", name.escape_debug()),
        }
    }
}
