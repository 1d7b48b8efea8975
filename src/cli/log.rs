//! Where the log goes: standard error or a file, colour only on a terminal.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::Context;
use tracing::Level;

/// Starts the log.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn start(file: Option<&Path>) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt().with_max_level(Level::INFO).with_target(false);
    match file {
        Some(path) => {
            let file = File::options().create(true).append(true).open(path);
            let file = file.with_context(|| format!("cannot log to {}", path.display()))?;
            log.with_ansi(false).with_writer(file).init();
        }
        None => log.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).init(),
    }
    Ok(())
}
