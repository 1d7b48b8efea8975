//! `slowfs match`: which files a pattern matches, which faults a path meets. The mounts tell; here it is
//! found out which path is meant. No locks.

use std::io;
use std::path::{Path, PathBuf};

use super::control::MatchArgs;
use super::fleet::Origin;
use super::render::{self, explain};
use super::report::Report;
use super::target::Target;
use super::whom::{self, Around, Lead, Meant};
use crate::daemon::mountinfo::MountLine;
use crate::fault::words::visible;
use crate::rpc::{Client, Info, Matched, Met, WirePath, objects};

/// The addresses of the mounts that are meant: those that are named, or that the path is of.
///
/// # Errors
/// None is, or one of several; why, and what to do.
pub(super) fn addresses(args: &MatchArgs, target: &Target) -> Result<Meant, String> {
    match &args.path {
        Some(path) if target.mount.is_empty() && target.addr.is_empty() => {
            let Around { addresses, unknown } = whom::addresses_of(path)?;
            if !addresses.is_empty() {
                return Ok((addresses, Origin::default()));
            }
            whom::addresses(target).map_err(|why| {
                let path = visible(&path.to_string_lossy());
                match unknown.is_empty() {
                    true => format!("{path} is below no mirror; {why}"),
                    false => {
                        let unknown = unknown.join("; ");
                        format!("{path} is below no mirror that answers ({unknown}); {why}")
                    }
                }
            })
        }
        _ => whom::addresses(target),
    }
}

/// Asks one mount.
///
/// # Errors
/// It does not answer, or refuses; one line.
pub(super) fn ask(client: &mut Client, addr: &str, args: &MatchArgs) -> Result<Report, String> {
    let path = args.path.as_ref().map(|path| meant(client, addr, path)).transpose()?;
    let failed = |error| explain(addr, error);
    match (args.paths.pattern(), path) {
        (Some(pattern), path) => {
            let below = path.unwrap_or_default();
            let found = client.match_files(pattern, &below, args.most).map_err(failed)?;
            Ok(files(&found))
        }
        (None, Some(path)) => client.match_path(&path).map(|met| faults(&met)).map_err(failed),
        (None, None) => Err("name a path, or a pattern by -r or --glob".to_owned()),
    }
}

/// The path as that mount knows it: where it was mounted, or what is behind it. A path is not followed
/// below a mirror, which may hold everything.
fn meant(client: &mut Client, addr: &str, path: &Path) -> Result<PathBuf, String> {
    let cannot = |e: io::Error| format!("cannot find {}: {e}", path.display());
    if !client.is_here() {
        return std::path::absolute(path).map_err(cannot);
    }
    let lead = whom::lead(path)?;
    let Info { mountpoint, backing, .. } = client.info().map_err(|error| explain(addr, error))?;
    let Lead { path, mirror } = lead;
    // A mirror may be bound to other places as well.
    let is_this = |line: &MountLine| {
        line.mountpoint == mountpoint.0 || whom::address_of(line).is_ok_and(|own| own == addr)
    };
    if let Some(line) = mirror.filter(is_this)
        && let Ok(rest) = path.strip_prefix(&line.mountpoint)
    {
        return Ok(mountpoint.0.join(rest));
    }
    Ok(whom::below(&backing.0, &path).unwrap_or(path))
}

fn files(found: &Matched) -> Report {
    let Matched { paths, matching, seen, .. } = found;
    let mut lines: Vec<_> = paths.iter().map(shown).collect();
    let some = match paths.len() {
        all if i64::try_from(all) == Ok(*matching) => String::new(),
        told => format!("; {told} of them are shown"),
    };
    lines.push(format!("{matching} of {seen} files and directories match{some}"));
    Report::new(lines.join("\n"), objects::matched(found))
        .with_warnings(objects::search_warnings(found))
}

fn faults(met: &Met) -> Report {
    let Met { path, faults, others } = met;
    let n = faults.len();
    let all = i64::try_from(n).unwrap_or(i64::MAX).saturating_add(*others);
    let place = shown(path);
    let s = if all == 1 { "" } else { "s" };
    let head = format!("{place} meets {n} of {all} fault{s}");
    let text = if n == 0 { head } else { format!("{head}\n{}", render::fault_table(faults)) };
    Report::new(text, objects::met(met)).with_warnings(objects::warnings(faults))
}

fn shown(path: &WirePath) -> String {
    visible(&path.0.to_string_lossy())
}
