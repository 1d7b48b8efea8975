//! Why a fault, or a part of one, was refused: one line each, in the words of who asked.

use super::words::{ErrnoError, GlobError, PatternError, ValueError};
use crate::ops::MethodSet;

/// Why a fault, or a part of one, was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// No method.
    #[error("a fault needs at least one method, as in -m fsync, or all")]
    NoMethod,
    /// A method that does not exist.
    #[error("no method {}{}", shown(name), clause(instead.as_deref()))]
    UnknownMethod {
        /// The name.
        name: String,
        /// What to write in its place, if that can be told.
        instead: Option<String>,
    },
    /// Methods on which a kind makes no sense.
    #[error("{kind} makes no sense on {methods}; it can be set on {reach}")]
    Reach {
        /// The kind.
        kind: &'static str,
        /// Those of the methods.
        methods: MethodSet,
        /// The methods it can be set on.
        reach: MethodSet,
    },
    /// An errno that cannot be injected.
    #[error(transparent)]
    Errno(#[from] ErrnoError),
    /// A pattern that does not compile.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A glob that is none.
    #[error("glob: {0}")]
    Glob(#[from] GlobError),
    /// A probability outside 0..=1.
    #[error("probability {0} is not within 0..=1")]
    Probability(f64),
    /// A lifetime of no time at all.
    #[error("a lifetime (--for) must be longer than 0")]
    NoLifetime,
    /// One phase without the other.
    #[error("--on-for and --off-for are given together, each longer than 0")]
    Phases,
    /// Lengths that are to be drawn, without their means.
    #[error("random draws the length of phases: give their means, on-for and off-for")]
    RandomPhases,
    /// A kind that does not exist.
    #[error("no kind of fault is called {}{}", shown(name), hint(near.as_deref()))]
    UnknownKind {
        /// The word.
        name: String,
        /// The kind that was probably meant.
        near: Option<String>,
    },
    /// An option that does not exist.
    #[error("there is no option {}{}", shown(name), clause(instead.as_deref()))]
    UnknownOption {
        /// The word.
        name: String,
        /// What to write in its place, if that can be told.
        instead: Option<String>,
    },
    /// A parameter that does not exist.
    #[error("{of} has no {}{}", shown(name), hint(near.as_deref()))]
    UnknownParam {
        /// The kind.
        of: String,
        /// The word.
        name: String,
        /// The parameter that was probably meant.
        near: Option<String>,
    },
    /// A parameter that the kind needs.
    #[error("{kind} needs {param}: {about}")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// The parameter.
        param: &'static str,
        /// What it says.
        about: &'static str,
    },
    /// A value that is none of its type.
    #[error("{of}: {param}: {why}")]
    Value {
        /// The kind, or "a fault".
        of: String,
        /// The parameter.
        param: String,
        /// What would be one.
        why: ValueError,
    },
    /// What has no effect, and may be meant to end one.
    #[error("{0} does nothing; `slowfs clear` takes faults away")]
    DoesNothing(&'static str),
    /// Effects that do not go together.
    #[error("{0}")]
    Together(String),
    /// An option that the fault's class does not take.
    #[error("{kind} takes no {option}: {why}")]
    Option {
        /// The kind.
        kind: &'static str,
        /// The option.
        option: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// A name that a fault cannot have.
    #[error("{0:?} cannot be a fault's name: {1}")]
    Name(String, &'static str),
    /// A line that is no fault.
    #[error("{0}")]
    Line(String),
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

fn clause(told: Option<&str>) -> String {
    told.map(|told| format!("; {told}")).unwrap_or_default()
}

/// A word that is empty shows as one.
fn shown(word: &str) -> &str {
    if word.is_empty() { "\"\"" } else { word }
}
