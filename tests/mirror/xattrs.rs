//! Extended attributes.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{FileType, XattrFlags};
use rustix::io::Errno;

use super::common::xattr::{get, list};
use super::{as_user, bytes, chmod, create, errno, mknod, plain_directory};

cases!(
    xattr_is_kept_as_set,
    xattr_values_are_bytes_and_may_be_empty,
    xattr_flags_create_and_replace,
    xattr_size_is_told_before_the_value,
    xattr_buffers_that_are_too_small_are_refused,
    xattr_list_has_every_name_once,
    xattr_of_each_kind_of_inode,
    xattr_by_path_and_by_handle_agree,
    xattr_follows_hard_links_and_renames,
    xattr_values_are_as_large_as_the_backing_allows,
    xattr_names_that_cannot_be_are_refused,
    xattr_permissions_are_those_of_the_file,
    xattr_trusted_is_for_root,
    xattr_removal_removes,
);

const ANY: XattrFlags = XattrFlags::empty();

fn set(path: impl AsRef<Path>, name: &str, value: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::lsetxattr(path.as_ref(), name, value, ANY)
}

fn xattr_is_kept_as_set(dir: &Path) {
    create(dir.join("f"));
    assert_eq!(errno(get(dir.join("f"), "user.x")), Errno::NODATA);
    set(dir.join("f"), "user.x", b"first").unwrap();
    assert_eq!(get(dir.join("f"), "user.x").unwrap(), b"first");
    set(dir.join("f"), "user.x", b"2").unwrap();
    assert_eq!(get(dir.join("f"), "user.x").unwrap(), b"2");
    assert_eq!(list(dir.join("f")), ["user.x"]);
}

fn xattr_values_are_bytes_and_may_be_empty(dir: &Path) {
    create(dir.join("f"));
    let every: Vec<u8> = (0..=255).collect();
    set(dir.join("f"), "user.every", &every).unwrap();
    set(dir.join("f"), "user.empty", b"").unwrap();
    assert_eq!(get(dir.join("f"), "user.every").unwrap(), every);
    assert_eq!(get(dir.join("f"), "user.empty").unwrap(), b"");
    let name = bytes(b"user.\xff\xfe");
    rustix::fs::setxattr(dir.join("f"), name, b"v", ANY).unwrap();
    assert_eq!(rustix::fs::getxattr(dir.join("f"), name, &mut [0; 9]).unwrap(), 1);
}

fn xattr_flags_create_and_replace(dir: &Path) {
    create(dir.join("f"));
    let set = |value: &[u8], flags| rustix::fs::setxattr(dir.join("f"), "user.x", value, flags);
    assert_eq!(errno(set(b"1", XattrFlags::REPLACE)), Errno::NODATA);
    set(b"2", XattrFlags::CREATE).unwrap();
    assert_eq!(errno(set(b"3", XattrFlags::CREATE)), Errno::EXIST);
    assert_eq!(get(dir.join("f"), "user.x").unwrap(), b"2");
    set(b"4", XattrFlags::REPLACE).unwrap();
    assert_eq!(get(dir.join("f"), "user.x").unwrap(), b"4");
}

fn xattr_size_is_told_before_the_value(dir: &Path) {
    create(dir.join("f"));
    assert_eq!(rustix::fs::listxattr_query(dir.join("f")).unwrap(), 0);
    set(dir.join("f"), "user.x", b"12345").unwrap();
    set(dir.join("f"), "user.empty", b"").unwrap();
    assert_eq!(rustix::fs::getxattr_query(dir.join("f"), "user.x").unwrap(), 5);
    assert_eq!(rustix::fs::getxattr_query(dir.join("f"), "user.empty").unwrap(), 0);
    let names = "user.x".len() + "user.empty".len() + 2;
    assert_eq!(rustix::fs::listxattr_query(dir.join("f")).unwrap(), names);
    let missing = rustix::fs::getxattr_query(dir.join("f"), "user.y");
    assert_eq!(errno(missing), Errno::NODATA);
}

fn xattr_buffers_that_are_too_small_are_refused(dir: &Path) {
    create(dir.join("f"));
    set(dir.join("f"), "user.x", b"12345").unwrap();
    let get = |buffer: &mut [u8]| rustix::fs::getxattr(dir.join("f"), "user.x", buffer);
    assert_eq!(errno(get(&mut [0; 4])), Errno::RANGE);
    assert_eq!(get(&mut [0; 5]).unwrap(), 5);
    let list = |buffer: &mut [u8]| rustix::fs::listxattr(dir.join("f"), buffer);
    assert_eq!(errno(list(&mut [0; 6])), Errno::RANGE);
    assert_eq!(list(&mut [0; 7]).unwrap(), 7);
}

fn xattr_list_has_every_name_once(dir: &Path) {
    create(dir.join("f"));
    let names: Vec<_> = (100..150).map(|n| format!("user.name{n}")).collect();
    for name in &names {
        set(dir.join("f"), name, name.as_bytes()).unwrap();
    }
    assert_eq!(list(dir.join("f")), names.iter().map(OsString::from).collect::<Vec<_>>());
    for name in &names {
        assert_eq!(get(dir.join("f"), name).unwrap(), name.as_bytes());
    }
}

fn xattr_of_each_kind_of_inode(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    symlink("nowhere", dir.join("s")).unwrap();
    mknod(dir.join("p"), FileType::Fifo, 0o600, 0).unwrap();
    set(dir.join("d"), "user.x", b"d").unwrap();
    assert_eq!(get(dir.join("d"), "user.x").unwrap(), b"d");
    for name in ["s", "p"] {
        // xattr(7): user attributes are for files and directories only.
        assert_eq!(errno(set(dir.join(name), "user.x", b"v")), Errno::PERM, "{name}");
        set(dir.join(name), "trusted.x", b"v").unwrap();
        assert_eq!(get(dir.join(name), "trusted.x").unwrap(), b"v");
        assert_eq!(list(dir.join(name)), ["trusted.x"]);
        rustix::fs::lremovexattr(dir.join(name), "trusted.x").unwrap();
        assert_eq!(list(dir.join(name)), [""; 0]);
    }
}

