//! Globs, which the command line writes as the regular expressions that everything else speaks: so no
//! other door knows of them, and a listing finds the glob in the expression again. No locks.

use globset::GlobBuilder;

/// In front of a glob that begins with no directory: the name may be in any.
const ANYWHERE: &str = "**/";

/// What globset writes for [`ANYWHERE`]. Every path begins with a slash, so that [`BELOW`] says the same.
const PREFIX: &str = "(?:/?|.*/)";

/// The same, shorter.
const BELOW: &str = ".*/";

/// What it writes for `/**/`.
const BETWEEN: &str = "(?:/|/.*/)";

/// Why a text is no glob. One line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GlobError(String);

/// The regular expression for whole paths that a glob stands for. One that does not begin with `/` is
/// the end of a path, from some directory on.
///
/// # Errors
/// It is none, or never matches a path.
pub(crate) fn regex(glob: &str) -> Result<String, GlobError> {
    if glob.is_empty() {
        return Err(GlobError("a glob is missing".to_owned()));
    }
    if glob.len() > 1 && glob.ends_with('/') {
        let why = format!("no path ends in a slash; {glob}** is all that is below");
        return Err(GlobError(why));
    }
    let glob = &without_dots(glob)?;
    let anchored = glob.starts_with('/') || glob.starts_with("**");
    let whole = if anchored { glob.to_owned() } else { format!("{ANYWHERE}{glob}") };
    let made = GlobBuilder::new(&whole).literal_separator(true).empty_alternates(true).build();
    let made = made.map_err(|error| GlobError(error.kind().to_string()))?;
    let inside = made.regex().strip_prefix("(?-u)^").and_then(|regex| regex.strip_suffix('$'));
    let inside = inside.ok_or_else(|| GlobError("it cannot be read".to_owned()))?;
    match inside.strip_prefix(PREFIX) {
        Some(rest) => Ok(format!("{BELOW}{}", plain(rest)?)),
        None => plain(inside),
    }
}

/// The same without what a path has no name for: `.` and doubled slashes.
fn without_dots(glob: &str) -> Result<String, GlobError> {
    let mut names: Vec<_> = glob.split('/').collect();
    let last = names.pop().unwrap_or_default();
    if last == "." || last == ".." || names.contains(&"..") {
        let why = "no path has a name . or .. in it; ** is all that is below";
        return Err(GlobError(why.to_owned()));
    }
    let mut place = 0;
    names.retain(|name| {
        place += 1;
        *name != "." && (place == 1 || !name.is_empty())
    });
    names.push(last);
    Ok(names.join("/"))
}

/// The same with nothing escaped that need not be, and characters for bytes.
fn plain(regex: &str) -> Result<String, GlobError> {
    let mut bytes = Vec::new();
    let mut rest = regex;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let (part, after) = rest.split_at(c.len_utf8());
        rest = after;
        match c {
            '\\' if rest.starts_with('x') => {
                let (byte, after) = rest.split_at_checked(3).unwrap_or((rest, ""));
                let byte = byte.get(1..).and_then(|digits| u8::from_str_radix(digits, 16).ok());
                if in_class {
                    let why = "a class has room for ASCII only; write {a,b} for [ab]";
                    return Err(GlobError(why.to_owned()));
                }
                bytes.extend(byte);
                rest = after;
                continue;
            }
            '\\' => {
                let escaped = rest.chars().next().unwrap_or(c);
                let is_needed = in_class || !"-#&~".contains(escaped);
                bytes.extend(is_needed.then_some(b'\\'));
                bytes.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| GlobError("it is not UTF-8".to_owned()))
}

/// The glob that a regular expression was made of, if it may have been: no more than a glob writes so.
pub(crate) fn of_regex(pattern: &str) -> Option<String> {
    let is_one = pattern.contains("[^/") || pattern.contains(BETWEEN);
    if is_one { maybe_of_regex(pattern) } else { None }
}

/// The same if people may have written it, too.
pub(in crate::fault) fn maybe_of_regex(pattern: &str) -> Option<String> {
    let rest = pattern.strip_prefix(BELOW).unwrap_or(pattern);
    let glob = glob_of(rest)?;
    regex(&glob).is_ok_and(|again| again == pattern).then_some(glob)
}

/// Part by part. What is no glob's comes out as another expression when it is written again.
fn glob_of(regex: &str) -> Option<String> {
    const PARTS: [(&str, &str); 6] = [
        (BETWEEN, "/**/"),
        (PREFIX, "**/"),
        ("[^/]*", "*"),
        ("[^/]", "?"),
        ("/.*", "/**"),
        ("(?:", "{"),
    ];
    let (mut glob, mut rest, mut depth) = (String::new(), regex, 0_usize);
    'parts: while let Some(c) = rest.chars().next() {
        for (part, written) in PARTS {
            if let Some(after) = rest.strip_prefix(part) {
                glob.push_str(written);
                depth += usize::from(written == "{");
                rest = after;
                continue 'parts;
            }
        }
        rest = rest.get(c.len_utf8()..)?;
        match c {
            '|' if depth > 0 => glob.push(','),
            ')' => {
                depth = depth.checked_sub(1)?;
                glob.push('}');
            }
            '[' => {
                let (class, after) = rest.split_once(']')?;
                let negated = class.strip_prefix("^/");
                glob.push('[');
                glob.extend(negated.map(|_| '!'));
                glob.push_str(&negated.unwrap_or(class).replace('\\', ""));
                glob.push(']');
                rest = after;
            }
            '\\' => {
                let escaped = rest.chars().next()?;
                rest = rest.get(escaped.len_utf8()..)?;
                glob.extend("*?[]{}\\,!".contains(escaped).then_some('\\'));
                glob.push(escaped);
            }
            ',' if depth > 0 => glob.push_str("\\,"),
            c => glob.push(c),
        }
    }
    Some(glob)
}

