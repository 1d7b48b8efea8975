//! How the server looks through what is below its mount, which others serve. No locks.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Told each path; says whether what is below it is visited too, or ends the visit.
pub type Visit<'a> = dyn FnMut(&[u8]) -> ControlFlow<(), bool> + 'a;

/// What a visit has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// Directories that were not looked into, though they were to be.
    pub left_out: u64,
    /// Whether the visit came to its end, and left out no others.
    pub whole: bool,
}

/// Visits all that is below a mount, for as long as that is wanted.
type Walk = dyn Fn(&dyn Fn() -> bool, &mut Visit<'_>) -> io::Result<Visited> + Send + Sync;

/// Counts the open files that are read through the kernel's cache and have a path which is wanted.
type Cached = dyn Fn(&dyn Fn(&[u8]) -> bool) -> u64 + Send + Sync;

/// What is below the mount.
#[derive(Clone)]
pub struct Files {
    walk: Arc<Walk>,
    cached: Arc<Cached>,
}

impl Files {
    /// As `walk` visits them: a directory before what it has, and before each it asks whether to go on.
    #[must_use]
    pub fn new(
        walk: impl Fn(&dyn Fn() -> bool, &mut Visit<'_>) -> io::Result<Visited> + Send + Sync + 'static,
    ) -> Files {
        Files { walk: Arc::new(walk), cached: Arc::new(|_| 0) }
    }

    /// The same, of which `cached` counts those that are open and read through the kernel's cache.
    #[must_use]
    pub fn counting(
        self,
        cached: impl Fn(&dyn Fn(&[u8]) -> bool) -> u64 + Send + Sync + 'static,
    ) -> Files {
        Files { cached: Arc::new(cached), ..self }
    }

    /// How many open files are read through the kernel's cache that have a path which is wanted.
    pub(super) fn cached(&self, wanted: &dyn Fn(&[u8]) -> bool) -> u64 {
        (self.cached)(wanted)
    }

    /// Visits them, as long as `goes_on` says so.
    pub(super) fn walk(
        &self,
        goes_on: &dyn Fn() -> bool,
        visit: &mut Visit<'_>,
    ) -> io::Result<Visited> {
        (self.walk)(goes_on, visit)
    }
}

/// Nothing is there.
impl Default for Files {
    fn default() -> Files {
        Files::new(|_, _| Ok(Visited { left_out: 0, whole: true }))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}
