//! What control may ask of the mirrored tree. No locks.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::Core;
use crate::mirror::Walked;
use crate::unsynced::{Choice, Gap, Manifest, Moment, NoImage, Pending};

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

    /// How many open files are read through the kernel's cache that have a path which is wanted.
    pub(crate) fn cached(&self, wanted: &dyn Fn(&[u8]) -> bool) -> u64 {
        self.core.cached(wanted)
    }

    /// What is not durable, if that is remembered.
    pub(crate) fn pending(&self) -> Option<Pending> {
        self.core.unsynced.as_ref().map(|unsynced| unsynced.pending(&self.core.tree))
    }

    /// All that is there is durable now: how many entries of the log that concerned, if there is one.
    pub(crate) fn checkpoint(&self) -> Option<u64> {
        self.core.unsynced.as_ref().map(|unsynced| unsynced.checkpoint(&self.core.tree))
    }

    /// The moments that were noted after so many, and why each cannot be gone back to, if so.
    pub(crate) fn moments(&self, after: usize, most: usize) -> Vec<(Moment, Option<Gap>)> {
        self.core.unsynced.as_ref().map(|of| of.moments(after, most)).unwrap_or_default()
    }

    /// Looks whether an image of that name can be there.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn allows_image(&self, name: &str) -> Result<(), NoImage> {
        self.core.unsynced.as_ref().map_or(Ok(()), |unsynced| unsynced.images_for(name).map(drop))
    }

    /// Builds what a disk could hold if the power went now, or at a moment that was noted, if what is not
    /// durable is remembered: of that name, if what changes something has to wait so long at most.
    pub(crate) fn cut(
        &self,
        moment: Option<usize>,
        name: (&str, Option<Duration>),
        choice: Choice,
    ) -> Option<Result<Manifest, NoImage>> {
        let unsynced = self.core.unsynced.as_ref()?;
        Some(unsynced.cut(&self.core.tree, moment, name, choice))
    }
}
