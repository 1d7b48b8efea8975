//! Whose files they are, and who may do what with them.

use std::fs::{self};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

use super::{
    NOBODY, STAFF, as_user, chmod, chown, create, errno, fstat, kind, mknod, open, owner,
    permissions, stat, with_umask,
};

cases!(
    what_is_created_belongs_to_its_creator,
    supplementary_groups_open_what_they_may,
    supplementary_groups_create_where_they_may,
    other_users_are_kept_out,
    threads_of_one_process_act_for_themselves,
    umask_applies_to_what_is_created,
    chown_changes_owner_and_group_apart,
    chown_of_a_symlink_is_its_own,
    chown_is_for_root_and_chgrp_for_members,
    sticky_bit_is_not_for_the_taking,
    execute_only_directories_let_through_but_not_list,
);

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
