//! The name of a mount's socket: its mountpoint's, as a file name.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest name that tells the whole mountpoint, bytes.
const LONGEST: usize = 100;

/// How much of a longer one is kept, before its hash.
const KEPT: usize = 60;

/// The longest name that is ever made: what is kept, a mark, and the hash in hexadecimal.
pub(super) const MOST: usize = KEPT + 1 + 16;

/// The longest path of a socket that the kernel takes (unix(7): 108 bytes with the end).
pub(super) const LONGEST_PATH: usize = 107;

/// The name of the socket of a mountpoint, which is absolute and resolved, in that directory:
/// as systemd-escape(1) --path makes it; where that is too long its beginning and a hash.
pub(super) fn name_of(mountpoint: &Path, directory: &Path) -> String {
    let name = escaped(mountpoint);
    let room = LONGEST_PATH.saturating_sub(directory.as_os_str().len() + 1);
    if name.len() <= LONGEST.min(room) {
        return name;
    }
    // `~` is escaped, so that no mountpoint has such a name.
    let kept = name.get(..KEPT).unwrap_or_default();
    format!("{kept}~{:016x}", hash(mountpoint.as_os_str().as_bytes()))
}

fn escaped(path: &Path) -> String {
    let parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    let mut name = String::new();
    for part in parts.filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push('-');
        }
        for byte in part {
            match char::from(*byte) {
                '.' if name.is_empty() => name.push_str("\\x2e"),
                plain @ ('0'..='9' | 'a'..='z' | 'A'..='Z' | ':' | '_' | '.') => name.push(plain),
                // Writing to a string does not fail.
                _ => drop(write!(name, "\\x{byte:02x}")),
            }
        }
    }
    if name.is_empty() { "-".to_owned() } else { name }
}

/// FNV-1a: the same in every version, as sockets outlive programs.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn name(mountpoint: &[u8]) -> String {
        name_of(Path::new(OsStr::from_bytes(mountpoint)), Path::new("/run/slowfs"))
    }

    /// The right side is what systemd-escape --path prints.
    #[test]
    fn names_are_escaped_as_systemd_does() {
        for (mountpoint, wanted) in [
            (&b"/"[..], "-"),
            (b"/mnt/slowfs", "mnt-slowfs"),
            (b"//mnt//a/", "mnt-a"),
            (b"/mnt/wal-1/a b", "mnt-wal\\x2d1-a\\x20b"),
            (b"/.hidden/.b", "\\x2ehidden-.b"),
            (b"/a:b_c.d~", "a:b_c.d\\x7e"),
            ("/mnt/é".as_bytes(), "mnt-\\xc3\\xa9"),
            (b"/mnt/\xff\\", "mnt-\\xff\\x5c"),
        ] {
            assert_eq!(name(mountpoint), wanted);
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = |last: char| format!("/{}{last}", "a".repeat(200));
        let [one, other] = ['1', '2'].map(|last| name(long(last).as_bytes()));
        assert_ne!(one, other);
        for cut in [&one, &other] {
            assert_eq!(cut.len(), MOST);
            assert!(cut.starts_with(&format!("{}~", "a".repeat(60))), "{cut}");
        }
        // What the path of a socket has no room for is cut as well.
        let fits = format!("/{}", "a".repeat(95));
        assert_eq!(name(fits.as_bytes()).len(), 95);
        assert_eq!(name(format!("{fits}a").as_bytes()).len(), MOST);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c, "as FNV-1a is published");
    }
}
