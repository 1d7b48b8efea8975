//! The options of `-o`: those of the mount itself, and those that are known to make no difference.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::str::FromStr;

use rustix::mount::MountFlags;

use crate::fault::suggest;

/// An option of the mount itself.
#[derive(Clone, Debug)]
pub(super) enum MountOption {
    /// Set flags of mount(2).
    Set(MountFlags),
    /// Clear flags of mount(2).
    Clear(MountFlags),
    /// Let users other than the mounting one in, or not.
    AllowOther(bool),
    /// Let root in beside the mounting user, and nobody else.
    AllowRoot,
    /// Whether the kernel checks permissions.
    DefaultPermissions(bool),
    /// The source that /proc/mounts shows.
    Source(String),
    /// The part of the type after `fuse.`.
    Subtype(String),
    /// Change the flags of the mount that is there.
    Remount,
    /// Known, and of no effect here.
    Meaningless,
}

/// Each option without a value, and what it does.
const OPTIONS: [(&str, MountOption); 24] = [
    ("ro", MountOption::Set(MountFlags::RDONLY)),
    ("rw", MountOption::Clear(MountFlags::RDONLY)),
    ("dev", MountOption::Clear(MountFlags::NODEV)),
    ("nodev", MountOption::Set(MountFlags::NODEV)),
    ("suid", MountOption::Clear(MountFlags::NOSUID)),
    ("nosuid", MountOption::Set(MountFlags::NOSUID)),
    ("exec", MountOption::Clear(MountFlags::NOEXEC)),
    ("noexec", MountOption::Set(MountFlags::NOEXEC)),
    ("atime", MountOption::Clear(MountFlags::NOATIME)),
    ("noatime", MountOption::Set(MountFlags::NOATIME)),
    ("diratime", MountOption::Clear(MountFlags::NODIRATIME)),
    ("nodiratime", MountOption::Set(MountFlags::NODIRATIME)),
    ("symfollow", MountOption::Clear(MountFlags::NOSYMFOLLOW)),
    ("nosymfollow", MountOption::Set(MountFlags::NOSYMFOLLOW)),
    ("sync", MountOption::Set(MountFlags::SYNCHRONOUS)),
    ("async", MountOption::Clear(MountFlags::SYNCHRONOUS)),
    ("dirsync", MountOption::Set(MountFlags::DIRSYNC)),
    ("allow_other", MountOption::AllowOther(true)),
    ("allow_root", MountOption::AllowRoot),
    ("default_permissions", MountOption::DefaultPermissions(true)),
    ("no_default_permissions", MountOption::DefaultPermissions(false)),
    ("remount", MountOption::Remount),
    ("nonempty", MountOption::Meaningless),
    ("defaults", MountOption::Meaningless),
];

/// Options of libfuse 2 that tune what this program tunes itself. One that ends in `=` has a value.
pub(super) const TUNING: [&str; 32] = [
    "async_read",
    "atomic_o_trunc",
    "attr_timeout=",
    "ac_attr_timeout=",
    "auto_cache",
    "auto_unmount",
    "big_writes",
    "blkdev",
    "congestion_threshold=",
    "entry_timeout=",
    "hard_remove",
    "intr",
    "intr_signal=",
    "kernel_cache",
    "large_read",
    "max_background=",
    "max_read=",
    "max_readahead=",
    "max_write=",
    "negative_timeout=",
    "no_splice_move",
    "no_splice_read",
    "no_splice_write",
    "noauto_cache",
    "noforget",
    "nopath",
    "norellinks",
    "readdir_ino",
    "remember=",
    "splice_move",
    "splice_read",
    "use_ino",
];

/// Options that mount(8), fstab(5) and systemd keep for themselves but may hand on, those among them
/// that mount(8) reads from the mount table for a remount. Of how times of access move only what
/// keeps them is ours to honour: else the backing moves them, by its own options.
pub(super) const FSTAB: [&str; 23] = [
    "_netdev",
    "auto",
    "comment=",
    "group",
    "group_id=",
    "helper=",
    "lazytime",
    "loud",
    "noauto",
    "nofail",
    "nogroup",
    "nolazytime",
    "noowner",
    "norelatime",
    "nostrictatime",
    "nouser",
    "nousers",
    "owner",
    "relatime",
    "silent",
    "strictatime",
    "uhelper=",
    "user_id=",
];

/// Options of libfuse that show something else than there is, and what.
const FALSIFYING: [(&str, &str); 6] = [
    ("uid", "owners"),
    ("gid", "groups"),
    ("umask", "permissions"),
    ("fmask", "permissions"),
    ("dmask", "permissions"),
    ("rellinks", "targets of links"),
];

/// Why an option is refused that would falsify the mirror.
pub(super) fn falsifies(option: &str) -> Option<String> {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    let (name, what) = FALSIFYING.iter().find(|(known, _)| *known == name)?;
    Some(format!("{name} is refused: the mirror shows {what} as the backing has them"))
}

impl FromStr for MountOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("fsname", value)) => return Ok(MountOption::Source(value.to_owned())),
            Some(("subtype", value)) => return Ok(MountOption::Subtype(value.to_owned())),
            _ => {}
        }
        if let Some((_, option)) = OPTIONS.iter().find(|(name, _)| *name == text) {
            return Ok(option.clone());
        }
        if let Some(why) = falsifies(text) {
            return Err(why);
        }
        Err(match suggest::closest(text, names()) {
            Some(near) => format!("unknown mount option; did you mean {near}?"),
            None => "unknown mount option".to_owned(),
        })
    }
}

/// What each is called, those with a value with a `=` at the end.
pub(super) fn names<'a>() -> impl Iterator<Item = &'a str> {
    OPTIONS.iter().map(|(name, _)| *name).chain(["fsname=", "subtype="])
}

/// Splits a list at its commas. A backslash keeps the next character as it is.
pub(super) fn split(list: &OsStr) -> Vec<OsString> {
    let mut words = vec![Vec::new()];
    let mut bytes = list.as_bytes().iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, words.last_mut()) {
            (b',', _) => words.push(Vec::new()),
            (b'\\', Some(word)) => word.extend(bytes.next().or(Some(byte))),
            (_, Some(word)) => word.push(byte),
            (_, None) => {}
        }
    }
    words.into_iter().filter(|w| !w.is_empty()).map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_at_commas_without_a_backslash() {
        let split = |text: &str| split(OsStr::new(text));
        assert_eq!(split("a,b=c,,d"), ["a", "b=c", "d"]);
        assert_eq!(split(r"subdir=/a\,b,ro"), ["subdir=/a,b", "ro"]);
        assert_eq!(split(r"a\\b"), [r"a\b"]);
        assert_eq!(split(r"a\"), [r"a\"]);
        assert!(split("").is_empty());
    }
}
