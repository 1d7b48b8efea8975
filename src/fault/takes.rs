//! Which options a kind takes: one table for the check of a fault, the help of its command and the
//! reference. No locks.

use super::kinds::{Class, Kind};
use super::scope::{with_bytes, with_flags};

/// Options that some kinds never take.
struct Rule {
    /// By their words on the command line.
    options: &'static [&'static str],
    refused_by: fn(&dyn Kind) -> bool,
    why: &'static str,
}

static RULES: [Rule; 5] = [
    Rule { options: &["ramp"], refused_by: |kind| !kind.can_grow(), why: "only a delay can grow" },
    Rule {
        options: &["probability", "after", "nth", "count", "stable", "and"],
        refused_by: |kind| kind.class() == Class::Condition,
        why: "it concerns all that it matches",
    },
    // `--after` is for `--at`.
    Rule {
        options: &[
            "probability",
            "nth",
            "count",
            "stable",
            "starts",
            "for",
            "on-for",
            "off-for",
            "random",
            "and",
        ],
        refused_by: |kind| kind.class() == Class::Latch,
        why: "it stays until it is cleared",
    },
    Rule {
        options: &["range", "size"],
        refused_by: |kind| !kind.reach().intersects(with_bytes()),
        why: "its requests have no bytes",
    },
    Rule {
        options: &["flags"],
        refused_by: |kind| !kind.reach().intersects(with_flags()),
        why: "its requests do not tell how a file was opened",
    },
];

/// Why a fault that does nothing but this never takes the option of that word, if so.
#[must_use]
pub(crate) fn refuses(kind: &dyn Kind, option: &str) -> Option<&'static str> {
    let rule = RULES.iter().find(|rule| rule.options.contains(&option) && (rule.refused_by)(kind));
    rule.map(|rule| rule.why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::error::SpecError;
    use crate::fault::kinds::{KINDS, make};
    use crate::fault::words::{Args, FaultOption, FaultWords, OPTIONS, ParamType, line};
    use crate::ops::MethodSet;

    /// The examples of a kind, without their options.
    fn plain(kind: &dyn Kind) -> Vec<FaultWords> {
        let examples = kind.details().lines().filter_map(|l| l.strip_prefix("    slowfs "));
        let words = examples.map(|example| line(example).unwrap().0);
        words.map(|words| FaultWords { options: Args::new(), ..words }).collect()
    }

    /// The same with that option, on methods that such an option is for, if there are any.
    fn with(words: &FaultWords, option: &FaultOption) -> Option<FaultWords> {
        let typed = match option.param.of {
            ParamType::Share => "50%",
            ParamType::Flag => "true",
            ParamType::Time => "1s",
            ParamType::Ramp => "x1..x2/1s",
            ParamType::Range => "0..4KiB",
            ParamType::Choices(choices) => choices.first().copied().unwrap_or_default(),
            _ => "1",
        };
        let does = &words.effects[0];
        let reach = make(&does.kind, &does.params).unwrap().reach();
        let wanted = match option.word {
            "range" | "size" => with_bytes(),
            "flags" => with_flags(),
            _ => MethodSet::ALL,
        };
        let on = reach.minus(MethodSet::ALL.minus(wanted)).names();
        let mut words = words.clone();
        if ["on-for", "off-for", "random"].contains(&option.word) {
            words = words.with("on_for", "1s").with("off_for", "1s");
        }
        words.methods = on.into_iter().map(str::to_owned).collect();
        (!words.methods.is_empty()).then(|| words.with(option.param.name, typed))
    }

    #[test]
    fn the_table_is_what_is_refused() {
        for kind in KINDS {
            for option in OPTIONS.iter().filter(|option| !option.is_of(*kind)) {
                let given = plain(*kind).iter().find_map(|words| with(words, option));
                let refused = given.is_none_or(|words| match words.fault() {
                    Err(SpecError::Option { .. }) => true,
                    Err(other) => panic!("{}: {other}", words.line()),
                    Ok(_) => false,
                });
                let told = refuses(*kind, option.word).is_some();
                assert_eq!(refused, told, "{} --{}", kind.name(), option.word);
            }
            let beside = if kind.name() == "delay" { ("kill", "") } else { ("delay", "1s") };
            let refused = plain(*kind).iter().all(|words| {
                let beside = words.clone().and(beside.0, beside.1);
                words.effects.len() == 1 && beside.fault().is_err()
            });
            assert_eq!(refused, refuses(*kind, "and").is_some(), "{} --and", kind.name());
        }
    }
}
