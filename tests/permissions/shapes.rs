//! The files and directories that operations are tried on.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use rustix::fs::{IFlags, XattrFlags, ioctl_getflags, ioctl_setflags};

use super::{ALICE, BOB, STAFF};

/// A file or directory: owner, group, permissions, and what else makes it what it is.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    owner: (u32, u32),
    mode: u32,
    more: Option<fn(&Path)>,
}

const fn shape(name: &'static str, uid: u32, gid: u32, mode: u32) -> Shape {
    Shape { name, owner: (uid, gid), mode, more: None }
}

impl Shape {
    const fn with(self, more: fn(&Path)) -> Shape {
        Shape { more: Some(more), ..self }
    }

    fn give_to(&self, path: &Path) {
        chown(path, Some(self.owner.0), Some(self.owner.1)).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(self.mode)).unwrap();
        if let Some(more) = self.more {
            more(path);
        }
    }
}

/// In the first ones every kind of file is tried.
pub(crate) const DIRECTORIES: &[Shape] = &[
    shape("open to all", 0, 0, 0o777),
    shape("sticky", 0, 0, 0o1777),
    shape("alice's sticky", ALICE, ALICE, 0o1777),
    shape("root's", 0, 0, 0o755),
    shape("the staff's", 0, STAFF, 0o770),
    shape("the staff's sticky", 0, STAFF, 0o1770),
    shape("setgid", 0, STAFF, 0o2777),
    shape("alice's setgid", ALICE, STAFF, 0o2775),
    shape("to pass only", 0, 0, 0o711),
    shape("to list only", 0, 0, 0o744),
    shape("to write only", 0, 0, 0o733),
    shape("alice's alone", ALICE, ALICE, 0o700),
    shape("closed to its owner", ALICE, ALICE, 0o077),
    shape("alice's by ACL", 0, 0, 0o700).with(|path| set_acl(path, ACCESS, &ALICE_MAY_ALL)),
    shape("alice's by a masked ACL", 0, 0, 0o700).with(|path| set_acl(path, ACCESS, &MASKED)),
    shape("not the staff's by ACL", 0, STAFF, 0o777).with(|path| set_acl(path, ACCESS, &NO_STAFF)),
    shape("with a default ACL", 0, STAFF, 0o777).with(|path| set_acl(path, DEFAULT, &MASKED)),
    shape("setgid with a default ACL", 0, STAFF, 0o2777)
        .with(|path| set_acl(path, DEFAULT, &NO_STAFF)),
    shape("immutable", 0, 0, 0o777).with(|path| set_flags(path, IFlags::IMMUTABLE)),
    shape("append-only", 0, 0, 0o777).with(|path| set_flags(path, IFlags::APPEND)),
];

/// The first ones are tried in every kind of directory.
pub(crate) const FILES: &[Shape] = &[
    shape("alice's", ALICE, ALICE, 0o644),
    shape("root's", 0, 0, 0o644),
    shape("bob's", BOB, BOB, 0o600),
    shape("anybody's", 0, 0, 0o666),
    shape("the staff's", 0, STAFF, 0o660),
    shape("not the staff's", 0, STAFF, 0o606),
    shape("not its owner's", ALICE, ALICE, 0o066),
    shape("to write only", ALICE, ALICE, 0o222),
    shape("to read only", ALICE, STAFF, 0o444),
    shape("a program", 0, STAFF, 0o751),
    shape("setuid", ALICE, STAFF, 0o4777),
    shape("setgid", ALICE, STAFF, 0o2777),
    shape("setuid and setgid", ALICE, STAFF, 0o6777),
    shape("setgid without execution", ALICE, STAFF, 0o2766),
    shape("setuid and setgid without execution", ALICE, STAFF, 0o6666),
    shape("sticky", ALICE, STAFF, 0o1666),
    shape("alice's by ACL", 0, 0, 0o600).with(|path| set_acl(path, ACCESS, &ALICE_MAY_ALL)),
    shape("alice's by a masked ACL", 0, 0, 0o600).with(|path| set_acl(path, ACCESS, &MASKED)),
    shape("not the staff's by ACL", 0, STAFF, 0o666).with(|path| set_acl(path, ACCESS, &NO_STAFF)),
    shape("setgid with an ACL", ALICE, STAFF, 0o2777).with(|path| set_acl(path, ACCESS, &MASKED)),
    shape("immutable", ALICE, ALICE, 0o666).with(|path| set_flags(path, IFlags::IMMUTABLE)),
    shape("append-only", ALICE, ALICE, 0o666).with(|path| set_flags(path, IFlags::APPEND)),
];

