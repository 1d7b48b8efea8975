//! What steps of a scenario do about the power of the mount, by whoever remembers what is not durable; and its
//! words as they go over the wire. No locks.

use std::sync::Arc;

use super::record::record;
use super::unsynced::{Cut, CutNow, UnsyncedLog};
use crate::fault::CutWords;
use crate::scenario::Supply;

record! {
    impl CutWords = "Cut" {
        1: to: Option<String>,
        2: keep: String,
        3: unit: i64,
        4: seed: Option<String>,
        5: max_stall_ns: i64,
        6: stay_off: bool,
        7: kill: bool,
    }
}

/// Who has power by that log.
pub(super) struct Mains(pub(super) Arc<dyn UnsyncedLog>);

impl Supply for Mains {
    fn allows(&self, cut: &CutWords) -> Result<(), String> {
        self.0.allows(&image(cut))
    }

    fn cut(&self, cut: &CutWords) -> Result<String, String> {
        if cut.to.is_some() {
            let done = self.0.cut(&image(cut), 0)?;
            let changes = dropped(done.dropped, done.reverted);
            return Ok(format!("{} keeps {}: {changes}", done.image.0.display(), done.keep));
        }
        let CutWords { keep, unit, seed, stay_off, kill, .. } = cut.clone();
        let seed = seed.unwrap_or_default();
        let cut = CutNow { keep, unit, seed, stay_off, kill, ..CutNow::default() };
        let lost = self.0.cut_now(&cut)?;
        let off = if lost.off { "; it is off" } else { "" };
        let killed: Vec<_> = lost.killed.iter().map(i64::to_string).collect();
        let killed = match killed.is_empty() {
            true => String::new(),
            false => format!("; killed {}", killed.join(", ")),
        };
        let changes = dropped(lost.dropped, lost.reverted);
        Ok(format!("the power was cut, keeps {}: {changes}{killed}{off}", lost.keep))
    }

    fn on(&self) -> Result<bool, String> {
        self.0.power_on()
    }

    fn checkpoint(&self) -> i64 {
        self.0.checkpoint()
    }
}

/// The image that it names; of a cut in place without a name.
fn image(cut: &CutWords) -> Cut {
    let CutWords { to, keep, unit, seed, max_stall_ns, .. } = cut.clone();
    let (name, seed) = (to.unwrap_or_default(), seed.unwrap_or_default());
    Cut { name, keep, unit, seed, max_stall_ns }
}

fn dropped(changes: i64, files: i64) -> String {
    let of = |n: i64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    format!("{} dropped, {} with other content", of(changes, "change"), of(files, "file"))
}
