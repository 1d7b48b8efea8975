//! Paths for people and their shells. What is no UTF-8 of one is escaped, so that two of them never look alike. No locks.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::line::quoted;

/// A path as a word of a command.
#[must_use]
pub(crate) fn quoted_path(path: &Path) -> String {
    path.to_str().map_or_else(|| escaped_path(path.as_os_str().as_bytes()), quoted)
}

/// A path as it is, or else as its word of a command.
#[must_use]
pub(crate) fn shown_path(path: &Path) -> String {
    let plain = path.to_str().filter(|text| !text.starts_with(OPEN));
    plain.map_or_else(|| escaped_path(path.as_os_str().as_bytes()), str::to_owned)
}

/// What begins a word with escapes.
const OPEN: &str = "$'";

/// A path as a word with escapes, as bash and zsh read it.
#[must_use]
pub(crate) fn escaped_path(path: &[u8]) -> String {
    format!("{OPEN}{}'", path.escape_ascii())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn no_two_paths_look_alike() {
        for (bytes, shown, quoted) in [
            (&b"/mnt/a b"[..], "/mnt/a b", "'/mnt/a b'"),
            ("/mnt/ä".as_bytes(), "/mnt/ä", "'/mnt/ä'"),
            (br"/mnt/\xff", r"/mnt/\xff", r"'/mnt/\xff'"),
            (b"/mnt/\xff", r"$'/mnt/\xff'", r"$'/mnt/\xff'"),
            (b"/mnt/\xfe", r"$'/mnt/\xfe'", r"$'/mnt/\xfe'"),
            (b"/it's \xff", r"$'/it\'s \xff'", r"$'/it\'s \xff'"),
            (br"$'\xff'", r"$'$\'\\xff\''", r#"'$'"'"'\xff'"'"''"#),
        ] {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert_eq!((&*shown_path(path), &*quoted_path(path)), (shown, quoted), "{path:?}");
        }
    }
}
