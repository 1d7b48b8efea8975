//! What each difference of the two syntaxes means.

use super::*;

fn regex(pattern: &str) -> String {
    rewrite(pattern).unwrap().regex
}

#[test]
fn keeps_what_both_syntaxes_share() {
    for same in ["(^|/)a/b", "a*b+?c{2}d{2,}e{2,3}$", "(?:a|b)", "[a-z0-9_]", "[^a/]", r"\b"] {
        assert_eq!(regex(same), same);
    }
}

#[test]
fn gives_each_difference_its_ecmascript_meaning() {
    for (pattern, expected) in [
        (".", r"[^\n\r]"),
        (r"\/", "/"),
        (r"\<a\>", r"\x3Ca\x3E"),
        (r"\A\z", "Az"),
        (r"\d\W", "[0-9][^0-9A-Za-z_]"),
        ("[^]", r"[\x00-\xFF]"),
        ("[]", r"[^\x00-\xFF]"),
        ("[[]", r"[\x5B]"),
        ("[a&&b]", r"[a\x26\x26b]"),
        ("[a-]", r"[a\x2D]"),
        (r"[\w-z]", r"[[0-9A-Za-z_]\x2Dz]"),
        (r"[a-\d]", r"[a\x2D[0-9]]"),
        ("[[:digit:]x]", "[[:digit:]x]"),
        (r"[\b]", r"[\x08]"),
        ("a{", r"a\x7B"),
        ("{a}", r"\x7Ba\x7D"),
        ("a{,3}", r"a\x7B\x2C3\x7D"),
        (r"\x41\u0042\cJ\0", r"AB\x0A\x00"),
        (r"\xg", "xg"),
        ("é+", r"(?:\xC3\xA9)+"),
        ("#x y", r"\x23x\x20y"),
    ] {
        assert_eq!(regex(pattern), expected, "{pattern}");
    }
}

#[test]
fn says_which_patterns_need_backtracking() {
    for pattern in ["(?=a)", "(?!a)", "(?<=a)", "(?<!a)", r"(a)\1", r"(?<n>a)\k<n>"] {
        assert!(rewrite(pattern).unwrap().backtracks, "{pattern}");
    }
    for pattern in [".*", "(?:a)", "(?<n>a)", r"\b", "[(?=]"] {
        assert!(!rewrite(pattern).unwrap().backtracks, "{pattern}");
    }
}

#[test]
fn refuses_to_backtrack_through_huge_repetitions() {
    for pattern in [r"()((\1{100}){100}){100}", "(?=a)(b{99999999999999999999}c{99}){99}"] {
        assert!(rewrite(pattern).is_err(), "{pattern}");
    }
    for pattern in [r"(?!a)[0-9a-f]{16}-[0-9a-f]{16}(x{10}){10}", "((a{1000}){1000}){1000}"] {
        assert!(rewrite(pattern).is_ok(), "{pattern}");
    }
}

#[test]
fn refuses_what_would_change_meaning_when_embedded() {
    for pattern in ["a)(b", "(a", "[a", "a\\", "a++", "a{2}+", "a**", "(?i)a", "(?x)", r"\07"] {
        assert!(rewrite(pattern).is_err(), "{pattern}");
    }
}
