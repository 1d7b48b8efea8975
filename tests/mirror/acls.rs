//! Access control lists: who may do what by them, and what a directory hands down.

use std::fs::{self};
use std::path::Path;
use std::process::Command;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::common::stdout_of;
use super::{
    NOBODY, STAFF, as_user, chmod, chown, create, errno, mknod, open, permissions, stat, with_umask,
};

cases!(
    umask_yields_to_a_default_acl,
    default_acls_are_inherited,
    acls_admit_and_exclude,
    acl_that_denies_the_owning_group_is_obeyed,
    chmod_moves_the_mask_of_an_acl,
);

pub(crate) fn setfacl(arguments: &[&str], path: impl AsRef<Path>) {
    stdout_of(Command::new("setfacl").args(arguments).arg(path.as_ref()));
}

fn getfacl(path: impl AsRef<Path>) -> Vec<String> {
    let mut command = Command::new("getfacl");
    command.args(["--omit-header", "--numeric", "--no-effective"]).arg(path.as_ref());
    let listed = stdout_of(&mut command);
    listed.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

fn umask_yields_to_a_default_acl(dir: &Path) {
    setfacl(&["-d", "-m", "u::rwx,g::rwx,o::r-x"], dir);
    with_umask(0o077, || {
        create(dir.join("file"));
        fs::create_dir(dir.join("directory")).unwrap();
        mknod(dir.join("fifo"), FileType::Fifo, 0o666, 0).unwrap();
    });
    assert_eq!(permissions(&stat(dir.join("file"))), 0o664);
    assert_eq!(permissions(&stat(dir.join("directory"))), 0o775);
    assert_eq!(permissions(&stat(dir.join("fifo"))), 0o664);
}

fn default_acls_are_inherited(dir: &Path) {
    setfacl(&["-d", "-m", "u::rwx,u:4242:rwx,g::r-x,o::---"], dir);
    create(dir.join("file"));
    fs::create_dir(dir.join("directory")).unwrap();
    let access = ["user::rw-", "user:4242:rwx", "group::r-x", "mask::rw-", "other::---"];
    assert_eq!(getfacl(dir.join("file")), access);
    let both = [
        "user::rwx",
        "user:4242:rwx",
        "group::r-x",
        "mask::rwx",
        "other::---",
        "default:user::rwx",
        "default:user:4242:rwx",
        "default:group::r-x",
        "default:mask::rwx",
        "default:other::---",
    ];
    assert_eq!(getfacl(dir.join("directory")), both);
    setfacl(&["-k"], dir.join("directory"));
    assert_eq!(getfacl(dir.join("directory")), both[..5]);
}

fn acls_admit_and_exclude(dir: &Path) {
    fs::write(dir.join("f"), "content").unwrap();
    chmod(dir.join("f"), 0o644).unwrap();
    setfacl(&["-m", "u:4242:rw,u:4243:-,g:4244:rw"], dir.join("f"));
    let may = |uid, groups: &[u32], flags| {
        as_user(uid, NOBODY, groups, || open(dir.join("f"), flags).map(drop))
    };
    may(4242, &[], OFlags::RDWR).unwrap();
    assert_eq!(errno(may(4243, &[], OFlags::RDONLY)), Errno::ACCESS);
    may(4245, &[4244], OFlags::RDWR).unwrap();
    assert_eq!(errno(may(4245, &[], OFlags::RDWR)), Errno::ACCESS);
    may(4245, &[], OFlags::RDONLY).unwrap();
    setfacl(&["-b"], dir.join("f"));
    assert_eq!(errno(may(4242, &[], OFlags::RDWR)), Errno::ACCESS);
    may(4243, &[], OFlags::RDONLY).unwrap();
}

fn acl_that_denies_the_owning_group_is_obeyed(dir: &Path) {
    fs::write(dir.join("f"), "content").unwrap();
    chown(dir.join("f"), 0, STAFF).unwrap();
    setfacl(&["-m", "u::rw,u:4242:rw,g::-,o::r,m::rw"], dir.join("f"));
    // The group bits of the mode now show the mask, which admits; the group's own entry does not.
    assert_eq!(permissions(&stat(dir.join("f"))), 0o664);
    as_user(NOBODY, NOBODY, &[STAFF], || {
        assert_eq!(errno(open(dir.join("f"), OFlags::RDONLY)), Errno::ACCESS);
    });
    as_user(NOBODY, NOBODY, &[], || open(dir.join("f"), OFlags::RDONLY).map(drop)).unwrap();
}

fn chmod_moves_the_mask_of_an_acl(dir: &Path) {
    create(dir.join("f"));
    setfacl(&["-m", "u:4242:rw"], dir.join("f"));
    chmod(dir.join("f"), 0o640).unwrap();
    assert_eq!(
        getfacl(dir.join("f")),
        ["user::rw-", "user:4242:rw-", "group::r--", "mask::r--", "other::---"]
    );
    as_user(4242, NOBODY, &[], || {
        assert_eq!(errno(open(dir.join("f"), OFlags::WRONLY)), Errno::ACCESS);
        open(dir.join("f"), OFlags::RDONLY).unwrap();
    });
}