fn xattr_by_path_and_by_handle_agree(dir: &Path) {
    let file = create(dir.join("f"));
    rustix::fs::fsetxattr(&file, "user.h", b"handle", XattrFlags::CREATE).unwrap();
    assert_eq!(get(dir.join("f"), "user.h").unwrap(), b"handle");
    set(dir.join("f"), "user.p", b"path").unwrap();
    let mut buffer = [0; 10];
    assert_eq!(rustix::fs::fgetxattr(&file, "user.p", &mut buffer).unwrap(), 4);
    assert_eq!(rustix::fs::flistxattr(&file, &mut [0u8; 100]).unwrap(), 14);
    symlink("f", dir.join("s")).unwrap();
    let followed = rustix::fs::getxattr(dir.join("s"), "user.h", &mut buffer).unwrap();
    assert_eq!(&buffer[..followed], b"handle");
}

fn xattr_follows_hard_links_and_renames(dir: &Path) {
    create(dir.join("f"));
    set(dir.join("f"), "user.x", b"v").unwrap();
    fs::hard_link(dir.join("f"), dir.join("g")).unwrap();
    fs::rename(dir.join("f"), dir.join("h")).unwrap();
    assert_eq!(get(dir.join("g"), "user.x").unwrap(), b"v");
    set(dir.join("h"), "user.x", b"w").unwrap();
    assert_eq!(get(dir.join("g"), "user.x").unwrap(), b"w");
}

fn xattr_values_are_as_large_as_the_backing_allows(dir: &Path) {
    let plain = plain_directory();
    for size in [1000, 3000, 4000, 4096, 65_535, 65_536] {
        let outcome = |dir: &Path| {
            fs::write(dir.join("f"), "").unwrap();
            let kept = set(dir.join("f"), "user.x", &vec![b'v'; size]);
            let kept = kept.and_then(|()| get(dir.join("f"), "user.x"));
            fs::remove_file(dir.join("f")).unwrap();
            kept.map(|value| value.len())
        };
        assert_eq!(outcome(dir), outcome(plain.path()), "{size}");
    }
    create(dir.join("f"));
    assert_eq!(errno(set(dir.join("f"), "user.x", &[0; 65_537])), Errno::TOOBIG);
}

fn xattr_names_that_cannot_be_are_refused(dir: &Path) {
    create(dir.join("f"));
    let longest = format!("user.{}", "n".repeat(250));
    set(dir.join("f"), &longest, b"v").unwrap();
    assert_eq!(list(dir.join("f")), [longest.as_str()]);
    assert_eq!(errno(set(dir.join("f"), &format!("{longest}n"), b"v")), Errno::RANGE);
    assert_eq!(errno(set(dir.join("f"), "", b"v")), Errno::RANGE);
    assert_eq!(errno(set(dir.join("f"), "nonsense.x", b"v")), Errno::OPNOTSUPP);
    assert_eq!(errno(get(dir.join("f"), "nonsense.x")), Errno::OPNOTSUPP);
    assert_eq!(errno(set(dir.join("missing"), "user.x", b"v")), Errno::NOENT);
}

fn xattr_permissions_are_those_of_the_file(dir: &Path) {
    create(dir.join("f"));
    set(dir.join("f"), "user.x", b"v").unwrap();
    chmod(dir.join("f"), 0o640).unwrap();
    as_user(super::NOBODY, super::NOBODY, &[], || {
        assert_eq!(errno(get(dir.join("f"), "user.x")), Errno::ACCESS);
        assert_eq!(errno(set(dir.join("f"), "user.x", b"w")), Errno::ACCESS);
    });
    chmod(dir.join("f"), 0o646).unwrap();
    as_user(super::NOBODY, super::NOBODY, &[], || {
        set(dir.join("f"), "user.x", b"w").unwrap();
        assert_eq!(get(dir.join("f"), "user.x").unwrap(), b"w");
    });
}

fn xattr_trusted_is_for_root(dir: &Path) {
    create(dir.join("f"));
    chmod(dir.join("f"), 0o666).unwrap();
    set(dir.join("f"), "trusted.x", b"root's").unwrap();
    set(dir.join("f"), "security.x", b"seen").unwrap();
    assert_eq!(list(dir.join("f")), ["security.x", "trusted.x"]);
    as_user(super::NOBODY, super::NOBODY, &[], || {
        assert_eq!(errno(set(dir.join("f"), "trusted.x", b"w")), Errno::PERM);
        assert_eq!(errno(get(dir.join("f"), "trusted.x")), Errno::NODATA);
        assert_eq!(errno(set(dir.join("f"), "security.x", b"w")), Errno::PERM);
        assert_eq!(get(dir.join("f"), "security.x").unwrap(), b"seen");
        assert_eq!(list(dir.join("f")), ["security.x"]);
    });
}

fn xattr_removal_removes(dir: &Path) {
    create(dir.join("f"));
    set(dir.join("f"), "user.x", b"v").unwrap();
    set(dir.join("f"), "user.y", b"v").unwrap();
    rustix::fs::removexattr(dir.join("f"), "user.x").unwrap();
    assert_eq!(errno(get(dir.join("f"), "user.x")), Errno::NODATA);
    assert_eq!(errno(rustix::fs::removexattr(dir.join("f"), "user.x")), Errno::NODATA);
    assert_eq!(list(dir.join("f")), ["user.y"]);
}
