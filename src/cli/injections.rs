//! `slowfs injections`, `heal` and `rot`: what faults have made of bytes, and how it goes. No locks.

use serde_json::json;

use super::control::RotArgs;
use super::output;
use super::render::explain;
use super::report::Report;
use crate::fault::injections::RotWords;
use crate::fault::words::visible;
use crate::rpc::{
    Client, ClientError, Healed, Injection, Injections, Rotted, objects, outcomes, unhealed,
};

/// How many are asked for at once.
const PAGE: i64 = 1_000;

/// All injections that are kept.
pub(super) fn list(client: &mut Client) -> Result<Report, ClientError> {
    let mut all = client.injections(0, PAGE)?;
    while let Some(last) = all.injections.last().map(|last| last.id) {
        let next = client.injections(last, PAGE)?;
        if next.injections.is_empty() {
            break;
        }
        all.injections.extend(next.injections);
    }
    let Injections { injections, dropped, .. } = &all;
    let mut text = match injections.as_slice() {
        [] => "no injections".to_owned(),
        all => table(all),
    };
    if *dropped > 0 {
        text += &format!("\n{dropped} more are not kept: there were too many");
    }
    Ok(Report::new(text, objects::injections(&all)))
}

fn table(injections: &[Injection]) -> String {
    let rows = injections.iter().map(|one| {
        let fault = one.name.clone().or_else(|| one.fault.map(|id| id.to_string()));
        let state = match (one.state.as_str(), one.kept) {
            ("standing", false) => "standing, cannot be healed",
            (state, _) => state,
        };
        [
            one.id.to_string(),
            fault.unwrap_or_else(|| "-".to_owned()),
            one.kind.clone(),
            one.method.clone(),
            one.offset.to_string(),
            one.len.to_string(),
            state.to_owned(),
            visible(&one.path.0.to_string_lossy()),
        ]
    });
    let heads = ["ID", "FAULT", "KIND", "METHOD", "OFFSET", "LEN", "STATE", "PATH"];
    output::table(heads, &[0, 4, 5], rows.collect())
}

/// Heals these, or all.
pub(super) fn heal(client: &mut Client, ids: &[i64], addr: &str) -> Result<Report, String> {
    let failed = |error| explain(addr, error);
    let mut healed: Vec<Healed> = Vec::new();
    if ids.is_empty() {
        loop {
            let last = healed.last().map_or(0, |last| last.id);
            let more = client.heal(&[], last).map_err(failed)?;
            if more.is_empty() {
                break;
            }
            healed.extend(more);
        }
    }
    for some in ids.chunks(usize::try_from(PAGE).unwrap_or(1)) {
        healed.extend(client.heal(some, 0).map_err(failed)?);
    }
    if healed.is_empty() {
        return Ok(Report::new("nothing to heal", json!({ "healed": [] })));
    }
    match unhealed(&healed) {
        Some(why) => Err(why),
        None => Ok(Report::new(outcomes(&healed).join("\n"), json!({ "healed": healed }))),
    }
}

/// What is to rot, as it is sent; or why that cannot be meant.
pub(super) fn rot_words(args: &RotArgs) -> Result<RotWords, String> {
    let Some(pattern) = args.paths.pattern() else {
        return Err("name the files by -r or --glob; -r '.*' is all of them".to_owned());
    };
    let words = RotWords {
        pattern: pattern.to_owned(),
        how: args.how.clone(),
        spots: args.spots,
        unit: args.unit,
        length: args.length,
        seed: args.seed.map(|seed| seed.to_string()),
        hidden: args.hidden,
    };
    words.rot(0).map(|_| words)
}

/// Spoils stored bytes.
pub(super) fn rot(client: &mut Client, words: &RotWords, addr: &str) -> Result<Report, String> {
    let rotted = client.rot(words).map_err(|error| explain(addr, error))?;
    let Rotted { files, bytes, spots, seed, failed } = &rotted;
    let plural = |n: i64| if n == 1 { "" } else { "s" };
    let text = format!(
        "{spots} spot{} changed in {files} file{} of {bytes} bytes, with seed {seed}; `slowfs heal --all` \
         undoes it",
        plural(*spots),
        plural(*files),
    );
    Ok(Report::new(text, json!(rotted)).with_warnings(failed.clone()))
}