/// The regular expression that was meant, if a text reads as a glob does: it begins with a star or a
/// question mark, or has a star behind a slash.
pub(in crate::fault) fn meant(text: &str) -> Option<String> {
    let reads_so = text.starts_with(['*', '?']) || text.contains("/*");
    if !reads_so || regex(text).is_err() {
        return None;
    }
    let mut meant = String::new();
    let mut depth = 0_usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '.' if chars.peek() == Some(&'*') => meant.push('.'),
            '*' => {
                while chars.next_if_eq(&'*').is_some() {}
                meant.push_str(if meant.ends_with('.') { "*" } else { ".*" });
            }
            '?' => meant.push('.'),
            '{' => {
                depth += 1;
                meant.push_str("(?:");
            }
            '}' if depth > 0 => {
                depth -= 1;
                meant.push(')');
            }
            ',' if depth > 0 => meant.push('|'),
            '.' | '+' | '(' | ')' | '|' | '^' | '$' => meant.extend(['\\', c]),
            c => meant.push(c),
        }
    }
    let anywhere = if text.starts_with(['/', '*', '.']) { "" } else { BELOW };
    Some(format!("{anywhere}{meant}"))
}

/// The pattern of the directories that match, and of all below them.
#[must_use]
pub(crate) fn below(regex: &str) -> String {
    format!("({regex})(/.*)?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::words::Pattern;

    fn matches(glob: &str, path: &str) -> bool {
        let regex = regex(glob).unwrap_or_else(|e| panic!("{glob}: {e}"));
        Pattern::new(&regex).unwrap_or_else(|e| panic!("{glob}: {e}")).matches(path.as_bytes())
    }

    #[test]
    fn below_is_the_directory_and_all_in_it() {
        let pattern = crate::fault::Pattern::new(&below(".*/a|.*/b")).unwrap();
        for (path, is_below) in
            [("/x/a", true), ("/x/b/c/d", true), ("/x/ab", false), ("/x", false), ("/a/x", true)]
        {
            assert_eq!(pattern.matches(path.as_bytes()), is_below, "{path}");
        }
    }

    #[test]
    fn a_glob_is_written_as_a_regular_expression() {
        for (glob, expected) in [
            ("*.log", r".*/[^/]*\.log"),
            ("wal/*.log", r".*/wal/[^/]*\.log"),
            ("/data/raw/*.log", r"/data/raw/[^/]*\.log"),
            ("wal/**", ".*/wal/.*"),
            ("/data/**/x", "/data(?:/|/.*/)x"),
            ("**", ".*"),
            ("**/x-y", ".*/x-y"),
            ("{a,b}?", ".*/(?:a|b)[^/]"),
            ("[!a-c]", ".*/[^/a-c]"),
            ("gr\u{fc}n", ".*/gr\u{fc}n"),
            ("./wal/*", ".*/wal/[^/]*"),
            ("././x", ".*/x"),
            ("/data/./raw//x", "/data/raw/x"),
            (".x/..y", r".*/\.x/\.\.y"),
        ] {
            assert_eq!(regex(glob).as_deref(), Ok(expected), "{glob}");
        }
    }

    #[test]
    fn a_glob_matches_what_it_does_in_a_shell() {
        for (glob, yes, no) in [
            (
                "*.log",
                &["/d/a.log", "/d/w/.log"][..],
                &["/d/a.log.1", "/d/a.log/x", "/d/axlog"][..],
            ),
            ("wal", &["/d/wal"], &["/d/wal/x", "/d/swal"]),
            ("wal/*", &["/d/wal/x", "/d/e/wal/x"], &["/d/wal", "/d/wal/x/y", "/d/awal/x"]),
            ("wal/**", &["/d/wal/x", "/d/wal/x/y"], &["/d/wal", "/d/wa/x"]),
            ("/d/**/x", &["/d/x", "/d/a/b/x"], &["/e/d/x", "/d/ax"]),
            ("/d/*", &["/d/a"], &["/d", "/d/a/b", "/e/d/a"]),
            ("a?c", &["/d/abc"], &["/d/a/c", "/d/ac"]),
            ("[a-c][!0-9]", &["/d/bx"], &["/d/b1", "/d/dx", "/d/b/"]),
            ("[!x]a", &["/d/ya"], &["/d//a", "/d/xa"]),
            ("*.{log,w[ao]l}", &["/d/1.log", "/d/1.wol"], &["/d/1.", "/d/1.wel"]),
            ("a{,b}", &["/d/a", "/d/ab"], &["/d/abb"]),
            (r"\*\[x", &["/d/*[x"], &["/d/a[x"]),
            ("a.b+(c)|^$", &["/d/a.b+(c)|^$"], &["/d/axb+(c)|^$"]),
            ("gr\u{fc}n*", &["/d/gr\u{fc}n1"], &["/d/grun1"]),
            ("a b#c-d&&e~f", &["/d/a b#c-d&&e~f"], &["/d/ab"]),
        ] {
            for path in yes {
                assert!(matches(glob, path), "{glob} {path}");
            }
            for path in no {
                assert!(!matches(glob, path), "{glob} {path}");
            }
        }
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        for (glob, why) in [
            ("", "missing"),
            ("[a", "unclosed"),
            ("{a", "unclosed"),
            ("a}", "unopened"),
            ("[b-a]", "invalid range"),
            ("wal/", "wal/** is all"),
            (".", "no path has a name . or .."),
            ("../x", "no path has a name . or .."),
            ("wal/..", "no path has a name . or .."),
            ("[\u{e4}]", "ASCII only"),
            ("a\\", "dangling"),
        ] {
            let told = regex(glob).unwrap_err().to_string();
            assert!(told.contains(why) && !told.contains('\n'), "{glob}: {told}");
        }
    }

    #[test]
    fn the_glob_is_found_again() {
        for glob in [
            "*.log",
            "wal/*.log",
            "/data/raw/*.log",
            "/data/**/x?",
            "wal/*/**",
            "{a,b{c,d}}?",
            "[!a-c0]*",
            "[a-c]*",
            r"\*\[x?",
            r"*{a\,b,c}",
            "gr\u{fc}n*",
            "a b#c-d&&e~f*",
        ] {
            assert_eq!(of_regex(&regex(glob).unwrap()).as_deref(), Some(glob));
        }
        for other in
            ["", ".*", ".*/wal/.*", r".*\.log", "/data/[^/]+", "(?:[^/]*", "[^/]*)", "x|[^/]"]
        {
            assert_eq!(of_regex(other), None, "{other}");
        }
    }

    #[test]
    fn what_reads_as_a_glob_was_meant_as_one() {
        for (text, wanted) in [
            ("*.log", r".*\.log"),
            ("**/*.log", r".*/.*\.log"),
            ("wal/*.log", r".*/wal/.*\.log"),
            ("/data/raw/*", "/data/raw/.*"),
            ("*.{log,wal}", r".*\.(?:log|wal)"),
            ("?.log", r".*/.\.log"),
            (".*/wal/*.log", r".*/wal/.*\.log"),
        ] {
            assert_eq!(meant(text).as_deref(), Some(wanted), "{text}");
            assert!(Pattern::new(wanted).is_ok(), "{text}");
        }
        for other in ["", ".*", r".*\.log", "member/wal", "/data/raw", "[a-z]*", "*[a", "(a)*"] {
            assert_eq!(meant(other), None, "{other}");
        }
    }
}
