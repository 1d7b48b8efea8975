//! A write of which a part is stored, although the program is told that all of it is; then healed. No locks.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use anyhow::ensure;

use super::super::output;
use super::super::trial::Mirror;
use super::spoken;

/// What the program writes, and how much of it is stored.
const PAGE: usize = 4096;
const KEPT: usize = 512;
/// What is there before, and what is written.
const OLD: u8 = b'a';
const NEW: u8 = b'b';

/// Shows it.
///
/// # Errors
/// Something could not be set up, or other bytes are stored than should be.
pub(super) fn show(mirror: &Mirror) -> anyhow::Result<()> {
    let stored = || {
        let bytes = fs::read(mirror.raw.join("table"))?;
        anyhow::Ok(bytes.iter().filter(|byte| **byte == NEW).count())
    };
    output::out("\nA torn write: only a part of it is stored, but it succeeds\n");
    let path = mirror.mnt.join("table");
    fs::write(&path, [OLD; PAGE])?;
    let part = format!("prefix:{KEPT}");
    spoken::command(mirror, &["torn-write", &part, "-m", "write", "--count", "1"])?;
    OpenOptions::new().write(true).open(&path)?.write_all_at(&[NEW; PAGE], 0)?;
    let torn = stored()?;
    output::out(&format!(
        "a program wrote {PAGE} bytes without an error; {torn} of them are stored"
    ));
    ensure!(torn == KEPT, "of the torn write {torn} bytes are stored, not {KEPT}");
    spoken::command(mirror, &["heal", "--all"])?;
    let healed = stored()?;
    output::out(&format!("now {healed} of {PAGE} are stored"));
    ensure!(healed == PAGE, "after the heal {healed} bytes are stored, not {PAGE}");
    Ok(())
}
