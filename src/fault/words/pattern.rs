//! Which paths a fault concerns: a regular expression over the whole path.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fancy_regex::{BytesMode, RegexBuilder as FallbackBuilder};
use regex::bytes::RegexBuilder;

use super::dfa::Dfa;
use super::ecma::rewrite;
use super::glob::meant;
use super::visible::visible;

/// The longest pattern accepted, in bytes.
const MAX_PATTERN: usize = 16 * 1024;

/// Bound on a compiled pattern, in bytes, and on the cache of its automaton.
const COMPILED_LIMIT: usize = 1 << 20;

/// Bound on a fallback program, in instructions.
const PROGRAM_LIMIT: usize = 50_000;

/// How often a fallback pattern may go back on one path, so that a catastrophic one costs
/// a fraction of a second, not hours.
const BACKTRACK_LIMIT: usize = 10_000;

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not compile.
    #[error("invalid pattern {pattern}: {reason}")]
    Invalid {
        /// The pattern, shortened.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is longer than [`MAX_PATTERN`] bytes.
    #[error("a pattern of {0} bytes is longer than {MAX_PATTERN}")]
    TooLong(usize),
}

/// Which paths a fault concerns.
///
/// ECMAScript syntax over bytes, and the whole path must match, as with `std::regex_match`
/// (charybdefs-contract, section 2). Patterns without lookaround and backreference run in time
/// linear in the path. Others run on a backtracking engine with a limit: beyond it they do not
/// match, nor do they ever match a path that is not UTF-8.
///
/// Nearly every pattern has a sieve, an automaton that accepts each path that matches. Where that is
/// not all, it accepts more, and the engine decides.
pub struct Pattern {
    source: Box<str>,
    sieve: Option<Arc<Dfa>>,
    engine: Engine,
}

/// What decides on a path that the sieve accepts.
enum Engine {
    /// Of a fault that has gone: nothing matches.
    None,
    /// The path does match.
    Sure,
    Linear(regex::bytes::Regex),
    Fallback(Fallback),
}

struct Fallback {
    regex: fancy_regex::Regex,
    warned_limit: AtomicBool,
    warned_bytes: AtomicBool,
}

impl Pattern {
    /// Every path.
    #[must_use]
    pub(crate) fn any() -> Pattern {
        Pattern { source: "".into(), sieve: None, engine: Engine::Sure }
    }

    /// The paths that match `source` as a whole; the empty pattern matches all.
    ///
    /// # Errors
    /// If it is no regular expression, or too large.
    pub fn new(source: &str) -> Result<Pattern, PatternError> {
        if source.is_empty() {
            return Ok(Pattern::any());
        }
        if source.len() > MAX_PATTERN {
            return Err(PatternError::TooLong(source.len()));
        }
        let refuse = |reason: String| PatternError::Invalid {
            pattern: shorten(source),
            reason: format!("{}{}", line(&reason), hint(source)),
        };
        let rewritten = rewrite(source).map_err(refuse)?;
        let whole = whole_of(&rewritten.regex);
        if rewritten.backtracks {
            let fallback = Fallback::new(&whole).map_err(refuse)?;
            let sieve = Dfa::new(&whole_of(&rewritten.loosened())).map(Arc::new);
            return Ok(Pattern {
                source: source.into(),
                sieve,
                engine: Engine::Fallback(fallback),
            });
        }
        let regex = RegexBuilder::new(&whole)
            .unicode(false)
            .size_limit(COMPILED_LIMIT)
            .dfa_size_limit(COMPILED_LIMIT)
            .build()
            .map_err(|error| refuse(error.to_string()))?;
        let (sieve, engine) = match Dfa::new(&whole) {
            Some(exact) => (Some(exact), Engine::Sure),
            None => (Dfa::new(&whole_of(&rewritten.loosened())), Engine::Linear(regex)),
        };
        Ok(Pattern { source: source.into(), sieve: sieve.map(Arc::new), engine })
    }

