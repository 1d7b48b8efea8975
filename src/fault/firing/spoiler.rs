//! Which fault has an operation's data otherwise. No locks.

use super::{Firing, Hit};
use crate::fault::injections::Source;
use crate::fault::kinds::Class;

impl Hit {
    /// The fault that changes the data, if one does: what stands only answers what it does.
    #[must_use]
    pub(crate) fn spoiler(&self, method: &'static str) -> Option<Source> {
        let mut changing = self.asking().filter(|firing| firing.plan.changes_data());
        changing.find_map(|Firing { live, .. }| {
            let kinds = live.fault.effects().iter().map(|effect| effect.kind());
            let kind = kinds.into_iter().find(|kind| kind.class() == Class::Data)?.name();
            let name = live.fault.name().map(|name| name.as_str().into());
            Some(Source { fault: Some(live.id), name, kind, method })
        })
    }
}
