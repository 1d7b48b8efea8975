//! Which paths a fault concerns: a regular expression over the whole path.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use fancy_regex::{BytesMode, RegexBuilder as FallbackBuilder};
use regex::bytes::RegexBuilder;

use super::ecma::rewrite;
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
pub struct Pattern {
    source: Box<str>,
    engine: Engine,
}

enum Engine {
    /// Of a fault that has gone: nothing matches.
    None,
    Any,
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
        Pattern { source: "".into(), engine: Engine::Any }
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
            reason: line(&reason),
        };
        let rewritten = rewrite(source).map_err(refuse)?;
        let whole = format!(r"\A(?:{})\z", rewritten.regex);
        let engine = if rewritten.backtracks {
            let regex = FallbackBuilder::new(&whole)
                .bytes_mode(BytesMode::Ascii)
                .unicode_mode(false)
                .backtrack_limit(BACKTRACK_LIMIT)
                .max_prog_size(PROGRAM_LIMIT)
                .delegate_size_limit(COMPILED_LIMIT)
                .delegate_dfa_size_limit(COMPILED_LIMIT)
                .delegate_dfa_skip_cache_capacity_check(false)
                .build()
                .map_err(|error| refuse(error.to_string()))?;
            Engine::Fallback(Fallback {
                regex,
                warned_limit: AtomicBool::new(false),
                warned_bytes: AtomicBool::new(false),
            })
        } else {
            let regex = RegexBuilder::new(&whole)
                .unicode(false)
                .size_limit(COMPILED_LIMIT)
                .dfa_size_limit(COMPILED_LIMIT)
                .build()
                .map_err(|error| refuse(error.to_string()))?;
            Engine::Linear(regex)
        };
        Ok(Pattern { source: source.into(), engine })
    }

    /// The same to be told of: it matches nothing, and takes no memory but its text.
    pub(in crate::fault) fn told(&self) -> Pattern {
        Pattern { source: self.source.clone(), engine: Engine::None }
    }

    /// The pattern as it was given; empty for `Pattern::any`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole path matches.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        match &self.engine {
            Engine::None => false,
            Engine::Any => true,
            Engine::Linear(regex) => regex.is_match(path),
            Engine::Fallback(fallback) => fallback.matches(path, &self.source),
        }
    }
}

impl Fallback {
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
                    "pattern given up on a path, which counts as no match"
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
pub fn shorten(pattern: &str) -> String {
    const SHOWN: usize = 80;
    if pattern.chars().count() <= SHOWN {
        return visible(pattern);
    }
    visible(&pattern.chars().take(SHOWN).collect::<String>()) + "..."
}

/// The verdict of an engine's message, which may be several lines with a drawing.
fn line(message: &str) -> String {
    let last = message.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().trim_start_matches("error: ").trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    /// How long this thread has had a processor: what others do on the machine does not count.
    fn worked() -> Duration {
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
    }

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(path.as_bytes())
    }

    #[test]
    fn empty_pattern_matches_all() {
        assert!(matches("", "/any/thing"));
        assert!(Pattern::any().matches(b"\xff"));
    }

    #[test]
    fn whole_path_must_match() {
        assert!(matches(".*sendmail.cf", "/etc/mail/sendmail.cf"));
        assert!(!matches("sendmail.cf", "/etc/mail/sendmail.cf"));
        assert!(!matches(".*/sendmail", "/etc/mail/sendmail.cf"));
        assert!(matches("(^|.*/)member/wal/.*", "/data/raw/etcd2/member/wal/0-0.wal"));
        assert!(matches("(^|.*/)member/wal/.*", "member/wal/0-0.wal"));
        assert!(!matches("(^|.*/)member/wal/.*", "/data/raw/etcd2/member/wal.tmp/0-0.wal"));
        assert!(matches("a|/b", "/b"), "the anchors hold every alternative");
        assert!(!matches("a|/b", "a/b"));
    }

    #[test]
    fn lookahead_excludes() {
        let pattern = Pattern::new(r"^(?!.*\.tmp$).*").unwrap();
        assert!(pattern.matches(b"/d/wal/1.wal"));
        assert!(!pattern.matches(b"/d/wal/1.tmp"));
        assert!(matches(r".*/(.)\1/.*", "/x/aa/y"));
        assert!(!matches(r".*/(.)\1/.*", "/x/ab/y"));
    }

    #[test]
    fn bytes_that_are_no_text_match_linear_patterns_only() {
        assert!(Pattern::new(".*/w.l").unwrap().matches(b"/d/w\xffl"));
        assert!(Pattern::new(r".*/w\xffl").unwrap().matches(b"/d/w\xffl"));
        assert!(Pattern::new("[^a]").unwrap().matches(b"\xff"));
        assert!(!Pattern::new("(?!x).*").unwrap().matches(b"/d/w\xffl"));
        assert!(matches("/caf\u{e9}+", "/caf\u{e9}\u{e9}"));
    }

    #[test]
    fn dot_stops_at_line_breaks_only() {
        assert!(!matches(".*", "/a\nb"));
        assert!(!matches(".*", "/a\rb"));
        assert!(matches("[^]*", "/a\nb"));
        assert!(!matches("/a$", "/a\n"));
    }

