//! The options of every fault: one row each, whatever the kind.

use std::num::NonZeroU64;
use std::time::Duration;

use super::param::{Param, ParamType};
use super::value::{Value, whole};
use crate::fault::chance::Probability;
use crate::fault::error::SpecError;
use crate::fault::kinds::Kind;
use crate::fault::ramp::Ramp;
use crate::fault::scope::{FILTERS, Filter};
use crate::fault::spec::Fault;
use crate::fault::suggest::closest;
use crate::fault::term::Phases;

/// An option of every fault.
pub(crate) struct FaultOption {
    /// Its name in Thrift and JSON, and what it takes.
    pub param: Param,
    /// Its long word on the command line.
    pub word: &'static str,
    /// Its short one.
    pub short: Option<char>,
    of: Of,
}

/// Where it is kept.
enum Of {
    Own { set: fn(&mut Fault, &Value), value: fn(&Fault) -> Option<Value> },
    Filter(&'static Filter),
}

/// Every option. One that is absent from a fault is its default: always, all, none.
pub(crate) static OPTIONS: &[FaultOption] = &[
    FaultOption {
        short: Some('p'),
        ..own(
            ("probability", "probability", ParamType::Share),
            "how often it fires on a matching operation: a fraction or a percentage",
            |fault, value| {
                if let Value::Share(share) = value {
                    // Straightened: it is within.
                    fault.chance.probability =
                        Probability::from_fraction(*share).unwrap_or(Probability::ALWAYS);
                }
            },
            |fault| {
                let probability = fault.chance.probability;
                (probability != Probability::ALWAYS)
                    .then(|| Value::Share(probability.as_fraction()))
            },
        )
    },
    own(
        ("after", "after", ParamType::Count),
        "let the first N matching operations pass",
        |fault, value| fault.chance.after = natural(value),
        |fault| Some(fault.chance.after).filter(|after| *after > 0).map(whole),
    ),
    own(
        ("nth", "nth", ParamType::Positive),
        "then fire on each Nth only",
        |fault, value| fault.chance.nth = NonZeroU64::new(natural(value)),
        |fault| fault.chance.nth.map(|nth| whole(nth.get())),
    ),
    own(
        ("count", "count", ParamType::Positive),
        "remove the fault after it has fired N times",
        |fault, value| fault.chance.count = NonZeroU64::new(natural(value)),
        |fault| fault.chance.count.map(|count| whole(count.get())),
    ),
    own(
        ("stable", "stable", ParamType::Flag),
        "draw by place (path, offset, how often there), so that threads make no difference",
        |fault, value| fault.chance.stable = *value == Value::Flag(true),
        |fault| fault.chance.stable.then_some(Value::Flag(true)),
    ),
    own(
        ("starts", "starts", ParamType::Time),
        "begin this long after it was set",
        |fault, value| fault.term.starts = time(value),
        |fault| Some(fault.term.starts).filter(|starts| !starts.is_zero()).map(told),
    ),
    own(
        ("lasts", "for", ParamType::Time),
        "remove the fault this long after it began",
        |fault, value| fault.term.lasts = Some(time(value)),
        |fault| fault.term.lasts.map(told),
    ),
    own(
        ("on_for", "on-for", ParamType::Time),
        "be on for this long, then off for --off-for, again and again",
        |fault, value| phases(fault).on = time(value),
        |fault| fault.term.phases.map(|phases| told(phases.on)),
    ),
    own(
        ("off_for", "off-for", ParamType::Time),
        "how long it is off each time",
        |fault, value| phases(fault).off = time(value),
        |fault| fault.term.phases.map(|phases| told(phases.off)),
    ),
    own(
        ("random", "random", ParamType::Flag),
        "draw the length of each phase: these times are means of an exponential distribution",
        |fault, value| {
            if *value == Value::Flag(true) {
                phases(fault).random = true;
            }
        },
        |fault| fault.term.phases.filter(|phases| phases.random).map(|_| Value::Flag(true)),
    ),
    own(
        ("ramp", "ramp", ParamType::Ramp),
        "let delays grow from A times to B times as long within this time",
        |fault, value| {
            if let Value::Text(text) = value {
                // Straightened: it is one.
                fault.term.ramp = Ramp::read(text).ok();
            }
        },
        |fault| fault.term.ramp.map(|ramp| Value::Text(ramp.to_string())),
    ),
    filter(0),
    filter(1),
    filter(2),
    filter(3),
    filter(4),
];

impl FaultOption {
    /// The option of that name in Thrift and JSON.
    ///
    /// # Errors
    /// There is none; what to write is said.
    pub(crate) fn named(name: &str) -> Result<&'static FaultOption, SpecError> {
        OPTIONS.iter().find(|option| option.param.name == name).ok_or_else(|| {
            let instead = match name {
                "name" | "methods" | "pattern" => {
                    Some("it is a field of the fault itself".to_owned())
                }
                _ => FaultOption::near(name).map(|near| near.param.name).map(did_you_mean),
            };
            SpecError::UnknownOption { name: shortened(name), instead }
        })
    }

