//! Whose files they are, and who may do what with them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, CWD, FallocateFlags, FileType, OFlags, XattrFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::calls::truncate;
use super::common::stdout_of;
use super::{
    NOBODY, as_user, chmod, chown, create, errno, fstat, kernel_serves, kind, mknod, open,
    permissions, stat, with_umask,
};

cases!(
    what_is_created_belongs_to_its_creator,
    supplementary_groups_open_what_they_may,
    supplementary_groups_create_where_they_may,
    other_users_are_kept_out,
    threads_of_one_process_act_for_themselves,
    setgid_directories_hand_down_their_group,
    setgid_directories_take_setgid_from_strangers_files,
    umask_applies_to_what_is_created,
    umask_yields_to_a_default_acl,
    default_acls_are_inherited,
    acls_admit_and_exclude,
    acl_that_denies_the_owning_group_is_obeyed,
    chmod_moves_the_mask_of_an_acl,
    chown_changes_owner_and_group_apart,
    chown_of_a_symlink_is_its_own,
    chown_is_for_root_and_chgrp_for_members,
    chown_clears_setuid_and_setgid,
    chgrp_keeps_setgid_without_group_execution_for_members,
    acl_keeps_setgid_for_members,
    write_by_others_clears_setuid_and_setgid,
    write_by_root_keeps_setuid,
    setgid_without_group_execution_is_kept_for_members,
    truncation_by_others_clears_setuid_and_setgid,
    allocation_and_copy_by_others_clear_setuid,
    writes_clear_file_capabilities,
    sticky_bit_is_not_for_the_taking,
    execute_only_directories_let_through_but_not_list,
);

/// A group that only as a supplementary one is anybody's.
const STAFF: u32 = 50_001;

fn owner(path: impl AsRef<Path>) -> (u32, u32) {
    let stat = stat(path);
    (stat.st_uid, stat.st_gid)
}

fn what_is_created_belongs_to_its_creator(dir: &Path) {
    chmod(dir, 0o777).unwrap();
    as_user(NOBODY, 1234, &[STAFF], || {
        create(dir.join("file"));
        fs::create_dir(dir.join("directory")).unwrap();
        symlink("target", dir.join("symlink")).unwrap();
        mknod(dir.join("fifo"), FileType::Fifo, 0o600, 0).unwrap();
        mknod(dir.join("node"), FileType::RegularFile, 0o600, 0).unwrap();
        fs::hard_link(dir.join("file"), dir.join("link")).unwrap();
        create(dir.join("directory/below"));
    });
    for name in ["file", "directory", "symlink", "fifo", "node", "link", "directory/below"] {
        assert_eq!(owner(dir.join(name)), (NOBODY, 1234), "{name}");
    }
    create(dir.join("root"));
    assert_eq!(owner(dir.join("root")), (0, 0));
}

fn supplementary_groups_open_what_they_may(dir: &Path) {
    fs::write(dir.join("f"), "shared").unwrap();
    chown(dir.join("f"), 0, STAFF).unwrap();
    chmod(dir.join("f"), 0o660).unwrap();
    as_user(NOBODY, NOBODY, &[STAFF], || {
        let mut file = open(dir.join("f"), OFlags::RDWR).unwrap();
        file.write_all(b"SHARED").unwrap();
        file.set_len(3).unwrap();
        fs::write(dir.join("f"), "anew").unwrap();
    });
    as_user(NOBODY, NOBODY, &[], || {
        assert_eq!(errno(open(dir.join("f"), OFlags::RDONLY)), Errno::ACCESS);
    });
    assert_eq!(fs::read(dir.join("f")).unwrap(), b"anew");
}

