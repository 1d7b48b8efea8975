//! Whom a server asks about the files of its mount: others serve these. No locks.

use std::fmt;
use std::sync::Arc;

/// Who answers for the files in one thing, if somebody does.
pub struct Behind<T: ?Sized>(Option<Arc<T>>);

impl<T: ?Sized> Behind<T> {
    /// This one.
    #[must_use]
    pub fn new(who: Arc<T>) -> Behind<T> {
        Behind(Some(who))
    }

    /// Whoever it is, for who asks by himself.
    pub(super) fn shared(&self) -> Option<Arc<T>> {
        self.0.clone()
    }

    /// Whoever it is.
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }
}

impl<T: ?Sized> Clone for Behind<T> {
    fn clone(&self) -> Behind<T> {
        Behind(self.0.clone())
    }
}

/// Nobody.
impl<T: ?Sized> Default for Behind<T> {
    fn default() -> Behind<T> {
        Behind(None)
    }
}

impl<T: ?Sized> fmt::Debug for Behind<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Behind")
    }
}
