//! What the daemon asks of the filesystem while fuser drives it. No locks.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::init::Kernel;
use super::notices::Notices;
use super::{Core, passthrough, warden};
use crate::fault::FaultTable;

/// Tells the kernel of changes to the fault table.
pub(crate) struct Notifier {
    core: Arc<Core>,
}

impl Notifier {
    pub(super) fn new(core: Arc<Core>) -> Notifier {
        Notifier { core }
    }

    /// What was agreed with the kernel; none before the session was.
    #[must_use]
    pub(crate) fn kernel(&self) -> Kernel {
        self.core.kernel.get().cloned().unwrap_or_default()
    }

    /// Why `--passthrough-except` cannot be kept on this session's connection, if so.
    #[must_use]
    pub(crate) fn passthrough_refusal(&self, connection: BorrowedFd<'_>) -> Option<&'static str> {
        self.core.options.passthrough_except.as_ref()?;
        passthrough::refusal(&self.kernel(), connection)
    }

    /// From now on each change of `table` reaches the kernel's caches before the call that made it
    /// returns, and callers that are killed while their operation is blocked are freed.
    /// `connection` is that of the session.
    ///
    /// # Errors
    /// The thread that frees them cannot start.
    pub(crate) fn attach(self, table: &FaultTable, connection: OwnedFd) -> io::Result<()> {
        let core = self.core;
        if core.notices.set(Notices::new(connection)).is_ok() {
            let refresher = Arc::clone(&core);
            table.subscribe(Box::new(move |faults| {
                refresher.refresh(faults);
                refresher.faults_changed(faults);
            }));
            core.distrust_all(Duration::ZERO);
            warden::guard(&core)?;
        }
        Ok(())
    }
}
