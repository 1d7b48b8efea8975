//! What control may ask of the mirrored tree. No locks.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Core;

/// The tree, to be looked through beside the running session.
pub(crate) struct Survey {
    core: Arc<Core>,
}

impl Survey {
    pub(super) fn new(core: Arc<Core>) -> Survey {
        Survey { core }
    }

    /// Visits the path of all that is there now, as [`Mirror::visit_all`](crate::mirror::Mirror::visit_all) does; how
    /// many directories were left out.
    ///
    /// # Errors
    /// The root cannot be read.
    pub(crate) fn walk(
        &self,
        visit: &mut dyn FnMut(&[u8]) -> ControlFlow<(), bool>,
    ) -> io::Result<u64> {
        self.core.tree.visit_all(visit)
    }
}
