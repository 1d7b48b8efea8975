//! What one address answered, and how it is printed: the same for people and for programs.

use serde_json::{Value, json};

use super::control::Target;
use super::output;

/// What one address answered.
pub(super) struct Report {
    pub(super) text: String,
    pub(super) json: Value,
    pub(super) warnings: Vec<String>,
}

impl Report {
    pub(super) fn new(text: impl Into<String>, json: Value) -> Report {
        Report { text: text.into(), json, warnings: Vec::new() }
    }

    pub(super) fn with_warnings(self, warnings: Vec<String>) -> Report {
        Report { warnings, ..self }
    }
}

pub(super) fn print(addr: &str, result: Result<Report, String>, target: &Target) {
    let several = target.addr.len() > 1;
    let mut object = match &result {
        Ok(report) => report.json.clone(),
        Err(reason) => json!({ "error": reason }),
    };
    if let Value::Object(fields) = &mut object {
        fields.insert("addr".into(), addr.into());
        fields.insert("ok".into(), result.is_ok().into());
        if let Ok(Report { warnings, .. }) = &result {
            fields.insert("warnings".into(), warnings.as_slice().into());
        }
    }
    match result {
        _ if target.json => output::out(&object.to_string()),
        Ok(report) => {
            for warning in &report.warnings {
                output::warning(&format!("{addr}: {warning}"));
            }
            output::out(&match (several, report.text.contains('\n')) {
                (false, _) => report.text,
                (true, false) => format!("{addr}: {}", report.text),
                (true, true) => format!("{addr}:\n{}", report.text),
            });
        }
        Err(reason) => output::failed(addr, &reason),
    }
}
