//! Faults as JSON gives them: the `fault` of `--json`, or a line as it is typed after `slowfs`. What is no
//! part of one is refused by name, so that nothing weaker is set. No locks.

use serde_json::{Map, Value};

use super::answer::Refused;
use crate::fault::words::{self, Args, EffectWords, FaultWords};
use crate::fault::{Fault, SpecError};

/// A fault, and whether it is added beside the others of its methods.
pub(super) type Given = (FaultWords, bool);

/// One fault.
pub(super) fn fault(value: &Value) -> Result<Given, Refused> {
    let (words, add, _) = read(value)?;
    Ok((words, add))
}

/// The same with what it is. Why it cannot be is told in the words in which it is given.
fn read(value: &Value) -> Result<(FaultWords, bool, Fault), Refused> {
    let is_typed = value.is_string();
    let told = |why: SpecError, methods: &[String]| {
        let why = if is_typed { words::refused(&why, methods) } else { why.to_string() };
        Refused::bad(why)
    };
    let (words, add) = match value {
        Value::String(line) => words::line(line).map_err(|why| told(why, &[]))?,
        Value::Object(fields) => object(fields)?,
        _ => {
            return Err(Refused::bad(
                "give a fault: an object as `slowfs list --json` tells it, or a text such as \"delay 10ms -m fsync\"",
            ));
        }
    };
    let fault = words.fault().map_err(|why| told(why, &words.methods))?;
    Ok((words, add, fault))
}

/// What there is to be, and whether there is to be nothing else: a list, or an object of `faults` and `prune`.
pub(super) fn set(value: &Value) -> Result<(Vec<FaultWords>, bool), Refused> {
    let Value::Object(fields) = value else { return Ok((faults(value)?, true)) };
    if let Some(other) = fields.keys().find(|name| !["faults", "prune"].contains(&name.as_str())) {
        let why = format!("{other} is no field of a list of faults: there are faults and prune");
        return Err(Refused::bad(why));
    }
    let prune = match fields.get("prune") {
        None => true,
        Some(Value::Bool(prune)) => *prune,
        Some(_) => return wrong("prune", "true or false"),
    };
    Ok((faults(fields.get("faults").unwrap_or(&Value::Null))?, prune))
}

/// Several, each as its command shows it.
pub(super) fn faults(value: &Value) -> Result<Vec<FaultWords>, Refused> {
    let Value::Array(list) = value else {
        return Err(Refused::bad(
            "give a list of faults; one alone is set by POST /v1/faults or PUT /v1/faults/NAME",
        ));
    };
    let one = |(place, value)| {
        let (_, _, fault) = read(value)
            .map_err(|refused| Refused::bad(format!("fault {}: {}", place + 1, refused.why)))?;
        Ok(FaultWords::whole(&fault))
    };
    list.iter().enumerate().map(one).collect()
}

fn object(fields: &Map<String, Value>) -> Result<Given, Refused> {
    let (mut fault, mut add) = (FaultWords::default(), false);
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("methods", Value::Array(list)) => fault.methods = texts(name, list)?,
            ("pattern", Value::String(pattern)) => fault.pattern.clone_from(pattern),
            ("options", Value::Object(options)) => fault.options = args(name, options)?,
            ("effects", Value::Array(list)) => {
                fault.effects = list.iter().map(effect).collect::<Result<_, _>>()?;
            }
            ("name", Value::String(own)) => fault.name = Some(own.clone()),
            ("name", Value::Null) => {}
            ("add", Value::Bool(on)) => add = *on,
            ("methods", _) => return wrong(name, "a list of texts"),
            ("pattern" | "name", _) => return wrong(name, "a text"),
            ("options", _) => return wrong(name, "an object"),
            ("effects", _) => return wrong(name, "a list of objects"),
            ("add", _) => return wrong(name, "true or false"),
            _ => {
                return Err(Refused::bad(format!(
                    "{name} is no field of a fault: there are methods, pattern, options, effects, name and add"
                )));
            }
        }
    }
    Ok((fault, add))
}