fn supplementary_groups_create_where_they_may(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    chown(dir.join("d"), 0, STAFF).unwrap();
    chmod(dir.join("d"), 0o770).unwrap();
    as_user(NOBODY, NOBODY, &[STAFF], || {
        create(dir.join("d/f"));
        fs::create_dir(dir.join("d/sub")).unwrap();
        symlink("t", dir.join("d/s")).unwrap();
        mknod(dir.join("d/p"), FileType::Fifo, 0o600, 0).unwrap();
        fs::hard_link(dir.join("d/f"), dir.join("d/l")).unwrap();
        fs::rename(dir.join("d/f"), dir.join("d/g")).unwrap();
        fs::remove_file(dir.join("d/l")).unwrap();
        fs::remove_dir(dir.join("d/sub")).unwrap();
    });
    for name in ["d/g", "d/s", "d/p"] {
        assert_eq!(owner(dir.join(name)), (NOBODY, NOBODY), "{name}");
    }
    as_user(NOBODY, NOBODY, &[], || {
        assert_eq!(errno(open(dir.join("d/n"), OFlags::WRONLY | OFlags::CREATE)), Errno::ACCESS);
    });
}

fn other_users_are_kept_out(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    fs::write(dir.join("d/f"), "secret").unwrap();
    chmod(dir.join("d"), 0o755).unwrap();
    chmod(dir.join("d/f"), 0o600).unwrap();
    as_user(NOBODY, NOBODY, &[], || {
        assert_eq!(errno(open(dir.join("d/f"), OFlags::RDONLY)), Errno::ACCESS);
        assert_eq!(errno(open(dir.join("d/f"), OFlags::WRONLY | OFlags::TRUNC)), Errno::ACCESS);
        assert_eq!(errno(open(dir.join("d/g"), OFlags::WRONLY | OFlags::CREATE)), Errno::ACCESS);
        assert_eq!(errno(fs::create_dir(dir.join("d/e"))), Errno::ACCESS);
        assert_eq!(errno(symlink("t", dir.join("d/s"))), Errno::ACCESS);
        assert_eq!(errno(fs::remove_file(dir.join("d/f"))), Errno::ACCESS);
        assert_eq!(errno(fs::rename(dir.join("d/f"), dir.join("d/g"))), Errno::ACCESS);
        // EPERM where fs.protected_hardlinks is on.
        let link = errno(fs::hard_link(dir.join("d/f"), dir.join("d/g")));
        assert!(matches!(link, Errno::ACCESS | Errno::PERM), "{link}");
    });
    chmod(dir.join("d"), 0o700).unwrap();
    as_user(NOBODY, NOBODY, &[], || {
        assert_eq!(errno(rustix::fs::stat(dir.join("d/f"))), Errno::ACCESS);
        assert_eq!(errno(fs::read_dir(dir.join("d"))), Errno::ACCESS);
    });
    assert_eq!(fs::read(dir.join("d/f")).unwrap(), b"secret");
}

fn threads_of_one_process_act_for_themselves(dir: &Path) {
    chmod(dir, 0o777).unwrap();
    std::thread::scope(|scope| {
        for user in 2000..2004 {
            scope.spawn(move || {
                as_user(user, user, &[], || {
                    for n in 0..50 {
                        create(dir.join(format!("{user}-{n}")));
                    }
                });
            });
        }
    });
    for user in 2000..2004 {
        for n in 0..50 {
            assert_eq!(owner(dir.join(format!("{user}-{n}"))), (user, user));
        }
    }
}

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

fn umask_applies_to_what_is_created(dir: &Path) {
    for umask in [0, 0o022, 0o027, 0o077, 0o777] {
        let here = dir.join(format!("{umask:o}"));
        fs::create_dir(&here).unwrap();
        with_umask(umask, || {
            create(here.join("file"));
            rustix::fs::mkdir(here.join("directory"), rustix::fs::Mode::from_raw_mode(0o1777))
                .unwrap();
            mknod(here.join("fifo"), FileType::Fifo, 0o777, 0).unwrap();
            symlink("t", here.join("symlink")).unwrap();
        });
        let mode = |name: &str| permissions(&stat(here.join(name)));
        assert_eq!(mode("file"), 0o666 & !umask);
        assert_eq!(mode("directory"), 0o1777 & !umask);
        assert_eq!(mode("fifo"), 0o777 & !umask);
        assert_eq!(mode("symlink"), 0o777);
    }
}

