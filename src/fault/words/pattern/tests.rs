//! Which paths patterns match.

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
    let mut path = vec![b'a'; 4000];
    let begin = worked();
    assert!(!Pattern::new("(a+)+b").unwrap().matches(&path));
    // What no automaton can tell.
    path.extend(b"ab!b");
    let slow = Pattern::new(r"()(?:a|a)+(?:\1{40}){45}b").unwrap();
    assert!(!slow.matches(&path) && slow.sieve().unwrap().accepts(&path));
    let hard = Pattern::new(r"(a|aa)+\1\1b").unwrap();
    assert!(!hard.matches(&path) && hard.sieve().unwrap().accepts(&path));
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
        ("+a", "invalid pattern +a: repetition operator missing expression"),
        (
            "*a",
            "invalid pattern *a: repetition operator missing expression; it is no glob: write \
             '.*a', or --glob '*a'",
        ),
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

    /// By the automaton, where there is one, as by the engine alone.
    #[test]
    fn the_sieve_lets_by_what_the_engine_matches(
        source in prop_oneof![
            r"[ab.*|()\[\]?^$+]{1,10}",
            r"(\(\?[!=]|\(\?<[!=]|\(|\)|a|b|\.|\*|\||\\1|\{2\}|\\b|\\B|\^|\$|\[\^a\]|é|\?){1,12}",
            r"\([ab.]\)(\.\*|a|\\1|\\1\{2\}|\(\?!b\)|\(\?=\\1\)|\\b){1,6}",
            r"\.\*a\.\{1[0-9]\}b?\.\*",
        ],
        paths in prop::collection::vec("[abé/\n]{0,14}", 1..20),
    ) {
        if let Ok(pattern) = Pattern::new(&source) {
            let plain = Pattern::plain(&source);
            for path in paths {
                let alone = plain.matches(path.as_bytes());
                prop_assert_eq!(pattern.matches(path.as_bytes()), alone, "{} {:?}", source, path);
            }
        }
    }
}

#[test]
fn nearly_every_pattern_has_a_sieve() {
    let rejects = |pattern: &str, path: &str| {
        let sieve = Pattern::new(pattern).unwrap().sieve().cloned();
        !sieve.unwrap_or_else(|| panic!("{pattern} has none")).accepts(path.as_bytes())
    };
    for pattern in [
        r"/data/(?!.*\.tmp$).*",
        r"(?!.*\.tmp$)/data/.*",
        r".*/data/(.)\1.*",
        r"(?<n>a|/)data\k<n>{3}.*",
        r"/data/.*a.{40}b.*",
        r"/data/.*(x.{3}){9}a.{9}.*",
    ] {
        assert!(rejects(pattern, "/tmp/x"), "{pattern}");
        assert!(!rejects(pattern, &format!("/data/{0}a{0}b{0}", "x".repeat(40))), "{pattern}");
    }
}