    #[test]
    fn catastrophic_patterns_end_soon() {
        let path = vec![b'a'; 4000];
        let begin = worked();
        assert!(!Pattern::new("(a+)+b").unwrap().matches(&path));
        let slow = Pattern::new(r"()(?:a|a)+(?:\1{40}){45}b").unwrap();
        assert!(!slow.matches(&path));
        let hard = Pattern::new(r"(?=(a+)+$)(a|aa)+\1\1b").unwrap();
        assert!(!hard.matches(&path));
        let took = worked().saturating_sub(begin);
        assert!(took < Duration::from_secs(5), "{took:?}");
        let Engine::Fallback(hard) = &hard.engine else { panic!("{hard:?} does not backtrack") };
        assert!(hard.warned_limit.load(Ordering::Relaxed));
    }

    #[test]
    fn enormous_patterns_are_refused() {
        let begin = worked();
        for pattern in [
            "a".repeat(MAX_PATTERN + 1),
            "(".repeat(MAX_PATTERN),
            format!("{}{}", "(".repeat(5000), ")".repeat(5000)),
            format!("(?=a){}{}", "(?:".repeat(3000), ")".repeat(3000)),
            "(?:a{1000}){1000}".into(),
            "((?:a{1000}){1000}){1000}".into(),
            "(?=a)(?:(?:a{1000}){1000}){1000}".into(),
            r"()(?:(?:\1{1000}){1000}){1000}".into(),
        ] {
            let error = Pattern::new(&pattern).map(|p| p.source.len()).unwrap_err().to_string();
            assert!(!error.contains('\n') && error.len() < 300, "{error}");
        }
        let took = worked().saturating_sub(begin);
        assert!(took < Duration::from_secs(20), "{took:?}");
    }

    #[test]
    fn no_pattern_needs_much_stack() {
        let judge = || {
            for (open, close) in [
                ("(", ")"),
                ("a|(", ")"),
                ("(?:a", ")*"),
                ("(?:a|", ")+?"),
                ("(?!a|(", "))"),
                ("(?=a", "b)"),
                ("(?<=", ")"),
                (r"(x)\1(", ")"),
                ("(?:(?=b)a|", ")*"),
                ("(?=a|(?:b|", "c)*)"),
                (r"(?:\b|", "b)*"),
                (r"(?:a|(?!b))(?:\b|", "b)*"),
            ] {
                for depth in [10, 14, 15, 28, 29, 30, 31, 3000] {
                    let pattern = format!("{}{}", open.repeat(depth), close.repeat(depth));
                    if let Ok(pattern) = Pattern::new(&pattern) {
                        let _ = pattern.matches(b"aaaaaaaaaabcd");
                    }
                }
            }
            for flat in ["a|", "(?=a)|", "a?", "(a)", r"(?!b)a*", "[^a]"] {
                let pattern = flat.repeat(MAX_PATTERN / flat.len());
                let _ = Pattern::new(&pattern).map(|p| p.matches(b"aaaaa"));
            }
        };
        // Three quarters of what its threads have; an overflow ends the tests.
        let stack = 1536 * 1024;
        std::thread::Builder::new().stack_size(stack).spawn(judge).unwrap().join().unwrap();
        assert!(Pattern::new(&format!("{}{}", "(".repeat(30), ")".repeat(30))).is_ok());
        let error = Pattern::new(&format!("{}{}", "(".repeat(31), ")".repeat(31))).unwrap_err();
        assert!(error.to_string().ends_with("groups nested deeper than 30"), "{error}");
    }

    #[test]
    fn error_says_what_is_wrong_with_what() {
        for (pattern, message) in [
            ("[a", "invalid pattern [a: unclosed class"),
            ("a)", "invalid pattern a): unopened group"),
            ("*a", "invalid pattern *a: repetition operator missing expression"),
            (
                "[b-a]",
                "invalid pattern [b-a]: invalid character class range, the start must be <= the end",
            ),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn a_quoted_path_matches_itself_and_nothing_else(
            path in "[ -~]{1,30}", other in "[ -~]{1,30}",
        ) {
            let quoted: String = path
                .chars()
                .flat_map(|c| (!c.is_alphanumeric()).then_some('\\').into_iter().chain([c]))
                .collect();
            let pattern = Pattern::new(&quoted).unwrap();
            prop_assert!(pattern.matches(path.as_bytes()));
            prop_assert_eq!(pattern.matches(other.as_bytes()), path == other);
        }

        #[test]
        fn no_text_makes_it_panic_or_hang(
            source in r"[\[\](){}|*+?.^$\\a-e0-9=!<>:,-]{0,20}", path in "[a-e0-9/]{0,40}",
        ) {
            if let Ok(pattern) = Pattern::new(&source) {
                let _ = pattern.matches(path.as_bytes());
            }
        }

        #[test]
        fn fallback_agrees_with_linear(source in r"[ab.*|()\[\]]{1,10}", path in "[ab]{0,8}") {
            if let (Ok(linear), Ok(fallback)) =
                (Pattern::new(&source), Pattern::new(&format!("(?=)(?:{source})")))
            {
                prop_assert_eq!(linear.matches(path.as_bytes()), fallback.matches(path.as_bytes()));
            }
        }
    }
}
