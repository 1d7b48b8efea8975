//! Setuid and setgid bits, and file capabilities: what clears them, and what does not.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{FallocateFlags, FileType, OFlags, XattrFlags};
use rustix::process::Gid;

use super::acls::setfacl;
use super::calls::truncate;
use super::{
    NOBODY, STAFF, as_user, chmod, chown, create, kernel_serves, mknod, open, owner, permissions,
    stat,
};

cases!(
    setgid_directories_hand_down_their_group,
    setgid_directories_take_setgid_from_strangers_files,
    chown_clears_setuid_and_setgid,
    chgrp_keeps_setgid_without_group_execution_for_members,
    acl_keeps_setgid_for_members,
    write_by_others_clears_setuid_and_setgid,
    write_by_root_keeps_setuid,
    setgid_without_group_execution_is_kept_for_members,
    truncation_by_others_clears_setuid_and_setgid,
    allocation_and_copy_by_others_clear_setuid,
    writes_clear_file_capabilities,
);

fn setgid_directories_hand_down_their_group(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    chown(dir.join("d"), 0, STAFF).unwrap();
    chmod(dir.join("d"), 0o2777).unwrap();
    as_user(NOBODY, NOBODY, &[], || {
        create(dir.join("d/file"));
        fs::create_dir(dir.join("d/sub")).unwrap();
        symlink("t", dir.join("d/symlink")).unwrap();
        mknod(dir.join("d/fifo"), FileType::Fifo, 0o600, 0).unwrap();
        create(dir.join("d/sub/file"));
    });
    for name in ["d/file", "d/sub", "d/symlink", "d/fifo", "d/sub/file"] {
        assert_eq!(owner(dir.join(name)), (NOBODY, STAFF), "{name}");
    }
    assert_eq!(permissions(&stat(dir.join("d/sub"))) & 0o2000, 0o2000);
    assert_eq!(permissions(&stat(dir.join("d/file"))) & 0o2000, 0);
}

fn setgid_directories_take_setgid_from_strangers_files(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    chown(dir.join("d"), 0, STAFF).unwrap();
    chmod(dir.join("d"), 0o2777).unwrap();
    let create = |name: &str| {
        let mode = rustix::fs::Mode::from_raw_mode(0o2775);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        rustix::fs::open(dir.join(name), flags, mode).unwrap();
        mknod(dir.join(format!("{name}-node")), FileType::RegularFile, 0o2775, 0).unwrap();
    };
    as_user(NOBODY, NOBODY, &[], || create("d/stranger"));
    as_user(NOBODY, NOBODY, &[STAFF], || create("d/member"));
    create("d/root");
    for name in ["d/stranger", "d/stranger-node"] {
        assert_eq!(permissions(&stat(dir.join(name))) & 0o2000, 0, "{name}");
    }
    for name in ["d/member", "d/member-node", "d/root"] {
        assert_eq!(permissions(&stat(dir.join(name))) & 0o2000, 0o2000, "{name}");
    }
}

/// A program of root's that everybody may change, with these permissions.
fn program(dir: &Path, mode: u32) -> File {
    let file = create(dir.join("program"));
    rustix::io::pwrite(&file, &[0; 8192], 0).unwrap();
    chmod(dir.join("program"), mode).unwrap();
    file
}

fn mode_of(dir: &Path) -> u32 {
    permissions(&stat(dir.join("program")))
}

fn chown_clears_setuid_and_setgid(dir: &Path) {
    let file = program(dir, 0o6755);
    chown(dir.join("program"), 7, 7).unwrap();
    assert_eq!(mode_of(dir), 0o755);
    chmod(dir.join("program"), 0o6755).unwrap();
    rustix::fs::fchown(&file, None, Some(Gid::from_raw(8))).unwrap();
    assert_eq!(mode_of(dir), 0o755);
    fs::create_dir(dir.join("d")).unwrap();
    chmod(dir.join("d"), 0o6755).unwrap();
    chown(dir.join("d"), 7, 7).unwrap();
    assert_eq!(permissions(&stat(dir.join("d"))), 0o6755);
}