fn effect(value: &Value) -> Result<EffectWords, Refused> {
    let Value::Object(fields) = value else {
        return wrong("effects", "a list of objects of kind and params");
    };
    let mut effect = EffectWords::default();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("kind", Value::String(kind)) => effect.kind.clone_from(kind),
            ("params", Value::Object(params)) => effect.params = args(name, params)?,
            _ => {
                return wrong(
                    "effects",
                    "a list of objects of kind, a text, and params, an object",
                );
            }
        }
    }
    Ok(effect)
}

fn args(of: &str, values: &Map<String, Value>) -> Result<Args, Refused> {
    let arg = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::Bool(flag) => Some(words::Value::Flag(*flag)),
            Value::String(text) => Some(words::Value::Text(text.clone())),
            Value::Number(n) => match n.as_i64() {
                Some(n) => Some(words::Value::Whole(n)),
                None => n.as_f64().map(words::Value::Share),
            },
            Value::Array(list) => Some(words::Value::Texts(texts(name, list)?)),
            Value::Null | Value::Object(_) => None,
        };
        let wanted =
            || wrong(&format!("{of}.{name}"), "a number, a text, true, false or a list of texts");
        value.map_or_else(wanted, |value| Ok((name.clone(), value)))
    };
    values.iter().map(arg).collect()
}

fn texts(of: &str, list: &[Value]) -> Result<Vec<String>, Refused> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        _ => wrong(of, "a list of texts"),
    };
    list.iter().map(text).collect()
}

fn wrong<T>(name: &str, wanted: &str) -> Result<T, Refused> {
    Err(Refused::bad(format!("{name} must be {wanted}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fault::kinds::tests::faults as every_kind;
    use crate::ops::MethodSet;

    fn meant(words: &FaultWords) -> FaultWords {
        FaultWords::of(&words.fault().unwrap(), MethodSet::ALL)
    }

    proptest! {
        /// What `--json` tells of a fault sets it again, whatever it is.
        #[test]
        fn what_is_told_can_be_given(told in every_kind()) {
            let (given, add) = fault(&json!(told)).unwrap();
            prop_assert_eq!(meant(&given), meant(&told));
            prop_assert!(!add);
        }
    }

    #[test]
    fn a_line_is_given_as_it_is_typed() {
        let (line, add) = fault(&json!("delay 10ms -m fsync --name slow --add")).unwrap();
        assert_eq!((line.line().as_str(), add), ("delay 10ms -m fsync --name slow", true));
        let object = json!({
            "methods": ["fsync"], "effects": [{ "kind": "delay", "params": { "time": "10ms" } }],
            "name": "slow", "add": true,
        });
        let (given, add) = fault(&object).unwrap();
        assert_eq!((meant(&given), add), (meant(&line), true));
    }

    #[test]
    fn what_is_no_fault_is_refused_by_name() {
        for (given, told) in [
            (json!(7), "give a fault"),
            (json!({ "method": ["fsync"] }), "method is no field"),
            (json!({ "methods": "fsync" }), "methods must be a list"),
            (json!({ "methods": [7] }), "methods must be a list"),
            (json!({ "options": { "count": null } }), "options.count must be"),
            (json!({ "effects": [{ "kind": "delay", "prams": {} }] }), "effects must be"),
            (json!({ "add": 1 }), "add must be true or false"),
            (json!("delai 10ms"), "did you mean"),
        ] {
            let why = fault(&given).unwrap_err().why;
            assert!(why.contains(told), "{given}: {why}");
        }
        for (given, told) in [
            (json!(["delay 1ms -m read", 7]), "fault 2: give a fault"),
            (json!(["delay 1ms -m read", {}]), "fault 2: "),
            (json!(["delay 1ms -m read", "delai 1ms"]), "fault 2: no kind"),
            (json!("delay 1ms -m read"), "give a list of faults"),
            (json!({ "methods": [] }), "methods is no field of a list"),
            (json!({ "prune": false }), "give a list of faults"),
            (json!({ "faults": [], "prune": 1 }), "prune must be true or false"),
        ] {
            let why = set(&given).unwrap_err().why;
            assert!(why.starts_with(told), "{given}: {why}");
        }
        assert_eq!(set(&json!([])).unwrap(), (Vec::new(), true));
        assert_eq!(set(&json!({ "faults": [] })).unwrap(), (Vec::new(), true));
        assert_eq!(set(&json!({ "faults": [], "prune": false })).unwrap(), (Vec::new(), false));
    }
}
