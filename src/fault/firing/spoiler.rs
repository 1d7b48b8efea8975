//! Which fault has an operation's data otherwise. No locks.

use super::{Firing, Hit};
use crate::fault::injections::Source;

impl Hit {
    /// The fault that changes the data, if one does: what stands only answers what it does.
    #[must_use]
    pub(crate) fn spoiler(&self, method: &'static str) -> Option<Source> {
        let Firing { live, .. } = self.spoiling()?;
        let name = live.fault.name().map(|name| name.as_str().into());
        Some(Source { fault: Some(live.id), name, kind: live.fault.spoils()?.name(), method })
    }

    pub(super) fn spoiling(&self) -> Option<&Firing> {
        let mut changing = self.asking().filter(|firing| firing.plan.changes_data());
        changing.find(|firing| firing.live.fault.spoils().is_some())
    }
}
