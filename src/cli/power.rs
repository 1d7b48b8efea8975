//! `slowfs unsynced`, `slowfs checkpoint` and `slowfs power-cut`: what a power cut would take back. No locks.

use std::fmt::Write as _;

use serde_json::json;

use super::output;
use super::report::Report;
use super::tracking::CutArgs;
use crate::fault::words::visible;
use crate::rpc::{
    Client, ClientError, Cut, PowerCut, Unsynced, UnsyncedFile, UnsyncedName, WirePath, objects,
    signed,
};

/// Has one mount build the image.
pub(super) fn cut(client: &mut Client, args: &CutArgs) -> Result<Report, ClientError> {
    let CutArgs { to, keep, unit, seed, max_stall, .. } = args;
    let seed = seed.map(|seed| seed.to_string()).unwrap_or_default();
    let name = to.clone().unwrap_or_default();
    let max_stall_ns = i64::try_from(max_stall.as_nanos()).unwrap_or(i64::MAX).max(1);
    let cut = Cut { name, keep: keep.to_string(), unit: signed(unit.bytes()), seed, max_stall_ns };
    let done = client.power_cut(&cut)?;
    let PowerCut { image, keep, seed, entries, dropped, reverted, .. } = &done;
    let dice = if keep == "random" { format!(" (seed {seed})") } else { String::new() };
    let text = format!(
        "{} is what a disk could have now: keeps {keep}{dice} of {}; {} dropped, {} with other content",
        shown(image),
        counted(*entries, "unsynced entry", "unsynced entries"),
        counted(*dropped, "change", "changes"),
        counted(*reverted, "file", "files"),
    );
    Ok(Report::new(text, objects::cut(&done)))
}

/// Has all that one mount has count as durable.
pub(super) fn checkpoint(client: &mut Client) -> Result<Report, ClientError> {
    let entries = client.checkpoint()?;
    let text = format!("{} durable", counted(entries, "entry is", "entries are"));
    Ok(Report::new(text, json!({ "entries": entries })))
}

/// What is not durable of one mount.
pub(super) fn unsynced(client: &mut Client) -> Result<Report, ClientError> {
    let found = client.unsynced()?;
    let report = Report::new(table(&found), objects::unsynced(&found));
    Ok(report.with_warnings(objects::unsynced_warnings(&found)))
}

fn table(found: &Unsynced) -> String {
    let Unsynced { files, names, left_out, entries, remembered, written_back, .. } = found;
    let lost: i64 = files.iter().map(|file| file.lost).sum();
    let mut text = match entries {
        0 if lost == 0 => "everything is durable".to_owned(),
        n => format!("{} not durable, {remembered} bytes", counted(*n, "entry is", "entries are")),
    };
    if lost > 0 {
        let _ =
            write!(text, "; {} lost, which no sync stores", counted(lost, "byte is", "bytes are"));
    }
    if found.off {
        text.insert_str(0, "the power is off; ");
    }
    if *written_back > 0 {
        let _ = write!(text, "; {written_back} counted as written back");
    }
    let of_file = |file: &UnsyncedFile| {
        let ranges: Vec<String> =
            file.ranges.iter().map(|r| format!("{}+{}", r.offset, r.len)).collect();
        let sizes = (file.sizes > 0).then(|| counted(file.sizes, "size", "sizes"));
        let lost = (file.lost > 0).then(|| format!("{} lost", file.lost));
        let what: Vec<String> = ranges.into_iter().chain(lost).chain(sizes).collect();
        [what.join(" "), output::short_time(file.age_ns), shown(&file.path)]
    };
    let of_name = |name: &UnsyncedName| [name.what.clone(), String::new(), shown(&name.path)];
    let rows: Vec<_> = files.iter().map(of_file).chain(names.iter().map(of_name)).collect();
    if !rows.is_empty() {
        let _ = write!(text, "\n{}", output::table(["WHAT", "AGE", "PATH"], &[], rows));
    }
    if *left_out > 0 {
        let _ = write!(text, "\nand {left_out} more");
    }
    text
}

pub(super) fn counted(n: i64, one: &str, several: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}

fn shown(path: &WirePath) -> String {
    visible(&path.0.to_string_lossy())
}
