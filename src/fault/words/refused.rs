//! Why a fault cannot be, as who has typed it reads. No locks.

use crate::fault::error::SpecError;
use crate::fault::kinds;

/// Why a fault cannot be, in the words of the command line.
pub(crate) fn refused(why: &SpecError, methods: &[String]) -> String {
    match why {
        SpecError::DoesNothing(what) if !methods.is_empty() => {
            let methods = methods.join(",");
            format!("{what} does nothing; `slowfs clear {methods}` takes faults away")
        }
        SpecError::Value { of, param, why } => match written(of, param) {
            Some(option) => format!("{of}: {option}: {why}"),
            None => format!("{of}: {why}"),
        },
        SpecError::Missing { kind, param, about } => {
            let what = written(kind, param).map(|option| format!("{option}, ")).unwrap_or_default();
            format!("{kind} needs {what}{about}")
        }
        SpecError::Option { kind, option, why } => format!("{kind} takes no --{option}: {why}"),
        _ => why.to_string(),
    }
}

/// How a parameter of a kind is written; none if it is the one that stands without its name.
fn written(kind: &str, param: &str) -> Option<String> {
    let params = kinds::find(kind).map_or(&[][..], |kind| kind.params());
    let known = params.iter().find(|known| known.name == param);
    match known {
        Some(param) if param.first => None,
        Some(param) => Some(format!("--{}", param.word())),
        None => Some(param.to_owned()),
    }
}