/// A user, the group of its file, and groups that it may be in: its primary one and others.
const OWNER: u32 = 1234;
const GROUP: u32 = 4321;
const PRIMARY: u32 = 5678;

/// Gives the program to `OWNER` and that group, with these permissions.
fn give(dir: &Path, gid: u32, mode: u32) {
    chown(dir.join("program"), OWNER, gid).unwrap();
    chmod(dir.join("program"), mode).unwrap();
}

fn chgrp_keeps_setgid_without_group_execution_for_members(dir: &Path) {
    program(dir, 0o644);
    let after = |from, mode, (gid, groups): (u32, &[u32])| {
        give(dir, from, mode);
        as_user(OWNER, gid, groups, || {
            rustix::fs::chown(dir.join("program"), None, Some(Gid::from_raw(STAFF))).unwrap();
        });
        assert_eq!(owner(dir.join("program")), (OWNER, STAFF));
        mode_of(dir)
    };
    let stranger: (u32, &[u32]) = (PRIMARY, &[STAFF]);
    for from in [GROUP, 0] {
        assert_eq!(after(from, 0o2745, stranger), 0o745);
        assert_eq!(after(from, 0o6745, stranger), 0o745);
    }
    for member in [(GROUP, &[STAFF][..]), (STAFF, &[GROUP]), (PRIMARY, &[7, STAFF, GROUP])] {
        assert_eq!(after(GROUP, 0o2745, member), 0o2745, "{member:?}");
        assert_eq!(after(GROUP, 0o6745, member), 0o2745, "{member:?}");
        assert_eq!(after(GROUP, 0o2755, member), 0o755, "{member:?}");
    }
    give(dir, GROUP, 0o2745);
    chown(dir.join("program"), OWNER, STAFF).unwrap();
    assert_eq!(mode_of(dir), 0o2745, "by root");
}

fn acl_keeps_setgid_for_members(dir: &Path) {
    program(dir, 0o644);
    fs::create_dir(dir.join("d")).unwrap();
    let after = |name: &str, group, (uid, gid, groups): (u32, u32, &[u32]), rule: &[&str]| {
        let path = dir.join(name);
        chown(&path, OWNER, group).unwrap();
        setfacl(&["-b"], &path);
        chmod(&path, 0o2755).unwrap();
        as_user(uid, gid, groups, || setfacl(rule, &path));
        permissions(&stat(&path))
    };
    let (access, default) = (["-m", "u:99:r"], ["-d", "-m", "u:99:r"]);
    for name in ["program", "d"] {
        for group in [GROUP, 0] {
            assert_eq!(after(name, group, (OWNER, PRIMARY, &[STAFF]), &access), 0o755, "{name}");
        }
        for member in [(GROUP, &[][..]), (PRIMARY, &[STAFF, GROUP])] {
            let member = (OWNER, member.0, member.1);
            assert_eq!(after(name, GROUP, member, &access), 0o2755, "{name} {member:?}");
        }
        assert_eq!(after(name, GROUP, (0, 0, &[]), &access), 0o2755, "{name} by root");
    }
    // What a directory hands down is no change of its own mode.
    assert_eq!(after("d", GROUP, (OWNER, PRIMARY, &[]), &default), 0o2755);
}

fn write_by_others_clears_setuid_and_setgid(dir: &Path) {
    program(dir, 0o6777);
    as_user(NOBODY, NOBODY, &[], || {
        let file = open(dir.join("program"), OFlags::WRONLY).unwrap();
        assert_eq!(mode_of(dir), 0o6777);
        rustix::io::pwrite(&file, b"x", 0).unwrap();
        assert_eq!(mode_of(dir), 0o777);
    });
    chmod(dir.join("program"), 0o4777).unwrap();
    as_user(NOBODY, NOBODY, &[], || {
        let mut file = open(dir.join("program"), OFlags::WRONLY | OFlags::APPEND).unwrap();
        file.write_all(b"x").unwrap();
    });
    assert_eq!(mode_of(dir), 0o777);
    chmod(dir.join("program"), 0o4777).unwrap();
    as_user(NOBODY, NOBODY, &[], || {
        let direct = open(dir.join("program"), OFlags::WRONLY | OFlags::DIRECT).unwrap();
        rustix::io::pwrite(&direct, &super::calls::aligned(4096), 0).unwrap();
    });
    assert_eq!(mode_of(dir), 0o777);
}

