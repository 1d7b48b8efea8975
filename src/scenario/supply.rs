//! Who carries out the steps about the power of the mount. No locks.

use crate::fault::CutWords;

/// Who has power, of a mount that remembers what is not durable.
pub(crate) trait Supply: Send + Sync {
    /// Looks whether such a cut can be.
    ///
    /// # Errors
    /// Why not, in one line.
    fn allows(&self, cut: &CutWords) -> Result<(), String>;

    /// Makes it: what came of it, in a line.
    ///
    /// # Errors
    /// Why it is not made, or not as it should, in one line.
    fn cut(&self, cut: &CutWords) -> Result<String, String>;

    /// Has the power on again; whether it was off. It waits for nobody.
    ///
    /// # Errors
    /// It is being cut; in one line.
    fn on(&self) -> Result<bool, String>;

    /// All that is there is durable now: how many entries that concerned.
    fn checkpoint(&self) -> i64;
}