fn setfacl(arguments: &[&str], path: impl AsRef<Path>) {
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

fn chown_changes_owner_and_group_apart(dir: &Path) {
    let file = create(dir.join("f"));
    rustix::fs::chown(dir.join("f"), Some(Uid::from_raw(11)), None).unwrap();
    assert_eq!(owner(dir.join("f")), (11, 0));
    rustix::fs::fchown(&file, None, Some(Gid::from_raw(22))).unwrap();
    assert_eq!(owner(dir.join("f")), (11, 22));
    rustix::fs::fchown(&file, None, None).unwrap();
    assert_eq!(owner(dir.join("f")), (11, 22));
    chown(dir.join("f"), 4_000_000_000, 4_000_000_001).unwrap();
    assert_eq!((fstat(&file).st_uid, fstat(&file).st_gid), (4_000_000_000, 4_000_000_001));
}

fn chown_of_a_symlink_is_its_own(dir: &Path) {
    create(dir.join("f"));
    symlink("f", dir.join("s")).unwrap();
    std::os::unix::fs::lchown(dir.join("s"), Some(33), Some(44)).unwrap();
    assert_eq!((owner(dir.join("s")), owner(dir.join("f"))), ((33, 44), (0, 0)));
    chown(dir.join("s"), 55, 66).unwrap();
    assert_eq!((owner(dir.join("s")), owner(dir.join("f"))), ((33, 44), (55, 66)));
}

fn chown_is_for_root_and_chgrp_for_members(dir: &Path) {
    create(dir.join("f"));
    chown(dir.join("f"), NOBODY, NOBODY).unwrap();
    let to_group = |gid| rustix::fs::chown(dir.join("f"), None, Some(Gid::from_raw(gid)));
    as_user(NOBODY, NOBODY, &[STAFF], || {
        assert_eq!(errno(chown(dir.join("f"), 0, NOBODY)), Errno::PERM);
        assert_eq!(errno(to_group(0)), Errno::PERM);
        to_group(STAFF).unwrap();
    });
    assert_eq!(owner(dir.join("f")), (NOBODY, STAFF));
    as_user(4242, STAFF, &[], || assert_eq!(errno(to_group(STAFF)), Errno::PERM));
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
    file.set_len(10).unwrap();
    assert!(!has_capability(dir));
    set();
    chown(dir.join("program"), 7, 7).unwrap();
    assert!(!has_capability(dir));
}

fn has_capability(dir: &Path) -> bool {
    rustix::fs::getxattr(dir.join("program"), "security.capability", &mut [0; 64]).is_ok()
}

fn sticky_bit_is_not_for_the_taking(dir: &Path) {
    chmod(dir, 0o1777).unwrap();
    create(dir.join("root"));
    as_user(NOBODY, NOBODY, &[], || {
        assert_eq!(errno(fs::remove_file(dir.join("root"))), Errno::PERM);
        create(dir.join("own"));
        fs::remove_file(dir.join("own")).unwrap();
    });
}

fn execute_only_directories_let_through_but_not_list(dir: &Path) {
    fs::create_dir(dir.join("d")).unwrap();
    fs::write(dir.join("d/f"), "known").unwrap();
    chmod(dir.join("d/f"), 0o644).unwrap();
    chmod(dir.join("d"), 0o711).unwrap();
    as_user(NOBODY, NOBODY, &[], || {
        assert_eq!(fs::read(dir.join("d/f")).unwrap(), b"known");
        assert_eq!(errno(fs::read_dir(dir.join("d"))), Errno::ACCESS);
    });
    chmod(dir.join("d"), 0o744).unwrap();
    as_user(NOBODY, NOBODY, &[], || {
        assert_eq!(errno(fs::read(dir.join("d/f"))), Errno::ACCESS);
        assert_eq!(super::names(dir.join("d")), ["f"]);
        let held = rustix::fs::statat(CWD, dir.join("d"), AtFlags::empty()).unwrap();
        assert!(kind(&held).is_dir());
    });
}
