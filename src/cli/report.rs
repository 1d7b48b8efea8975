//! What one address answered, and how it is printed: the same for people and for programs.

use serde_json::{Map, Value};

use super::output;
use super::target::Target;
use crate::rpc::objects;

/// What one address answered.
pub(super) struct Report {
    pub(super) text: String,
    pub(super) json: Value,
    pub(super) warnings: Vec<String>,
    /// Whether the text is a script: what marks an address is a comment then.
    pub(super) is_script: bool,
}

impl Report {
    pub(super) fn new(text: impl Into<String>, json: Value) -> Report {
        Report { text: text.into(), json, warnings: Vec::new(), is_script: false }
    }

    /// A script for sh.
    pub(super) fn script(text: impl Into<String>, json: Value) -> Report {
        Report { is_script: true, ..Report::new(text, json) }
    }

    pub(super) fn with_warnings(self, warnings: Vec<String>) -> Report {
        Report { warnings, ..self }
    }
}

pub(super) fn print(addr: &str, result: Result<Report, String>, target: &Target) {
    let several = target.addr.len() > 1;
    if target.json {
        let fields = match &result {
            Ok(Report { json, warnings, .. }) => {
                objects::closed(json.clone(), true, Some(warnings))
            }
            Err(reason) => objects::closed(objects::failed(reason), false, None),
        };
        output::out(&answer(Some(addr), fields));
        return;
    }
    match result {
        Ok(report) => {
            for warning in &report.warnings {
                output::warning(&format!("{addr}: {warning}"));
            }
            output::out(&match (several, report.text.contains('\n')) {
                (false, _) => report.text,
                _ if report.is_script => format!("# {addr}\n{}", report.text),
                (true, false) => format!("{addr}: {}", report.text),
                (true, true) => format!("{addr}:\n{}", report.text),
            });
        }
        Err(reason) => output::failed(addr, &reason),
    }
}

/// The line that tells what that address answered.
fn answer(addr: Option<&str>, mut fields: Map<String, Value>) -> String {
    fields.insert("addr".into(), addr.into());
    Value::Object(fields).to_string()
}

/// That nobody is asked, and why.
pub(super) fn nobody(reason: &str, target: &Target) {
    if target.json {
        output::out(&answer(None, objects::closed(objects::failed(reason), false, None)));
    } else {
        output::error(reason);
    }
}