    /// The same to be told of: it matches nothing, and takes no memory but its text.
    pub(in crate::fault) fn told(&self) -> Pattern {
        Pattern { source: self.source.clone(), sieve: None, engine: Engine::None }
    }

    /// The pattern as it was given; empty for `Pattern::any`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole path matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.sieve.as_ref().is_none_or(|sieve| sieve.accepts(path)) && self.decides(path)
    }

    /// An automaton that accepts every path that matches; none if that takes too much, or all match.
    pub(in crate::fault) fn sieve(&self) -> Option<&Arc<Dfa>> {
        self.sieve.as_ref()
    }

    /// Whether what the sieve accepts does match, and without a sieve everything.
    pub(in crate::fault) fn is_sure(&self) -> bool {
        matches!(self.engine, Engine::Sure)
    }

    /// Whether a path matches that the sieve accepts.
    pub(in crate::fault) fn decides(&self, path: &[u8]) -> bool {
        match &self.engine {
            Engine::None => false,
            Engine::Sure => true,
            Engine::Linear(regex) => regex.is_match(path),
            Engine::Fallback(fallback) => fallback.matches(path, &self.source),
        }
    }
}

#[cfg(test)]
impl Pattern {
    /// The same by its engine alone, without any automaton.
    pub(in crate::fault) fn plain(source: &str) -> Pattern {
        let rewritten = rewrite(source).unwrap();
        let whole = whole_of(&rewritten.regex);
        let engine = match rewritten.backtracks {
            true => Engine::Fallback(Fallback::new(&whole).unwrap()),
            false => Engine::Linear(RegexBuilder::new(&whole).unicode(false).build().unwrap()),
        };
        let engine = if source.is_empty() { Engine::Sure } else { engine };
        Pattern { source: source.into(), sieve: None, engine }
    }
}

/// An expression for the whole path.
fn whole_of(regex: &str) -> String {
    format!(r"\A(?:{regex})\z")
}

impl Fallback {
    fn new(whole: &str) -> Result<Fallback, String> {
        let regex = FallbackBuilder::new(whole)
            .bytes_mode(BytesMode::Ascii)
            .unicode_mode(false)
            .backtrack_limit(BACKTRACK_LIMIT)
            .max_prog_size(PROGRAM_LIMIT)
            .delegate_size_limit(COMPILED_LIMIT)
            .delegate_dfa_size_limit(COMPILED_LIMIT)
            .delegate_dfa_skip_cache_capacity_check(false)
            .build()
            .map_err(|error| error.to_string())?;
        let (warned_limit, warned_bytes) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Fallback { regex, warned_limit, warned_bytes })
    }

    fn matches(&self, path: &[u8], source: &str) -> bool {
        if std::str::from_utf8(path).is_err() {
            if !self.warned_bytes.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    pattern = %shorten(source),
                    "a pattern with lookaround or backreference never matches a path that is not \
                     UTF-8"
                );
            }
            return false;
        }
        self.regex.is_match(path).unwrap_or_else(|error| {
            if !self.warned_limit.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    pattern = %shorten(source),
                    reason = %line(&error.to_string()),
                    "the pattern took too many steps on a path, which counts as no match"
                );
            }
            false
        })
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

/// As much of a pattern as belongs in a message, on one line.
#[must_use]
pub(crate) fn shorten(pattern: &str) -> String {
    const SHOWN: usize = 80;
    if pattern.chars().count() <= SHOWN {
        return visible(pattern);
    }
    visible(&pattern.chars().take(SHOWN).collect::<String>()) + "..."
}

/// What to write in the place of a glob.
fn hint(source: &str) -> String {
    let hint = |meant: String| {
        let (meant, glob) = (visible(&meant), visible(source));
        format!("; it is no glob: write '{meant}', or --glob '{glob}'")
    };
    meant(source).map(hint).unwrap_or_default()
}

/// The verdict of an engine's message, which may be several lines with a drawing.
fn line(message: &str) -> String {
    let last = message.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().trim_start_matches("error: ").trim_end_matches('.').into()
}

#[cfg(test)]
mod tests;