/// Makes `d` of that shape with `f` of that shape, a subdirectory and a symlink in it, and beside
/// it `out`, where all may do everything.
pub(crate) fn make(place: &Path, directory: &Shape, file: &Shape) {
    for dir in ["", "d", "d/sub", "out"] {
        fs::create_dir(place.join(dir)).unwrap();
    }
    for file in ["d/f", "out/g"] {
        fs::write(place.join(file), "the content").unwrap();
        let path = place.join(file);
        rustix::fs::setxattr(&path, "user.old", b"value", XattrFlags::empty()).unwrap();
    }
    symlink("f", place.join("d/link")).unwrap();
    shape("", ALICE, ALICE, 0o777).give_to(&place.join("d/sub"));
    shape("", ALICE, ALICE, 0o666).give_to(&place.join("out/g"));
    shape("", 0, 0, 0o777).give_to(&place.join("out"));
    file.give_to(&place.join("d/f"));
    directory.give_to(&place.join("d"));
}

/// Removes it again.
pub(crate) fn remove(place: &Path) {
    for path in ["d", "d/f"] {
        // No such file, if it was moved: then it had no flags that keep it.
        if let Ok(file) = File::open(place.join(path)) {
            let kept = ioctl_getflags(&file).unwrap() - IFlags::IMMUTABLE - IFlags::APPEND;
            ioctl_setflags(&file, kept).unwrap();
        }
    }
    fs::remove_dir_all(place).unwrap();
}

/// Everything below a place but times and numbers: a line each.
pub(crate) fn state(place: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut left = vec![place.to_owned()];
    while let Some(path) = left.pop() {
        let m = fs::symlink_metadata(&path).unwrap();
        if m.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let name = path.strip_prefix(place).unwrap().display();
        let size = if m.is_file() { m.size() } else { 0 };
        let attributes = attributes(&path);
        lines.push(format!(
            "{name} {:o} {}:{} links {} size {size} rdev {} {attributes:?}",
            m.mode(),
            m.uid(),
            m.gid(),
            m.nlink(),
            m.rdev()
        ));
    }
    lines.sort_unstable();
    lines
}

/// The extended attributes of a file, ACLs among them.
fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut all: Vec<_> = names
        .map(|name| {
            let mut value = vec![0; 4096];
            let name = std::ffi::OsStr::from_bytes(name);
            let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
            value.truncate(length);
            (name.to_string_lossy().into_owned(), value)
        })
        .collect();
    all.sort_unstable();
    all
}

fn set_flags(path: &Path, flags: IFlags) {
    let file = File::open(path).unwrap();
    ioctl_setflags(&file, ioctl_getflags(&file).unwrap() | flags).expect("a backing with chattr");
}

pub(crate) const ACCESS: &str = "system.posix_acl_access";
pub(crate) const DEFAULT: &str = "system.posix_acl_default";

/// An entry of an ACL: tag, permissions, id (acl(5), linux/posix_acl_xattr.h).
type AclEntry = (u16, u16, u32);
const NO_ID: u32 = u32::MAX;
const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

const ALICE_MAY_ALL: [AclEntry; 5] = [
    (OWNER, 7, NO_ID),
    (USER, 7, ALICE),
    (OWNING_GROUP, 0, NO_ID),
    (MASK, 7, NO_ID),
    (OTHER, 0, NO_ID),
];
pub(crate) const MASKED: [AclEntry; 6] = [
    (OWNER, 7, NO_ID),
    (USER, 7, ALICE),
    (OWNING_GROUP, 7, NO_ID),
    (GROUP, 7, STAFF),
    (MASK, 5, NO_ID),
    (OTHER, 0, NO_ID),
];
const NO_STAFF: [AclEntry; 6] = [
    (OWNER, 7, NO_ID),
    (USER, 6, BOB),
    (OWNING_GROUP, 0, NO_ID),
    (GROUP, 0, STAFF),
    (MASK, 7, NO_ID),
    (OTHER, 7, NO_ID),
];

/// An ACL as the attribute's value has it.
pub(crate) fn acl(entries: &[AclEntry]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    value
}

fn set_acl(path: &Path, name: &str, entries: &[AclEntry]) {
    rustix::fs::setxattr(path, name, &acl(entries), XattrFlags::empty()).unwrap();
}
