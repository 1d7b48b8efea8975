//! How the server looks through what is below its mount, which others serve. No locks.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Told each path; says whether what is below it is visited too, or ends the visit.
pub type Visit<'a> = dyn FnMut(&[u8]) -> ControlFlow<(), bool> + 'a;

/// Visits all that is below a mount; how many directories were left out.
type Walk = dyn Fn(&mut Visit<'_>) -> io::Result<u64> + Send + Sync;

/// What is below the mount.
#[derive(Clone)]
pub struct Files(Arc<Walk>);

impl Files {
    /// As `walk` visits them: a directory before what it has; it tells how many it left out.
    #[must_use]
    pub fn new(walk: impl Fn(&mut Visit<'_>) -> io::Result<u64> + Send + Sync + 'static) -> Files {
        Files(Arc::new(walk))
    }

    /// Visits them; how many directories were left out.
    pub(super) fn walk(&self, visit: &mut Visit<'_>) -> io::Result<u64> {
        (self.0)(visit)
    }
}

/// Nothing is there.
impl Default for Files {
    fn default() -> Files {
        Files::new(|_| Ok(0))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}