    /// The option of that long word on the command line.
    ///
    /// # Errors
    /// There is none; the nearest is named.
    pub(crate) fn typed(word: &str) -> Result<&'static FaultOption, SpecError> {
        OPTIONS.iter().find(|option| option.word == word).ok_or_else(|| {
            let near = FaultOption::near(word).map(|near| format!("--{}", near.word));
            let instead = near.as_deref().map(did_you_mean);
            SpecError::UnknownOption { name: format!("--{}", shortened(word)), instead }
        })
    }

    /// The one that a word may mean, in whichever way it is written.
    fn near(word: &str) -> Option<&'static FaultOption> {
        let ways = || OPTIONS.iter().flat_map(|option| [option.word, option.param.name]);
        let near = closest(word, ways())?;
        OPTIONS.iter().find(|option| [option.word, option.param.name].contains(&near))
    }

    /// Whether the kind has it as a value of its own, which then is meant.
    #[must_use]
    pub(crate) fn is_of(&self, kind: &dyn Kind) -> bool {
        kind.params().iter().any(|param| param.name == self.param.name)
    }

    /// Sets it on a fault that is being made, from a value as it came.
    pub(in crate::fault) fn set(&self, fault: &mut Fault, value: &Value) -> Result<(), SpecError> {
        let value = self.param.of.straighten(value).map_err(|why| SpecError::Value {
            of: "a fault".to_owned(),
            param: self.param.name.to_owned(),
            why,
        })?;
        match &self.of {
            Of::Own { set, .. } => set(fault, &value),
            Of::Filter(filter) => (filter.set)(&mut fault.scope.filters, &value),
        }
        Ok(())
    }

    /// Its value on a fault, unless that is its default.
    #[must_use]
    pub(crate) fn value(&self, fault: &Fault) -> Option<Value> {
        match &self.of {
            Of::Own { value, .. } => value(fault),
            Of::Filter(filter) => (filter.value)(&fault.scope.filters),
        }
    }
}

const fn own(
    (name, word, of): (&'static str, &'static str, ParamType),
    about: &'static str,
    set: fn(&mut Fault, &Value),
    value: fn(&Fault) -> Option<Value>,
) -> FaultOption {
    let param = Param::optional(name, of, about);
    FaultOption { param, word, short: None, of: Of::Own { set, value } }
}

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, bounds and all")]
const fn filter(place: usize) -> FaultOption {
    let filter = &FILTERS[place];
    FaultOption {
        param: filter.param,
        word: filter.param.name,
        short: None,
        of: Of::Filter(filter),
    }
}

fn did_you_mean(near: &str) -> String {
    format!("did you mean {near}?")
}

/// It may come from the network.
fn shortened(word: &str) -> String {
    word.chars().take(40).collect()
}

fn natural(value: &Value) -> u64 {
    match value {
        Value::Whole(n) => n.unsigned_abs(),
        _ => 0,
    }
}

fn time(value: &Value) -> Duration {
    Duration::from_nanos(natural(value))
}

fn told(time: Duration) -> Value {
    whole(time.as_nanos())
}

/// Half of them is refused when the fault is checked.
fn phases(fault: &mut Fault) -> &mut Phases {
    fault.term.phases.get_or_insert_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_an_option_and_each_is_explained_once() {
        assert!(FILTERS.iter().all(|filter| FaultOption::named(filter.param.name).is_ok()));
        for (place, option) in OPTIONS.iter().enumerate() {
            assert!(!option.param.about.is_empty(), "{}", option.param.name);
            let word = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(option.word.chars().all(word), "{}", option.word);
            let mut earlier = OPTIONS.iter().take(place);
            assert!(earlier.all(|e| e.param.name != option.param.name && e.word != option.word));
        }
    }

    /// One that is known by two names could be given twice.
    #[test]
    fn an_option_has_one_name_in_a_line_and_one_in_data() {
        let named = |name| FaultOption::named(name).map(|option| option.param.name);
        let typed = |word| FaultOption::typed(word).map(|option| option.word);
        for option in OPTIONS {
            let FaultOption { param, word, .. } = option;
            assert_eq!((named(param.name), typed(word)), (Ok(param.name), Ok(*word)));
            if param.name != *word {
                let told = named(word).unwrap_err().to_string();
                assert_eq!(
                    told,
                    format!("there is no option {word}; did you mean {}?", param.name)
                );
                let told = typed(param.name).unwrap_err().to_string();
                let expected =
                    format!("there is no option --{}; did you mean --{word}?", param.name);
                assert_eq!(told, expected);
            }
        }
        let unknown = named("probabilty").unwrap_err().to_string();
        assert!(unknown.ends_with("did you mean probability?"), "{unknown}");
        let field = named("name").unwrap_err().to_string();
        assert_eq!(field, "there is no option name; it is a field of the fault itself");
    }
}
