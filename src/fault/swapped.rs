//! A change of the table that is in force, and of which not everybody has been told. No locks.

/// What is still to be done about changes that are in force already: what they let go is on its way, and
/// the subscribers are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "whoever has to know of the change is not told yet"]
pub(crate) struct Swapped {
    /// Whether something is otherwise than before.
    pub(super) altered: bool,
}

impl Swapped {
    /// That of two changes.
    pub(crate) fn and(self, other: Swapped) -> Swapped {
        Swapped { altered: self.altered || other.altered }
    }
}

/// Why a change was not made. Nothing is changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoSwap {
    /// There would be more faults than may be.
    TooMany,
    /// The places in [`super::Lift::faults`] of those that are not there.
    Missing(Vec<usize>),
}
