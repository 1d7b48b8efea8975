//! What a disk could hold after a power cut, of a log that is synced now and then. No locks.

use std::fs::{self, File};
use std::io::Write;

use anyhow::ensure;

use super::super::output;
use super::super::trial::Mirror;
use super::spoken;

/// How many records the program appends, after how many it syncs, and how long each is.
const RECORDS: usize = 18;
const SYNCED_EVERY: usize = 5;
const RECORD: usize = 100;

/// Shows it.
///
/// # Errors
/// Something could not be set up, or the image has what it should not have.
pub(super) fn show(mirror: &Mirror) -> anyhow::Result<()> {
    output::out("\nA power cut: what was not synced may be lost\n");
    let mut log = File::create(mirror.mnt.join("log"))?;
    for n in 1..=RECORDS {
        log.write_all(&[b'r'; RECORD])?;
        if n % SYNCED_EVERY == 0 {
            log.sync_all()?;
        }
    }
    fs::write(mirror.mnt.join("index"), "never synced")?;
    output::out(&format!(
        "a program appended {RECORDS} records to a log, with an fsync after each {SYNCED_EVERY}, and made an index"
    ));
    spoken::command(mirror, &["power-cut", "--to", "cut1"])?;
    let image = mirror.images.join("cut1");
    let found = fs::metadata(image.join("log"))?.len();
    let kept = usize::try_from(found)? / RECORD;
    let index = image.join("index").exists();
    let tells = if index { "the index" } else { "no index" };
    output::out(&format!("that disk has {kept} of the {RECORDS} records, and {tells}"));
    let there = fs::metadata(mirror.mnt.join("log"))?.len();
    output::out(&format!("the mount goes on, with {} of them", usize::try_from(there)? / RECORD));
    let durable = RECORDS / SYNCED_EVERY * SYNCED_EVERY;
    ensure!(kept == durable, "the image has {kept} records, not the {durable} that were synced");
    ensure!(!index, "the image has a file that was never synced");
    Ok(())
}