fn write_by_root_keeps_setuid(dir: &Path) {
    let file = program(dir, 0o6755);
    rustix::io::pwrite(&file, b"x", 0).unwrap();
    file.set_len(100).unwrap();
    // The kernel has one set of privileges for all who write to an open file: bits that it gets
    // while it is open go.
    let kept = if kernel_serves() { 0o755 } else { 0o6755 };
    assert_eq!(mode_of(dir), kept);
}

fn setgid_without_group_execution_is_kept_for_members(dir: &Path) {
    program(dir, 0o2666);
    chown(dir.join("program"), 0, STAFF).unwrap();
    chmod(dir.join("program"), 0o2666).unwrap();
    as_user(NOBODY, NOBODY, &[STAFF], || {
        let file = open(dir.join("program"), OFlags::WRONLY).unwrap();
        rustix::io::pwrite(&file, b"x", 0).unwrap();
    });
    assert_eq!(mode_of(dir), 0o2666);
}

fn truncation_by_others_clears_setuid_and_setgid(dir: &Path) {
    let program = program(dir, 0o6777);
    let by_nobody = |act: &(dyn Fn() + Sync)| {
        rustix::fs::fchmod(&program, rustix::fs::Mode::from_raw_mode(0o6777)).unwrap();
        as_user(NOBODY, NOBODY, &[], act);
        mode_of(dir)
    };
    let path = dir.join("program");
    assert_eq!(by_nobody(&|| truncate(&path, 100).unwrap()), 0o777);
    assert_eq!(by_nobody(&|| super::open_rw(&path).set_len(50).unwrap()), 0o777);
    assert_eq!(by_nobody(&|| drop(open(&path, OFlags::WRONLY | OFlags::TRUNC).unwrap())), 0o777);
}

fn allocation_and_copy_by_others_clear_setuid(dir: &Path) {
    program(dir, 0o4777);
    fs::write(dir.join("source"), [1; 4096]).unwrap();
    chmod(dir.join("source"), 0o644).unwrap();
    as_user(NOBODY, NOBODY, &[], || {
        let file = open(dir.join("program"), OFlags::RDWR).unwrap();
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 20_000).unwrap();
    });
    assert_eq!(mode_of(dir), 0o777);
    chmod(dir.join("program"), 0o4777).unwrap();
    as_user(NOBODY, NOBODY, &[], || {
        let (from, to) = (
            open(dir.join("source"), OFlags::RDONLY).unwrap(),
            open(dir.join("program"), OFlags::RDWR).unwrap(),
        );
        assert_eq!(rustix::fs::copy_file_range(&from, None, &to, None, 4096).unwrap(), 4096);
    });
    assert_eq!(mode_of(dir), 0o777);
}

fn writes_clear_file_capabilities(dir: &Path) {
    let file = program(dir, 0o755);
    // struct vfs_cap_data, revision 2: CAP_NET_RAW permitted and effective.
    let mut capability = [0; 20];
    capability[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
    let set = || {
        let name = "security.capability";
        rustix::fs::setxattr(dir.join("program"), name, &capability, XattrFlags::empty()).unwrap();
        assert!(has_capability(dir));
    };
    set();
    rustix::io::pwrite(&file, b"x", 0).unwrap();
    assert!(!has_capability(dir));
    set();
    // What was written before takes nothing away when it reaches the disk.
    file.sync_data().unwrap();
    assert!(has_capability(dir));
    file.set_len(10).unwrap();
    assert!(!has_capability(dir));
    set();
    chown(dir.join("program"), 7, 7).unwrap();
    assert!(!has_capability(dir));
}

fn has_capability(dir: &Path) -> bool {
    rustix::fs::getxattr(dir.join("program"), "security.capability", &mut [0; 64]).is_ok()
}
