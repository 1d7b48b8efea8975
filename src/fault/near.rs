//! What was meant by a pattern that matches nothing: texts that are near it. Whether they match anything is
//! asked by who has the mount. No locks.

use super::words;

/// Regular expressions that are near one, the nearest first.
pub(super) fn patterns(source: &str, mountpoint: &str, backing: &str) -> Vec<String> {
    let whole = tidied(source);
    let of_backing = replaced(&whole, mountpoint, &literal(backing));
    let anywhere = anywhere(&whole);
    let tidied = (whole != source).then_some(whole);
    let all = of_backing.into_iter().chain(tidied).chain([anywhere]);
    all.filter(|near| !near.is_empty()).collect()
}

/// Globs that are near one, the nearest first.
pub(super) fn globs(glob: &str, mountpoint: &str, backing: &str) -> Vec<String> {
    let of_backing = replaced(glob, mountpoint, backing);
    of_backing.into_iter().chain([relative(glob).to_owned()]).collect()
}

/// Texts that may have been meant as globs where a regular expression stands.
pub(super) fn typed_globs(source: &str, mountpoint: &str, backing: &str) -> Vec<String> {
    [vec![source.to_owned()], globs(source, mountpoint, backing)].concat()
}

/// The same without slashes that no path has: at its end, and two in a row.
pub(super) fn tidied(source: &str) -> String {
    let mut tidied = String::new();
    for c in source.trim_end_matches('/').chars() {
        if c != '/' || !tidied.ends_with('/') {
            tidied.push(c);
        }
    }
    tidied
}

/// A path as a regular expression. A dot stays as it is: it matches itself too, and is easier to read.
pub(super) fn literal(path: &str) -> String {
    let is_plain = !path.contains(|c| r"\*+?()[]{}|^$".contains(c));
    if is_plain { path.to_owned() } else { regex::escape(path) }
}

/// The same with the backing's path wherever the mount's begins; none if it does nowhere.
fn replaced(source: &str, mountpoint: &str, backing: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = source.trim_start_matches('^');
    let mut is_found = false;
    while let Some(c) = rest.chars().next() {
        let begins = out.is_empty() || ["(", "|", "^", "(?:"].iter().any(|end| out.ends_with(end));
        if let Some(after) = begins.then(|| behind(rest, mountpoint)).flatten() {
            out.push_str(backing);
            rest = after;
            is_found = true;
        } else {
            out.push(c);
            rest = rest.get(c.len_utf8()..)?;
        }
    }
    is_found.then_some(out)
}

/// What follows a path in a regular expression that begins with it, be it escaped or not.
fn behind<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    const ENDS: [&str; 9] = ["/", "\\/", "|", ")", "$", "(", "[", ".*", ".+"];
    let mut rest = text;
    for c in path.chars() {
        let bare = rest.strip_prefix('\\').filter(|_| !c.is_alphanumeric()).unwrap_or(rest);
        rest = bare.strip_prefix(c)?;
    }
    let ends = rest.is_empty() || ENDS.iter().any(|end| rest.starts_with(end));
    (ends && !path.is_empty()).then_some(rest)
}

/// The same below any directory, or at the end of any name.
fn anywhere(source: &str) -> String {
    let branches = branches(source);
    let endings: Vec<_> = branches.iter().filter_map(|branch| ending(branch)).collect();
    let (before, all) = match endings.len() == branches.len() {
        true => (".*", endings),
        false => (".*/", branches.into_iter().map(|branch| relative(branch).to_owned()).collect()),
    };
    match all.as_slice() {
        [only] if only.is_empty() || only == "." => ".*".to_owned(),
        [only] => format!("{before}{only}"),
        many => format!("{before}({})", many.join("|")),
    }
}

/// What is behind the beginning of a path.
fn relative(text: &str) -> &str {
    let mut rest = text;
    while let Some(after) = ["^", "/", "./", "\\./"].iter().find_map(|it| rest.strip_prefix(it)) {
        rest = after;
    }
    rest
}

/// The ending of names, as `.log`, with its dot escaped; none if it is no more than that.
fn ending(source: &str) -> Option<String> {
    let whole = source.trim_end_matches('$');
    let name = whole.strip_prefix("\\.").or_else(|| whole.strip_prefix('.'))?;
    let is_one = !name.is_empty() && name.chars().all(is_plain);
    is_one.then(|| format!("\\.{name}"))
}

/// The alternatives that are in no group.
fn branches(source: &str) -> Vec<&str> {
    let (mut depth, mut in_class, mut is_escaped) = (0_usize, false, false);
    let is_between = |c: char| {
        let is_plain = !is_escaped && !in_class;
        is_escaped = c == '\\' && !is_escaped;
        match c {
            '[' if is_plain => in_class = true,
            ']' if is_plain || in_class && !is_escaped => in_class = false,
            '(' if is_plain => depth += 1,
            ')' if is_plain => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '|' && is_plain && depth == 0
    };
    source.split(is_between).collect()
}

/// Whether a pattern ends in a plain name without an ending, as directories mostly have.
pub(super) fn may_be_directory(source: &str) -> bool {
    source.rsplit('/').next().is_some_and(|name| !name.is_empty() && name.chars().all(is_plain))
}

/// Of a name, and nothing special in a regular expression.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// The glob that may have been written so, if it was typed as one: relative ones always match something.
pub(super) fn typed_as(source: &str) -> Option<String> {
    words::maybe_glob_of_regex(source).filter(|_| source.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_mount_is_one_of_the_backing() {
        let of = |source| replaced(source, "/t/r.x/m", "/t/r.x/raw");
        for (source, wanted) in [
            ("/t/r.x/m", "/t/r.x/raw"),
            ("^/t/r.x/m/.*", "/t/r.x/raw/.*"),
            (r"/t/r\.x/m/.*", "/t/r.x/raw/.*"),
            (r"\/t\/r\.x\/m\/a", r"/t/r.x/raw\/a"),
            ("(/t/r.x/m/raw/.*|^/t/r.x/m)", "(/t/r.x/raw/raw/.*|^/t/r.x/raw)"),
            ("(?:/t/r.x/m)(/.*)?", "(?:/t/r.x/raw)(/.*)?"),
            ("/t/r.x/m.*", "/t/r.x/raw.*"),
        ] {
            assert_eq!(of(source).as_deref(), Some(wanted), "{source}");
        }
        for other in ["", "/t/r.x/m2", "/t/r.x/m-1/a", "/u/t/r.x/m/a", "t/r.x/m"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(replaced("/a", "", "/raw"), None);
        assert_eq!(literal("/a+b.c"), r"/a\+b\.c");
    }

    #[test]
    fn what_is_anywhere_is_below_a_directory_or_the_end_of_a_name() {
        for (source, wanted) in [
            ("member/wal", ".*/member/wal"),
            ("^/wal/.*", ".*/wal/.*"),
            ("./member/.*", ".*/member/.*"),
            ("a.log|b.txt", ".*/(a.log|b.txt)"),
            ("^a|^/b", ".*/(a|b)"),
            ("(a|b)[|(]c", ".*/(a|b)[|(]c"),
            (r"a\|b", r".*/a\|b"),
            (r"[\]|]|b", r".*/([\]|]|b)"),
            (r"\.log", r".*\.log"),
            (r".log$", r".*\.log"),
            (r"\.log|\.txt", r".*(\.log|\.txt)"),
            (".git/.*", ".*/.git/.*"),
            (".", ".*"),
            ("", ".*"),
        ] {
            assert_eq!(anywhere(source), wanted, "{source}");
        }
    }
}
