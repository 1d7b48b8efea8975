//! Whether the mount itself answers, which others find out. No locks.

/// Who looks at the mount.
pub trait Health: Send + Sync {
    /// Whether it answers.
    ///
    /// # Errors
    /// Why not, in one line and within a bound.
    fn look(&self) -> Result<(), String>;
}
