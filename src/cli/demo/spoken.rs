//! Commands as one types them, and what they say. No locks.

use std::env;
use std::process::{Command, Stdio};

use anyhow::ensure;

use super::super::output;
use super::super::trial::Mirror;

/// Shows the command, has it done on the mirror, and shows its answer.
///
/// # Errors
/// It could not be run, or was refused, with its own words.
pub(super) fn command(mirror: &Mirror, words: &[&str]) -> anyhow::Result<()> {
    output::out(&format!("$ slowfs {}", words.join(" ")));
    let mut command = Command::new(env::current_exe()?);
    let done = command.args(words).args(["--addr", &mirror.addr]).stdin(Stdio::null()).output()?;
    for line in String::from_utf8_lossy(&done.stdout).lines() {
        output::out(&format!("  {line}"));
    }
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{}", said.trim().trim_start_matches("slowfs: "));
    Ok(())
}
