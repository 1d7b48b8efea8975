//! `slowfs apply`: the faults of a file, in force in one step. What the file says already goes on; what it does not
//! say stays, unless it is pruned. No locks.

pub(super) mod file;

use std::path::PathBuf;

use self::file::FaultFile;
use super::report::Report;
use super::set::lacks;
use super::target::Target;
use crate::fault::words::visible;
use crate::rpc::{Applied, Client, ClientError, Put, objects};

/// What is applied, and where.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ApplyArgs {
    /// The file: a fault a line, as `slowfs list --commands` prints them; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Clear every fault that is not in the file, conditions and latches too
    #[arg(long)]
    pub(super) prune: bool,
    /// The mounts; without any as every control command
    #[arg(value_name = "MOUNTPOINT")]
    mountpoints: Vec<PathBuf>,
}

impl ApplyArgs {
    /// # Errors
    /// All that is wrong with the file, a line each. One without a word, which is what a command leaves that
    /// failed to write it, is not taken for the wish to clear everything.
    pub(super) fn read(&self) -> Result<FaultFile, Vec<String>> {
        let file = FaultFile::read(&self.file)?;
        if self.prune && file.is_blank {
            return Err(vec![format!(
                "{} is empty, and --prune would clear every fault; if that is meant, have it say `# no faults`, \
                 or write `slowfs clear`",
                file.name()
            )]);
        }
        Ok(file)
    }

    pub(super) fn target(&self, target: &Target) -> Target {
        let mut target = target.clone();
        target.mount.extend(self.mountpoints.iter().cloned());
        target
    }
}

/// Has the faults of that file in force there; `prune`: and no other one.
pub(super) fn apply(client: &mut Client, file: &FaultFile, prune: bool) -> Result<Report, String> {
    let info = client.info().map_err(|error| match error {
        ClientError::UnknownCall { .. } => {
            "that server is charybdefs, not slowfs, and has no list of faults: set them one by one"
                .to_owned()
        }
        other => other.to_string(),
    })?;
    let lacks = |(place, fault)| Some(format!("{}: {}", file.line(place), lacks(&info, fault)?));
    if let Some(why) = file.faults.iter().enumerate().find_map(lacks) {
        return Err(why);
    }
    let applied = client.apply_faults(&file.faults, prune).map_err(|error| match error {
        ClientError::UnknownCall { .. } => {
            format!(
                "that daemon is slowfs {} and has no apply: mount again with this version",
                info.version
            )
        }
        ClientError::Refused(why) => format!("{}; nothing was changed", file.placed(&why)),
        other => other.to_string(),
    })?;
    let warnings = applied.faults.iter().flat_map(objects::put_warnings).collect();
    let json = objects::applied(&applied, &file.faults);
    Ok(Report::new(told(&applied, file), json).with_warnings(warnings))
}

/// A line for each, and one for all others.
fn told(applied: &Applied, file: &FaultFile) -> String {
    let Applied { faults, cleared, released } = applied;
    let each = faults
        .iter()
        .zip(&file.faults)
        .map(|(put, fault)| format!("fault {}: {}: {}", put.id, fault.shown(), outcome(put)));
    let mut lines: Vec<_> = each.collect();
    if lines.is_empty() {
        lines.push(format!("{} has no faults", file.name()));
    }
    if !cleared.is_empty() {
        let ids: Vec<_> = cleared.iter().map(i64::to_string).collect();
        lines.push(format!("cleared, because they are not in {}: {}", file.name(), ids.join(", ")));
    }
    if *released > 0 {
        lines.push(format!("released {released} held"));
    }
    lines.join("\n")
}

fn outcome(put: &Put) -> String {
    match put {
        Put { unchanged: true, .. } => "unchanged".to_owned(),
        Put { changed, .. } if !changed.is_empty() => {
            format!("changed: {}", visible(&changed.join("; ")))
        }
        _ => "set".to_owned(),
    }
}
