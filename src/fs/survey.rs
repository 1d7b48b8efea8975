//! What control may ask of the mirrored tree. No locks.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Core;
use crate::mirror::Walked;

/// The tree, to be looked through beside the running session.
pub(crate) struct Survey {
    core: Arc<Core>,
}

impl Survey {
    pub(super) fn new(core: Arc<Core>) -> Survey {
        Survey { core }
    }

    /// Visits the path of all that is there now, as [`Mirror::visit_all`](crate::mirror::Mirror::visit_all) does.
    ///
    /// # Errors
    /// The root cannot be read.
    pub(crate) fn walk(
        &self,
        goes_on: &dyn Fn() -> bool,
        visit: &mut dyn FnMut(&[u8]) -> ControlFlow<(), bool>,
    ) -> io::Result<Walked> {
        self.core.tree.visit_all(goes_on, visit)
    }
}
