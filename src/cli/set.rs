//! Setting faults: by slowfs's own calls, else by charybdefs's plain ones where the server knows no
//! others.
//!
//! Invariant: a fault is set as asked or refused by the name of what the server does not have.

use serde_json::json;

use super::faults;
use super::original;
use super::recipe::Recipe;
use super::render;
use super::report::Report;
use crate::fault::words::FaultWords;
use crate::rpc::{Client, ClientError, Info, Put, objects};

/// Sets one, in the place of others or beside them.
pub(super) fn put(client: &mut Client, fault: &FaultWords, add: bool) -> Result<Report, String> {
    if !has(client, fault)? {
        return plainly(client, fault, add);
    }
    let put = client.put_fault(fault, add).map_err(|e| e.to_string())?;
    Ok(report(&put, fault))
}

/// Sets the recipe's faults in the place of every other one, in one step.
pub(super) fn follow(client: &mut Client, recipe: &Recipe) -> Result<Report, String> {
    let faults = recipe.faults().map_err(|e| e.to_string())?;
    if faults.is_empty() {
        return faults::clear(client, &[]).map_err(|e| e.to_string());
    }
    let has = faults.iter().map(|fault| has(client, fault)).collect::<Result<Vec<_>, _>>()?;
    match faults.as_slice() {
        all if has.iter().all(|has| *has) => {
            let put = client.put_faults(all, &[], true).map_err(|e| e.to_string())?;
            Ok(together(put.iter().zip(all).map(|(put, fault)| report(put, fault)).collect()))
        }
        [only] => {
            original::said(only)?;
            client.clear_all_faults().map_err(|e| e.to_string())?;
            plainly(client, only, false)
        }
        several => Err(format!(
            "that server is charybdefs, not slowfs, and cannot hold {} faults of one method",
            several.len()
        )),
    }
}

/// The answers to several faults as one.
fn together(reports: Vec<Report>) -> Report {
    match <[Report; 1]>::try_from(reports) {
        Ok([only]) => only,
        Err(all) => {
            let text = all.iter().map(|report| report.text.as_str()).collect::<Vec<_>>().join("\n");
            let json: Vec<_> = all.iter().map(|report| report.json.clone()).collect();
            let json = objects::puts(&json);
            let warnings = all.into_iter().flat_map(|report| report.warnings);
            Report::new(text, json).with_warnings(warnings.collect())
        }
    }
}

/// Whether the server has slowfs's own calls, and all that the fault needs.
fn has(client: &mut Client, fault: &FaultWords) -> Result<bool, String> {
    match client.info() {
        Ok(info) => lacks(&info, fault).map_or(Ok(true), Err),
        Err(ClientError::UnknownCall { .. }) => Ok(false),
        Err(e) => Err(e.to_string()),
    }
}

/// What of the fault an older daemon does not have, if anything.
pub(super) fn lacks(info: &Info, fault: &FaultWords) -> Option<String> {
    let kinds = fault.effects.iter().map(|effect| &effect.kind);
    let kinds = kinds.filter(|kind| !info.kinds.contains(kind)).map(|kind| format!("kind {kind}"));
    let name = "name".to_owned();
    let options =
        fault.options.iter().map(|(option, _)| option).chain(fault.name.iter().map(|_| &name));
    let options = options.filter(|option| !info.features.contains(option));
    let lacking: Vec<_> = kinds.chain(options.map(|option| format!("option {option}"))).collect();
    (!lacking.is_empty()).then(|| {
        format!("that daemon is slowfs {} and has no {}", info.version, lacking.join(", no "))
    })
}

fn plainly(client: &mut Client, fault: &FaultWords, add: bool) -> Result<Report, String> {
    let warnings = original::put(client, fault, add)?;
    let text = format!("set, by charybdefs's plain calls: {}", fault.shown());
    Ok(Report::new(text, json!({ "id": null, "fault": fault })).with_warnings(warnings))
}

fn report(put: &Put, fault: &FaultWords) -> Report {
    let Put { id, replaced, released, unchanged, changed, taken, .. } = put;
    let mut text = format!("fault {id}: {}", fault.shown());
    if *unchanged {
        text += "; it is in force already, and continues";
    }
    if !changed.is_empty() {
        text += &format!("; changed: {}", changed.join("; "));
    }
    if !replaced.is_empty() {
        let ids: Vec<_> = replaced.iter().map(i64::to_string).collect();
        text += &format!("; replaces {}", ids.join(", "));
    }
    text += &render::taken(taken);
    if *released > 0 {
        text += &format!("; released {released} held");
    }
    Report::new(text, objects::put(put, fault)).with_warnings(objects::put_warnings(put))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::words::line;

    #[test]
    fn what_an_older_daemon_lacks_is_named() {
        let (fault, _) =
            line("delay 1ms --and kill -m write --nth 3 --count 1 --name slow").unwrap();
        let has = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let old = Info {
            version: "0.0.9".into(),
            kinds: has(&["delay"]),
            features: has(&["count"]),
            ..Info::default()
        };
        let told = lacks(&old, &fault).unwrap();
        assert_eq!(
            told,
            "that daemon is slowfs 0.0.9 and has no kind kill, no option nth, no option name"
        );
        let kinds = has(&["delay", "kill"]);
        let new = Info { kinds, features: has(&["count", "nth", "name"]), ..old };
        assert_eq!(lacks(&new, &fault), None);
    }

    #[test]
    fn people_are_shown_the_first_of_many_measured_times_and_the_rest_of_the_line() {
        let shown = |text: &str| line(text).unwrap().0.shown();
        let short = "delay 5ms --and 'error EIO' -m fsync -r '.*/wal/.*' --count 1";
        assert_eq!(shown(short), short);
        let points: Vec<_> = (0..=100).map(|n| format!("{n}={}ms", n + 1)).collect();
        let long = shown(&format!("delay table:{} -m write --name slow", points.join(",")));
        assert!(long.starts_with("delay table:0=1ms,1=2ms,"), "{long}");
        assert!(long.ends_with("... -m write --name slow") && long.len() < 120, "{long}");
    }
}
